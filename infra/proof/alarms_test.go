package proof_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/sandbox"
)

// A datum is one value of a metric, with its age.
type datum struct {
	metric string // namespace, name and dimensions
	value  float64
	ago    time.Duration
}

// metricOf returns a metric as one text. Dimensions are pairs of name and value.
func metricOf(namespace, name string, dimensions ...string) string {
	var pairs []string
	for i := 0; i+1 < len(dimensions); i += 2 {
		pairs = append(pairs, dimensions[i]+"="+dimensions[i+1])
	}
	slices.Sort(pairs)
	return namespace + " " + name + " " + strings.Join(pairs, " ")
}

// measured returns the metrics that CloudWatch reads from a function's log, and the errors that
// Lambda counts.
func measured(t *testing.T, function, log string) (data []datum) {
	t.Helper()
	for line := range strings.Lines(log) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue
		}
		if fields["level"] == "ERROR" {
			data = append(data, datum{metricOf("AWS/Lambda", "Errors", "FunctionName", function), 1, 0})
		}
		var embedded struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name string }
				}
			} `json:"_aws"`
		}
		must(t, json.Unmarshal([]byte(line), &embedded))
		for _, directive := range embedded.AWS.CloudWatchMetrics {
			for _, names := range directive.Dimensions {
				var dimensions []string
				for _, name := range names {
					dimensions = append(dimensions, name, fields[name].(string))
				}
				for _, m := range directive.Metrics {
					data = append(data, datum{metricOf(directive.Namespace, m.Name, dimensions...),
						fields[m.Name].(float64), 0})
				}
			}
		}
	}
	return data
}

// notifying returns the alarms of the template that notify with these data. It follows the rules of
// CloudWatch that these alarms need.
func (tpl template) notifying(t *testing.T, names map[string]string, data []datum) (notify []string) {
	t.Helper()
	rings := func(reference string) bool {
		for id, r := range tpl.Resources {
			if r.Type == "AWS::CloudWatch::Alarm" && strings.Contains(reference, id) {
				return tpl.inAlarm(t, r.Properties, names, data)
			}
		}
		t.Fatalf("%s is not an alarm", reference)
		return false
	}
	for id, r := range tpl.Resources {
		ringing := false
		switch {
		case r.Properties["AlarmActions"] == nil:
			continue
		case r.Type == "AWS::CloudWatch::Alarm":
			ringing = rings(id)
		case r.Type == "AWS::CloudWatch::CompositeAlarm":
			rule, _ := json.Marshal(r.Properties["AlarmRule"])
			ringing = rings(string(rule)) && !rings(logicalID(r.Properties["ActionsSuppressor"]))
		}
		if ringing {
			notify = append(notify, r.Properties["AlarmName"].(string))
		}
	}
	slices.Sort(notify)
	return notify
}

// inAlarm evaluates one alarm: each of its periods has a value, or none.
func (tpl template) inAlarm(t *testing.T, p object, names map[string]string, data []datum) bool {
	t.Helper()
	metric, statistic, period, filled := p, p["Statistic"], p["Period"], false
	for _, query := range asList(p["Metrics"]) {
		if stat, ok := query.(object)["MetricStat"].(object); ok {
			metric, statistic, period = stat["Metric"].(object), stat["Stat"], stat["Period"]
		} else if filled = query.(object)["Expression"] == "FILL(metric, 0)"; !filled {
			t.Fatalf("this test does not understand %v", query)
		}
	}
	var dimensions []string
	for _, d := range asList(metric["Dimensions"]) {
		value, written := d.(object)["Value"].(string)
		if !written {
			value = names[logicalID(d.(object)["Value"])]
		}
		dimensions = append(dimensions, d.(object)["Name"].(string), value)
	}
	name, breaching := metricOf(metric["Namespace"].(string), metric["MetricName"].(string), dimensions...), 0.0
	for i := range int(p["EvaluationPeriods"].(float64)) {
		length := time.Duration(period.(float64)) * time.Second
		var values []float64
		for _, d := range data {
			if d.metric == name && int(d.ago/length) == i {
				values = append(values, d.value)
			}
		}
		if len(values) == 0 && filled {
			values = []float64{0}
		}
		if len(values) == 0 && p["TreatMissingData"] == "breaching" || len(values) > 0 &&
			breaches(t, p, statistic.(string), values) {
			breaching++
		}
	}
	return breaching >= p["DatapointsToAlarm"].(float64)
}

