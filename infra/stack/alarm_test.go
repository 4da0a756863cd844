package stack_test

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/bundle"
	"quilt-rotate/infra/keyrotation"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/telemetry"
)

func TestAlarmsUseMetricsOfTheFunctions(t *testing.T) {
	// An alarm on a metric that does not exist is never raised.
	names := map[string]string{
		keyrotation.StepFailed: rotation.MetricStepFailed, keyrotation.StepSucceeded: rotation.MetricStepSucceeded,
		keyrotation.StepDuration: rotation.MetricStepDuration,
		keyrotation.SelfHealed:   rotation.MetricSelfHealed, keyrotation.NewKeyDiffers: rotation.MetricNewKeyDiffers,
		keyrotation.SweepSucceeded: revocation.MetricSweepSucceeded,
		keyrotation.SweepFailed:    revocation.MetricSweepFailed,
		keyrotation.KeysRevoked:    revocation.MetricKeysRevoked, keyrotation.KeysHeld: revocation.MetricKeysHeld,
		keyrotation.Orphans: revocation.MetricOrphans, keyrotation.KeysNeedAttention: revocation.MetricAttention,
		keyrotation.BeforeFirstKey:     rotation.MetricBeforeFirstKey,
		keyrotation.NotBootstrapped:    revocation.MetricNotBootstrapped,
		keyrotation.OldestSuperseded:   revocation.MetricOldestSuperseded,
		keyrotation.CurrentKeyDaysLeft: revocation.MetricCurrentKeyExpiresIn,
		keyrotation.CurrentKeyAge:      revocation.MetricCurrentKeyAge,
		keyrotation.FreeLabels:         revocation.MetricFreeLabels,
		keyrotation.RotationOverdue:    revocation.MetricRotationOverdue,
		keyrotation.RotationOff:        revocation.MetricRotationOff,
		keyrotation.RotationUnderWay:   revocation.MetricRotationUnderWay,
		keyrotation.Namespace:          telemetry.Namespace, keyrotation.FunctionDimension: telemetry.FunctionDimension,
		keyrotation.ErrorCurrentKeyRefused: reflect.TypeFor[fault.CurrentKeyRefused]().Name(),
		keyrotation.ErrorOverwritten:       reflect.TypeFor[fault.Overwritten]().Name(),
		keyrotation.ErrorBadIssuer:         reflect.TypeFor[fault.BadIssuer]().Name(),
	}
	for ours, theirs := range names {
		if ours != theirs {
			t.Errorf("the functions use the name %s, not %s", theirs, ours)
		}
	}
	dimensions := []string{rotation.DimensionErrorType, revocation.DimensionErrorType, rotation.DimensionStep}
	names["testSecret"] = string(rotation.Test)
	for _, a := range keyrotation.Alarms {
		metrics := []keyrotation.Metric{a.Metric}
		if a.Excuse != nil {
			metrics = append(metrics, a.Excuse.Metric)
		}
		for _, m := range metrics {
			if _, known := names[m.Name]; !known && m.Namespace == "" {
				t.Errorf("the alarm %s uses the metric %s, which is not in the table of this test", a.Page, m.Name)
			}
			if _, known := names[m.Only.Value]; m.Only.Value != "" &&
				(!known || !slices.Contains(dimensions, m.Only.Name)) {
				t.Errorf("the alarm %s uses the dimension %v, which is not in the table of this test", a.Page, m.Only)
			}
		}
	}
	if names["testSecret"] != "testSecret" {
		t.Error("the step testSecret has another name")
	}
}

// alarms returns the alarms that notify, by page of the runbook.
func (t template) alarms() map[string]object {
	t.Helper()
	all := map[string]object{}
	for _, kind := range []string{"AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"} {
		for _, a := range t.resources(kind) {
			if p := properties(a); p["AlarmActions"] != nil {
				_, page, _ := strings.Cut(p["AlarmDescription"].(string), "docs/runbook/")
				all[strings.TrimSuffix(page, ".md")] = p
			}
		}
	}
	return all
}