func breaches(t *testing.T, p object, statistic string, values []float64) bool {
	t.Helper()
	value := 0.0
	switch statistic {
	case "Sum":
		for _, v := range values {
			value += v
		}
	case "Minimum":
		value = slices.Min(values)
	case "Maximum":
		value = slices.Max(values)
	default:
		t.Fatalf("this test does not know the statistic %s", statistic)
	}
	switch p["ComparisonOperator"] {
	case "GreaterThanThreshold":
		return value > p["Threshold"].(float64)
	case "LessThanThreshold":
		return value < p["Threshold"].(float64)
	}
	t.Fatalf("this test does not know the comparison %v", p["ComparisonOperator"])
	return false
}

func TestANewDeploymentRaisesNoAlarm(t *testing.T) {
	// The metrics of the built functions before, during and after bootstrap raise no alarm.
	// checkAlarms shows that the alarms work.
	t.Parallel()
	synthesized := everything(t)
	names := map[string]string{}
	for function, id := range synthesized.functions(t) {
		names[id] = function
	}
	names[synthesized.sweepMachine(t)] = "sweeps"
	w := newWorld(t)
	data := func() (all []datum) {
		for _, function := range []string{sandbox.RotateFunction, sandbox.RevokeFunction} {
			for _, line := range w.Lambda.Logs(function) {
				all = append(all, measured(t, function, line.Text)...)
			}
		}
		return all
	}
	check := func(when string) {
		t.Helper()
		if notify := synthesized.notifying(t, names, data()); len(notify) > 0 {
			t.Errorf("%s, the alarms %v notify", when, notify)
		}
	}
	check("before anything has run")
	l := w.begin(&synthesized.Keys[0])
	check("after the deployment's test run")
	if excuse := (datum{metricOf("QuiltRotate", "StepFailedBeforeFirstKey", "FunctionName", "rotate"), 1,
		0}); slices.Contains(data(), excuse) {
		t.Error("the test run of the deployment counts as a failure before the first key")
	}
	l.waitForTheFirstKey()
	check("after a sweep and a rotation before the first key, and the first rotation after it")
	if failed := (datum{metricOf("AWS/Lambda", "Errors", "FunctionName", "rotate"), 1, 0}); !slices.Contains(data(),
		failed) {
		t.Error("the rotation before the first key did not fail, so its excuse was not tested")
	}
	l.sweep()
	check("after a sweep that marks")
	checkAlarms(t, synthesized.template, names, synthesized.Config)
}

// checkAlarms checks the evaluation itself with data that must notify, and with excuses.
func checkAlarms(t *testing.T, synthesized template, names map[string]string, c *config.Config) {
	t.Helper()
	swept := func(hours ...int) (data []datum) {
		for _, ago := range hours {
			data = append(data, datum{metricOf("AWS/States", "ExecutionsSucceeded", "StateMachineArn", "sweeps"), 1,
				time.Duration(ago)*time.Hour + time.Minute})
		}
		return data
	}
	failed := datum{metricOf("AWS/Lambda", "Errors", "FunctionName", "rotate"), 1, 0}
	for when, tried := range map[string]struct {
		data []datum
		want string
	}{
		"the current key is refused": {
			append(swept(0), datum{metricOf("QuiltRotate", "SweepFailed", "FunctionName", "revoke", "ErrorType",
				"CurrentKeyRefused"), 1, 0}), "wake-" + c.Stack + "-current-key-refused"},
		"rotate fails": {append(swept(0), failed), "morning-" + c.Stack + "-rotate-errors"},
		"rotate fails before the first key": {append(swept(0), failed,
			datum{metricOf("QuiltRotate", "StepFailedBeforeFirstKey", "FunctionName", "rotate"), 1, time.Hour}), ""},
		"sweeps stopped 6 hours ago":   {swept(6, 7, 8, 9), "morning-" + c.Stack + "-no-sweep"},
		"sweeps stopped 5 hours ago":   {swept(5, 6, 7, 8), ""},
		"the first sweep was just now": {swept(0), ""},
	} {
		if notify := strings.Join(synthesized.notifying(t, names, tried.data), " "); notify != tried.want {
			t.Errorf("%s: the alarms %q notify, want %q", when, notify, tried.want)
		}
	}
}