func TestTheNumberOfAlarmsIsFixed(t *testing.T) {
	// More keys need no more alarms. Each description has a sentence, the urgency and the page of
	// the runbook.
	one := synth(t, parse(t, named("a"))).alarms()
	many := synth(t, parse(t, named("a"), named("b"), named("c"))).alarms()
	if len(one) != len(keyrotation.Alarms) || len(many) != len(one) {
		t.Errorf("one key has %d alarms, three have %d, the table has %d", len(one), len(many), len(keyrotation.Alarms))
	}
	description := regexp.MustCompile(`^[A-Z][^.]+\. (Wake somebody|In the morning): docs/runbook/[a-z-]+\.md$`)
	var wake []string
	for page, p := range one {
		name, parts := p["AlarmName"].(string), description.FindStringSubmatch(p["AlarmDescription"].(string))
		if parts == nil || !strings.HasSuffix(name, "-"+page) ||
			strings.HasPrefix(name, "wake-") != (parts[1] == "Wake somebody") {
			t.Errorf("%s has the name %s and the description %q", page, name, p["AlarmDescription"])
		}
		if strings.HasPrefix(name, "wake-") {
			wake = append(wake, page)
		}
		if !strings.Contains(text(p["AlarmActions"]), `"Ref":"KeyRotationAlarms`) {
			t.Errorf("%s notifies nobody", page)
		}
		if text(p["OKActions"]) != text(p["AlarmActions"]) {
			t.Errorf("%s does not notify when it is over", page)
		}
	}
	slices.Sort(wake)
	if want := []string{"current-key-refused", "key-expires", "value-overwritten"}; !slices.Equal(wake, want) {
		t.Errorf("the class wake has the alarms %v, want %v", wake, want)
	}
}

func TestAlarmsKeepTheTimeLimitsOfCloudWatch(t *testing.T) {
	// PutMetricAlarm allows periods of at most seven days in total if a period has an hour or more,
	// otherwise one day (CloudWatch API reference). CloudWatch evaluates alarms over more than a
	// day only once an hour, which is too slow for an excuse.
	for id, a := range configured(t, "smallest").resources("AWS::CloudWatch::Alarm") {
		p := properties(a)
		period, most := p["Period"], 24*3600.0
		if queries, computed := p["Metrics"].([]any); computed {
			period = queries[1].(object)["MetricStat"].(object)["Period"]
		} else if p["TreatMissingData"] != "notBreaching" {
			t.Errorf("%s treats missing data as %v", id, p["TreatMissingData"])
		}
		if period.(float64) >= 3600 && !strings.HasSuffix(p["AlarmName"].(string), "-excused") {
			most *= 7
		}
		if period.(float64)*p["EvaluationPeriods"].(float64) > most {
			t.Errorf("%s evaluates more than %v hours", id, most/3600)
		}
	}
}

func TestARotationBeforeTheFirstKeyRaisesNoAlarm(t *testing.T) {
	// If the rotation window of a new secret opens before its first key is stored, Lambda counts an
	// error. A metric of the function excuses it. The function does not count a failed step
	// (package rotation).
	all := configured(t, "smallest")
	composite := all.alarms()["rotate-errors"]
	byArn := func(reference any) object {
		for id, a := range all.resources("AWS::CloudWatch::Alarm") {
			if strings.Contains(text(reference), `"`+id+`"`) {
				return properties(a)
			}
		}
		t.Fatalf("%s is not an alarm", text(reference))
		return nil
	}
	counted, excused := byArn(composite["AlarmRule"]), byArn(composite["ActionsSuppressor"])
	if counted["MetricName"] != "Errors" || excused["MetricName"] != "StepFailedBeforeFirstKey" ||
		text(counted["Dimensions"]) != text(excused["Dimensions"]) {
		t.Errorf("the alarm is %v, its excuse %v", counted, excused)
	}
	for _, p := range []string{"Period", "EvaluationPeriods", "DatapointsToAlarm"} {
		if counted[p] != excused[p] {
			t.Errorf("the %s of the excuse is %v, that of the alarm %v", p, excused[p], counted[p])
		}
	}
	if counted["AlarmActions"] != nil || excused["AlarmActions"] != nil ||
		composite["ActionsSuppressorWaitPeriod"].(float64) < 300 {
		t.Error("the alarm notifies before the metric of the excuse can arrive")
	}
}

func TestAlarmsForADayWaitForADay(t *testing.T) {
	// In the first period, the condition may be true only at the end, so only the later periods
	// count.
	all := configured(t, "smallest").alarms()
	for _, page := range []string{"pending-too-long", "not-bootstrapped"} {
		p := all[page]
		whole := p["Period"].(float64) * (p["DatapointsToAlarm"].(float64) - 1)
		if whole < 24*3600 || p["DatapointsToAlarm"] != p["EvaluationPeriods"] {
			t.Errorf("%s may be raised after %v hours", page, whole/3600)
		}
	}
}

func TestThresholdsFollowTheKeys(t *testing.T) {
	// A short lifetime or a long grace period in the configuration must not raise an alarm.
	threshold := func(all template, page string) any {
		for _, a := range all.resources("AWS::CloudWatch::Alarm") {
			if strings.HasSuffix(properties(a)["AlarmName"].(string), "-"+page) {
				return properties(a)["Threshold"]
			}
		}
		return nil
	}
	usual := configured(t, "smallest")
	short := synth(t, parse(t, "{name: a, schedule: rate(4 days), expiresInDays: 16, grace: 72h, quiet: 1h}",
		named("b")))
	for page, want := range map[string][2]float64{"key-expires": {7, 7}, "key-expires-soon": {14, 11},
		"held-too-long": {8 * 24 * 3600, 10 * 24 * 3600}, "few-labels": {6, 6}} {
		if got := [2]any{threshold(usual, page), threshold(short, page)}; got != [2]any{want[0], want[1]} {
			t.Errorf("%s has the thresholds %v, want %v", page, got, want)
		}
	}
}

func TestOnlyCloudWatchMayPublishByTheTopicsPolicy(t *testing.T) {
	// The policies of the topic and of its KMS key name only CloudWatch, because the event rule has
	// a role. The policy of an existing topic is not changed.
	all := configured(t, "smallest")
	all.count("AWS::KMS::Key", 1)
	all.count("AWS::SNS::TopicPolicy", 1)
	all.count("AWS::SNS::Topic", 1)
	configured(t, "everything").has("AWS::SNS::Subscription",
		object{"Protocol": "email", "Endpoint": "team@example.com"})
	for _, topic := range all.resources("AWS::SNS::Topic") {
		if properties(topic)["KmsMasterKeyId"] == nil {
			t.Error("the topic is not encrypted")
		}
	}
	for _, topic := range all.resources("AWS::SNS::TopicPolicy") {
		for _, s := range statementsOf(properties(topic), "PolicyDocument") {
			if got := text(s["Principal"]) + text(s["Condition"]); s["Effect"] == "Allow" &&
				got != `{"Service":"cloudwatch.amazonaws.com"}{"StringEquals":{"aws:SourceAccount":"123456789012"}}` {
				t.Errorf("a statement of the topic's policy allows %s", got)
			}
		}
	}
	const topics = `{"kms:EncryptionContext:aws:sns:topicArn":"arn:aws:sns:us-east-1:123456789012:*"}`
	for _, key := range all.resources("AWS::KMS::Key") {
		conditions := map[string]string{}
		for _, s := range statementsOf(properties(key), "KeyPolicy") {
			if service, _ := s["Principal"].(object)["Service"].(string); service != "" {
				conditions[service] = text(s["Condition"])
			}
		}
		want := map[string]string{
			"cloudwatch.amazonaws.com": `{"StringEquals":{"aws:SourceAccount":"123456789012"},"StringLike":` + topics +
				`}`}
		if !maps.Equal(conditions, want) {
			t.Errorf("the services that may use the key are %v, want %v", conditions, want)
		}
	}
	own := configured(t, "adopted")
	own.count("AWS::SNS::Topic", 0)
	own.count("AWS::SNS::TopicPolicy", 0)
	own.has("AWS::CloudWatch::Alarm", object{"AlarmActions": []any{"arn:aws:sns:eu-west-1:123456789012:on-call"}})
}

func TestTheEventRulePublishesWithARole(t *testing.T) {
	// Without a role, the topic's policy would let the event rules of every account publish.
	for _, name := range configurations {
		all, topics := configured(t, name), map[string]string{}
		for _, rule := range all.resources("AWS::Events::Rule") {
			for _, target := range properties(rule)["Targets"].([]any) {
				if topic := text(target.(object)["Arn"]); target.(object)["InputTransformer"] != nil {
					role := target.(object)["RoleArn"].(object)["Fn::GetAtt"].([]any)[0].(string)
					topics[role] = topic
				}
			}
		}
		if len(topics) != 1 {
			t.Fatalf("%s: one rule must publish to the topic: %v", name, topics)
		}
		for role, topic := range topics {
			policies := text(properties(all.resources("AWS::IAM::Role")[role])["Policies"])
			for _, want := range []string{`"Action":"sns:Publish"`, `"Resource":` + topic,
				`"kms:EncryptionContext:aws:sns:topicArn":` + topic} {
				if !strings.Contains(policies, want) {
					t.Errorf("%s: the role of the rule lacks %s: %s", name, want, policies)
				}
			}
		}
	}
}

func TestAlarmsReachATopicOfTheApp(t *testing.T) {
	// The policies of a topic of the app and of its KMS key get a statement for CloudWatch. The
	// event rule publishes with a role.
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir()), AnalyticsReporting: jsii.Bool(false)})
	topics := awscdk.NewStack(app, jsii.String("Topics"), nil)
	platform := awscdk.NewStack(app, jsii.String("Platform"), nil)
	props := least()
	key := awskms.NewKey(topics, jsii.String("Key"), nil)
	props.AlarmTopic = awssns.NewTopic(topics, jsii.String("OnCall"), &awssns.TopicProps{MasterKey: key})
	keyrotation.NewKeyRotation(platform, jsii.String("Rotation"), props)
	for kind, document := range map[string]string{"AWS::SNS::TopicPolicy": "PolicyDocument",
		"AWS::KMS::Key": "KeyPolicy"} {
		for _, policy := range templateOf(t, topics).resources(kind) {
			services := text(statementsOf(properties(policy), document))
			if !strings.Contains(services, `"cloudwatch.amazonaws.com"`) || strings.Contains(services,
				`"events.amazonaws.com"`) {
				t.Errorf("%s must name the service CloudWatch only: %s", kind, services)
			}
		}
	}
}

func TestTheDashboardShowsEachSecret(t *testing.T) {
	// The dashboard shows all alarms, the state of each secret, the steps and recent errors.
	for _, d := range configured(t, "smallest").resources("AWS::CloudWatch::Dashboard") {
		body := text(properties(d)["DashboardBody"])
		for _, want := range []string{"CurrentKeyDaysLeft", "CurrentKeyAge", "lastRotation by secret", "Keys held",
			"StepDuration", "StepSucceeded", "createSecret", "finishSecret", "Recent errors", `\"type\":\"alarm\"`} {
			if !strings.Contains(strings.ReplaceAll(body, `\\"`, `\"`), want) {
				t.Errorf("the dashboard has no %s", want)
			}
		}
		if !strings.Contains(body, `\"start\":\"-P5W\"`) || !strings.Contains(body, `\"periodOverride\":\"inherit\"`) {
			t.Error("the time range of the dashboard is not five weeks, so it may include no rotation")
		}
		if n := strings.Count(body, `"Arn"]`); n != len(keyrotation.Alarms) {
			t.Errorf("the dashboard shows %d alarms of %d", n, len(keyrotation.Alarms))
		}
	}
}

func TestTheFunctionsAcceptTheirEnvironment(t *testing.T) {
	for _, name := range configurations {
		all := configured(t, name)
		lookup := func(environment map[string]any) settings.Lookup {
			plain := map[string]string{}
			for name, value := range environment {
				plain[name] = value.(string)
			}
			if plain[settings.EnvCABundle] == bundle.CABundlePath { // exists only on Lambda
				plain[settings.EnvCABundle] = "testdata/ca.pem"
			}
			return settings.Tags(plain)
		}
		_, rotate := all.function("Rotates")
		_, revoke := all.function("Revokes")
		if _, err := settings.LoadRotate(lookup(rotate)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := settings.LoadRevoke(lookup(revoke)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
