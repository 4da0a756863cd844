package stack_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/infra/keyrotation"
	"quilt-rotate/infra/stack"
	"quilt-rotate/internal/settings"
)

func TestNoUpdateOverwritesAValue(t *testing.T) {
	// CloudFormation writes the value of a secret when the value in the template changes. So all
	// templates of all releases have the same value.
	for _, name := range configurations {
		for id, secret := range configured(t, name).resources("AWS::SecretsManager::Secret") {
			if got := properties(secret)["SecretString"]; got != "{}" {
				t.Errorf("%s: %s has the value %v", name, id, got)
			}
			if _, generated := properties(secret)["GenerateSecretString"]; generated {
				t.Errorf("%s: %s has a generated value", name, id)
			}
		}
	}
}

func TestSecretsAndTheirKMSKeyAreRetained(t *testing.T) {
	// They are kept when the stack is deleted, but not when its first deployment fails: the name of
	// the secret would block the next attempt, and the KMS key would cost money.
	all := configured(t, "everything")
	retained := 0
	for _, kind := range []string{"AWS::SecretsManager::Secret", "AWS::KMS::Key"} {
		for id, r := range all.resources(kind) {
			if strings.Contains(text(properties(r)["Description"]), "encrypts the alarms") {
				continue
			}
			retained++
			if r["DeletionPolicy"] != "RetainExceptOnCreate" || r["UpdateReplacePolicy"] != "Retain" {
				t.Errorf("%s has the policies %v and %v", id, r["DeletionPolicy"], r["UpdateReplacePolicy"])
			}
		}
	}
	if retained != 4 {
		t.Errorf("%d resources were checked", retained)
	}
}

func TestNoDeploymentRotates(t *testing.T) {
	// No schedule rotates at deployment. Each one depends on the permission to call the function,
	// because testSecret runs at once; the permission names the account.
	for _, name := range configurations {
		all := configured(t, name)
		all.has("AWS::Lambda::Permission", object{"Principal": "secretsmanager.amazonaws.com",
			"SourceAccount": "123456789012"})
		var permission string
		for id := range all.resources("AWS::Lambda::Permission") {
			permission = id
		}
		schedules := all.resources("AWS::SecretsManager::RotationSchedule")
		if len(schedules) == 0 {
			t.Errorf("%s has no rotation schedule", name)
		}
		for id, schedule := range schedules {
			if properties(schedule)["RotateImmediatelyOnUpdate"] != false {
				t.Errorf("%s: %s rotates on deploy", name, id)
			}
			if depends := text(schedule["DependsOn"]); !strings.Contains(depends, permission) ||
				!strings.Contains(depends, "RotateSecrets") || !strings.Contains(depends, "Dashboard") {
				t.Errorf("%s: %s does not wait for permissions: %s", name, id, depends)
			}
		}
	}
}

func TestASecretHasTheOptionsOfItsEntry(t *testing.T) {
	// These are the tags, readers, replicas, schedule and window.
	all := configured(t, "everything")
	tags := all.secretTags("staging/pipeline")
	want := map[string]string{
		"Application": "quilt-rotate", "Environment": "staging", "team": "data", "cost-center": "4711",
		"quilt-rotate:field": "QUILT_API_KEY", "quilt-rotate:key-name": "pipeline",
		"quilt-rotate:owner": "robot@example.com", "quilt-rotate:expires-in-days": "120",
		"quilt-rotate:grace": "48h", "quilt-rotate:quiet": "26h", "quilt-rotate:hold-limit": "168h",
		"quilt-rotate:restart":  "staging/pipeline staging/reports",
		"quilt-rotate:registry": "https://registry.example.com",
		"quilt-rotate:issuer":   "arn:aws:secretsmanager:us-east-1:123456789012:secret:quilt/issuer-a1b2c3",
	}
	if !maps.Equal(tags, want) {
		t.Errorf("the tags are %v, want %v", tags, want)
	}
	all.has("AWS::SecretsManager::Secret", object{"Name": "staging/pipeline", "ReplicaRegions": []any{
		object{"Region": "us-west-2",
			"KmsKeyId": "arn:aws:kms:us-west-2:123456789012:key/66666666-7777-8888-9999-000000000000"},
		object{"Region": "eu-west-1"},
	}})
	all.has("AWS::SecretsManager::RotationSchedule",
		object{"RotationRules": object{"ScheduleExpression": "cron(0 4 ? * 1#1 *)", "Duration": "2h"}})
}

func (t template) secretTags(name string) map[string]string {
	t.Helper()
	for _, secret := range t.resources("AWS::SecretsManager::Secret") {
		if properties(secret)["Name"] != name {
			continue
		}
		tags := map[string]string{}
		for _, tag := range properties(secret)["Tags"].([]any) {
			tags[tag.(object)["Key"].(string)] = tag.(object)["Value"].(string)
		}
		return tags
	}
	t.Fatalf("there is no secret %s", name)
	return nil
}

func TestARetiredKeyKeepsItsSecretWithoutSchedule(t *testing.T) {
	c := parse(t, named("prod/kept"), "{name: prod/retired, schedule: rate(30 days), restart: [{cluster: a, "+
		"service: b}]}")
	before := synth(t, c)
	c.Retired, c.Keys = c.Keys[1:], c.Keys[:1]
	after := synth(t, c)
	if diff := missing(before.resources("AWS::SecretsManager::Secret"),
		after.resources("AWS::SecretsManager::Secret")); diff != "" {
		t.Errorf("the secret of a retired key changes: %s", diff)
	}
	after.count("AWS::SecretsManager::RotationSchedule", 1)
	if strings.Contains(text(after.JSON), "updateService") {
		t.Error("the services of the retired key are still redeployed")
	}
	if strings.Contains(text(after.JSON["Outputs"]), "bootstrap prod/retired") {
		t.Error("the outputs have the command that stores a first key in the retired secret")
	}
}

// missing describes the first resource that is missing or different after an update. It ignores
// metadata, which does not change a resource.
func missing(before, after map[string]object) string {
	for id, resource := range before {
		delete(resource, "Metadata")
		delete(after[id], "Metadata")
		if text(resource) != text(after[id]) {
			return fmt.Sprintf("%s was %s, is %s", id, text(resource), text(after[id]))
		}
	}
	return ""
}

func TestLogicalIdsDependOnlyOnTheSecretsName(t *testing.T) {
	// A change of the other keys or of their order must not replace a secret.
	ours := func(keys ...string) map[string]object {
		found := map[string]object{}
		for _, kind := range []string{"AWS::SecretsManager::Secret", "AWS::SecretsManager::RotationSchedule"} {
			for id, resource := range synth(t, parse(t, keys...)).resources(kind) {
				if strings.HasPrefix(id, config.KeyID("prod/a")) {
					found[id] = resource
				}
			}
		}
		return found
	}
	alone := ours(named("prod/a"))
	if len(alone) != 2 {
		t.Fatalf("the key has %d resources with its id", len(alone))
	}
	for _, keys := range [][]string{{named("prod/b"), named("prod/a")}, {named("prod/a"), named("prod/b")},
		{named("prod-a"), named("prod/c"), named("prod/a"), named("0")}} {
		if diff := missing(alone, ours(keys...)); diff != "" {
			t.Errorf("with the keys %v, %s", keys, diff)
		}
	}
	seen := map[string]string{}
	for _, name := range []string{"prod/a", "prod-a", "prod_a", "proda", "Prod/a", "prod/A", "prod//a", "a", "/",
		strings.Repeat("a", 200), strings.Repeat("a", 201)} {
		id := config.KeyID(name)
		if other, taken := seen[id]; taken || len(id) > 120 || !regexp.MustCompile(`^Key[A-Za-z0-9]+$`).MatchString(
			id) {
			t.Errorf("%s has the id %s, which is %s's, too long or not one", name, id, other)
		}
		seen[id] = name
	}
	// Deployed stacks have ids of this form, so it must never change.
	if id := config.KeyID("prod/pipeline"); id != "KeyProdPipeline6d17af66" {
		t.Errorf("the id of prod/pipeline is now %s", id)
	}
}

func TestAnAdoptedSecretGetsOnlyASchedule(t *testing.T) {
	// The stack creates no secret and no policy for it. An output has the command that writes the
	// tags.
	all := configured(t, "adopted")
	all.count("AWS::SecretsManager::Secret", 0)
	all.count("AWS::SecretsManager::ResourcePolicy", 0)
	const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/reports-d4e5f6"
	all.has("AWS::SecretsManager::RotationSchedule", object{"SecretId": arn})
	want := "AWS_REGION=eu-west-1 quilt-rotate adopt " + arn + " --registry https://registry.internal.example.com " +
		"--expires-in-days 90 --field 'key of reports' --grace 24h --quiet 25h"
	if outputs := text(all.JSON["Outputs"]); !strings.Contains(outputs, want) || strings.Contains(outputs, "--tag") {
		t.Errorf("the outputs do not have %q:\n%s", want, text(all.JSON["Outputs"]))
	}
}

func TestOutputsHaveTheNextCommands(t *testing.T) {
	outputs := text(configured(t, "everything").JSON["Outputs"])
	for _, want := range []string{
		`"AWS_REGION=us-east-1 quilt-rotate bootstrap staging/pipeline --registry https://registry.example.com"`,
		`"AWS_REGION=us-east-1 quilt-rotate bootstrap staging/plain --registry https://registry.example.com --plain"`,
		`"https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#dashboards:name=keys-of-everything-keys"`,
		`"RotateFunction"`, `"RevokeFunction"`, `"RotateFunctionArn"`, `"RevokeFunctionArn"`, `"AlarmTopic"`,
	} {
		if !strings.Contains(outputs, want) {
			t.Errorf("the outputs do not have %s:\n%s", want, outputs)
		}
	}
}

func TestOtherStacksFindTheFunctions(t *testing.T) {
	all := configured(t, "everything")
	for name, function := range map[string]string{"rotate": "KeyRotationRotateADDE5614",
		"revoke": "KeyRotationRevokeC64E37CF"} {
		all.has("AWS::SSM::Parameter", object{"Name": "/quilt-rotate/keys-of-everything/" + name + "-function-arn",
			"Type": "String", "Value": object{"Fn::GetAtt": []any{function, "Arn"}}})
	}
}

func TestServicesAreRedeployedWhenAWSCURRENTMoves(t *testing.T) {
	all := configured(t, "everything")
	var input, pattern string
	for _, rule := range all.resources("AWS::Events::Rule") {
		if p := text(properties(rule)["EventPattern"]); strings.Contains(p, "Secret Label Updated") {
			input, pattern = text(properties(rule)["Targets"].([]any)[0].(object)["Input"]), p
		}
	}
	if want := `"{\"services\":[{\"cluster\":\"staging\",\"service\":\"pipeline\"},{\"cluster\":\"staging\",\"service\":\"reports\"}]}"`; input != want {
		t.Errorf("the services are %s, want %s", input, want)
	}
	if want := `"detail":{"labelUpdated":["AWSCURRENT"]}`; !strings.Contains(pattern, want) ||
		!strings.Contains(pattern, `"resources":[{"Ref":"`+config.KeyID("staging/pipeline")) {
		t.Errorf("the pattern is %s", pattern)
	}
	definition := all.restarts()
	for _, want := range []string{`"Resource": "arn:${Partition}:states:::aws-sdk:ecs:updateService`,
		`"ForceNewDeployment": true`, `$.Service.ServiceArn`} {
		if !strings.Contains(definition, want) {
			t.Errorf("the state machine has no %s: %s", want, definition)
		}
	}
}

func TestAFailedRedeploymentDoesNotStopTheOthers(t *testing.T) {
	// The failure is caught in its own item of the Map. The execution fails after all items.
	definition := configured(t, "everything").restarts()
	for _, want := range []string{
		`"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "NotRedeployed"}]`,
		`"NotRedeployed": {"Type": "Pass", "Result": "failed", "ResultPath": "$.outcome", "End": true}`,
		`"failed.$": "States.ArrayContains($.services[*].outcome, 'failed')"`,
		`"Choices": [{"Variable": "$.failed", "BooleanEquals": true, "Next": "Failed"}], "Default": "Done"`,
		`"Type": "Fail"`,
	} {
		if !strings.Contains(definition, want) {
			t.Errorf("the state machine has no %s: %s", want, definition)
		}
	}
}

// restarts returns the definition of the state machine that redeploys services.
func (t template) restarts() string {
	t.Helper()
	for _, machine := range t.resources("AWS::StepFunctions::StateMachine") {
		if definition := text(properties(machine)["DefinitionString"]); strings.Contains(definition, "updateService") {
			return strings.ReplaceAll(definition, `\"`, `"`)
		}
	}
	t.Fatal("no state machine redeploys services")
	return ""
}

func TestGovCloud(t *testing.T) {
	// The template has no ARN of another partition, and the URL of the GovCloud console.
	c, err := config.Parse("config.yaml",
		[]byte(`{stack: quilt-rotate-gov, account: "123456789012", region: us-gov-west-1, registry: "https://registry.example.com", kmsKey: new,
		keys: [{name: a, schedule: rate(30 days), readers: ["arn:aws-us-gov:iam::123456789012:role/a"], restart: [{cluster: c, service: s}]}]}`), config.AWS{})
	if err != nil {
		t.Fatal(err)
	}
	all := synth(t, c)
	if other := regexp.MustCompile(`arn:aws:[^"\\]*`).FindString(text(all.JSON)); other != "" {
		t.Errorf("the template has %s", other)
	}
	if dashboard := text(all.JSON["Outputs"].(object)["Dashboard"]); !strings.Contains(dashboard,
		"https://console.amazonaws-us-gov.com/cloudwatch/home?region=us-gov-west-1#") {
		t.Errorf("the dashboard is at %s", dashboard)
	}
}

// constructs returns a second stack of an app whose first stack has a KeyRotation for each id.
func constructs(t *testing.T, ids ...string) (awscdk.Stack, []keyrotation.KeyRotation) {
	t.Helper()
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir()), AnalyticsReporting: jsii.Bool(false)})
	other := awscdk.NewStack(app, jsii.String("Other"), nil)
	var rotations []keyrotation.KeyRotation
	for _, id := range ids {
		rotations = append(rotations, keyrotation.NewKeyRotation(other, jsii.String(id), least()))
	}
	return other, rotations
}

// least returns the required props.
func least() *keyrotation.KeyRotationProps {
	return &keyrotation.KeyRotationProps{
		RegistryURL: jsii.String("https://registry.example.com"), RotateZip: jsii.String(packages.Rotate),
		RevokeZip: jsii.String(packages.Revoke),
	}
}

func newSecret(scope awscdk.Stack, id string) awssecretsmanager.ISecret {
	return awssecretsmanager.NewSecret(scope, jsii.String(id),
		&awssecretsmanager.SecretProps{SecretStringValue: awscdk.SecretValue_UnsafePlainText(
			jsii.String(keyrotation.Empty))})
}

func monthly() *keyrotation.RotateOptions {
	return &keyrotation.RotateOptions{Schedule: jsii.String("rate(30 days)")}
}

func TestTheStackOfTheFunctionsDependsOnNoOtherStack(t *testing.T) {
	// A team's stack imports the function's ARN. The stack of the functions imports nothing, so
	// there is no cycle.
	platform, rotations := constructs(t, "Rotation")
	app := awscdk.App_Of(platform)
	team := awscdk.NewStack(app, jsii.String("Team"), nil)
	options := monthly()
	options.Restart = []config.Service{{Cluster: "c", Service: "s"}}
	rotations[0].Rotate(newSecret(team, "New"), options)
	imported := awssecretsmanager.Secret_FromSecretCompleteArn(team, jsii.String("Imported"),
		jsii.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/a-a1b2c3"))
	rotations[0].Rotate(imported, monthly())
	byToken := awssecretsmanager.Secret_FromSecretCompleteArn(team, jsii.String("ByToken"),
		awscdk.Fn_ImportValue(jsii.String("of-another-tool")))
	rotations[0].Rotate(byToken, monthly())

	all, ofTeam := templateOf(t, platform), templateOf(t, team)
	ofTeam.count("AWS::SecretsManager::RotationSchedule", 3)
	ofTeam.count("AWS::Events::Rule", 1)
	for id, schedule := range ofTeam.resources("AWS::SecretsManager::RotationSchedule") {
		if function := text(properties(schedule)["RotationLambdaARN"]); !strings.Contains(function, "Fn::ImportValue") {
			t.Errorf("%s calls %s", id, function)
		}
	}
	for _, secret := range ofTeam.resources("AWS::SecretsManager::Secret") {
		if tags := text(properties(secret)["Tags"]); !strings.Contains(tags,
			`{"Key":"quilt-rotate:registry","Value":"https://registry.example.com"}`) ||
			!strings.Contains(tags, `{"Key":"quilt-rotate:grace","Value":"24h"}`) {
			t.Errorf("the tags are %s", tags)
		}
	}
	if resources := text(all.JSON["Resources"]); strings.Contains(resources, "Fn::ImportValue") ||
		strings.Contains(resources, "prod/a") {
		t.Error("the stack of the functions has a reference to the team's secret")
	}
	if _, rotate := all.function("Rotates"); rotate[settings.EnvExpiresInDays] != "90" {
		t.Errorf("the environment is %v", rotate)
	}
}

func TestPropsMayBeTokens(t *testing.T) {
	// A value that is known only at deployment, such as a parameter, is not checked at synthesis.
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir()), AnalyticsReporting: jsii.Bool(false)})
	other := awscdk.NewStack(app, jsii.String("Other"), nil)
	parameter := func(id string) *string { return awscdk.NewCfnParameter(other, jsii.String(id), nil).ValueAsString() }
	props := least()
	props.RegistryURL, props.AlarmTopic = parameter("Registry"), awssns.Topic_FromTopicArn(other, jsii.String("Topic"),
		parameter("TopicArn"))
	subnets := []string{*parameter("SubnetA"), *parameter("SubnetB")}
	groups := awscdk.NewCfnParameter(other, jsii.String("Groups"),
		&awscdk.CfnParameterProps{Type: jsii.String("List<String>")}).ValueAsList()
	props.Network = &config.Network{VPC: *parameter("Vpc"), Subnets: subnets, SecurityGroups: []string{*(*groups)[0]},
		Proxy: *parameter("Proxy")}
	props.PermissionsBoundary, props.LogLevel, props.IssuerArns = parameter("Boundary"), parameter("LogLevel"),
		[]string{*parameter("OtherIssuer")}
	props.LogRetentionDays = awscdk.NewCfnParameter(other, jsii.String("Retention"),
		&awscdk.CfnParameterProps{Type: jsii.String("Number")}).ValueAsNumber()
	rotation := keyrotation.NewKeyRotation(other, jsii.String("Rotation"), props)
	rotation.Rotate(newSecret(other, "Secret"), &keyrotation.RotateOptions{
		Schedule: parameter("Schedule"), Field: parameter("Field"), Owner: parameter("Owner"),
		KeyName: parameter("KeyName"), IssuerArn: parameter("Issuer"),
	})
	all := templateOf(t, other)
	all.has("AWS::SecretsManager::RotationSchedule",
		object{"RotationRules": object{"ScheduleExpression": object{"Ref": "Schedule"}}})
	all.has("AWS::Lambda::Function", object{"VpcConfig": object{
		"SubnetIds": []any{object{"Ref": "SubnetA"}, object{"Ref": "SubnetB"}}, "SecurityGroupIds": object{
			"Ref": "Groups"},
	}})
	all.has("AWS::CloudWatch::Alarm", object{"OKActions": []any{object{"Ref": "TopicArn"}}})
	// An unknown schedule does not change the threshold: with 0 days, the alarm would never be
	// raised.
	all.has("AWS::CloudWatch::Alarm", object{"AlarmName": "morning-Other-Rotation-key-expires-soon", "Threshold": 14})
	if _, rotate := all.function("Rotates"); text(rotate[settings.EnvRegistryURL]) != `{"Ref":"Registry"}` {
		t.Errorf("the environment is %v", rotate)
	}
}

func TestTwoRegistriesInOneStack(t *testing.T) {
	// The names of alarms and dashboards must be different.
	other, _ := constructs(t, "KeyRotation", "of eu", "of us")
	all, seen := templateOf(t, other), map[string]string{}
	for _, kind := range []string{"AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm",
		"AWS::CloudWatch::Dashboard"} {
		for id, r := range all.resources(kind) {
			name, _ := properties(r)["AlarmName"].(string)
			if kind == "AWS::CloudWatch::Dashboard" {
				name = properties(r)["DashboardName"].(string)
				if !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(name) {
					t.Errorf("CloudWatch refuses the name %q of a dashboard", name)
				}
			}
			if twin, taken := seen[name]; taken || name == "" {
				t.Errorf("%s and %s both have the name %q", id, twin, name)
			}
			seen[name] = id
		}
	}
}

// refusal returns the message of the panic.
func refusal(build func()) (sentence string) {
	defer func() {
		if cause := recover(); cause != nil {
			sentence = fmt.Sprint(cause)
		}
	}()
	build()
	return ""
}

func TestWrongOptionsAreRefused(t *testing.T) {
	// The rules of the file apply. The message has the path of the secret and the fix.
	with := func(change func(o *keyrotation.RotateOptions)) *keyrotation.RotateOptions {
		o := monthly()
		change(o)
		return o
	}
	other, rotations := constructs(t, "Rotation")
	for i, c := range []struct {
		options *keyrotation.RotateOptions
		want    string
	}{
		{monthly(), ""},
		{with(func(o *keyrotation.RotateOptions) { o.Window = awscdk.Duration_Hours(jsii.Number(2)) }), ""},
		{nil, "RotateOptions.schedule: is not set"},
		{with(func(o *keyrotation.RotateOptions) { o.Schedule = jsii.String("nonsense") }),
			"RotateOptions.schedule: must be rate("},
		{with(func(o *keyrotation.RotateOptions) { o.ExpiresInDays = jsii.Number(30) }),
			"RotateOptions.expiresInDays: is too short for one missed rotation"},
		{with(func(o *keyrotation.RotateOptions) { o.Window = awscdk.Duration_Minutes(jsii.Number(1)) }),
			"RotateOptions.window: must be whole hours"},
		{with(func(o *keyrotation.RotateOptions) { o.Grace = awscdk.Duration_Minutes(jsii.Number(1)) }),
			"RotateOptions.grace: must be at least 2h"},
	} {
		id := fmt.Sprintf("Secret%d", i)
		if c.want != "" {
			c.want = "Other/" + id + ": " + c.want
		}
		if got := refusal(func() { rotations[0].Rotate(newSecret(other, id), c.options) }); !strings.HasPrefix(got,
			c.want) || c.want == "" && got != "" {
			t.Errorf("it is refused with %q, want %q", got, c.want)
		}
	}
	imported := func(stack awscdk.Stack, id, region string) awssecretsmanager.ISecret {
		return awssecretsmanager.Secret_FromSecretCompleteArn(stack, jsii.String(id),
			jsii.String("arn:aws:secretsmanager:"+region+":123456789012:secret:prod/a-a1b2c3"))
	}
	if got := refusal(func() { rotations[0].Rotate(nil, monthly()) }); got != "Other/Rotation: Rotate is called "+
		"without a secret" {
		t.Errorf("no secret is refused with %q", got)
	}
	secret := imported(other, "Imported", "us-east-1")
	rotations[0].Rotate(secret, monthly())
	if got, want := refusal(func() { rotations[0].Rotate(secret, monthly()) }),
		"Other/Imported: Rotate was already called for this secret"; !strings.HasPrefix(got, want) {
		t.Errorf("a second call is refused with %q", got)
	}
	if got, want := refusal(func() { rotations[0].Rotate(imported(other, "Again", "us-east-1"), monthly()) }),
		"Other/Again: RotateOptions: has the same secret as Other/Imported"; !strings.HasPrefix(got, want) {
		t.Errorf("a second import is refused with %q", got)
	}
	environment := &awscdk.StackProps{Env: &awscdk.Environment{Account: jsii.String("123456789012"),
		Region: jsii.String("us-east-1")}}
	app := awscdk.App_Of(other)
	rotation := keyrotation.NewKeyRotation(awscdk.NewStack(app, jsii.String("Here"), environment),
		jsii.String("Rotation"), least())
	environment.Env.Region = jsii.String("eu-west-1")
	elsewhere := awscdk.NewStack(app, jsii.String("Elsewhere"), environment)
	if got := refusal(func() { rotation.Rotate(newSecret(elsewhere, "Secret"), monthly()) }); !strings.Contains(got,
		"Elsewhere/Secret: the secret is in account 123456789012 and region eu-west-1") {
		t.Errorf("a secret of another region is refused with %q", got)
	}
}

func TestWrongPropsAreRefused(t *testing.T) {
	other, _ := constructs(t)
	subnet := []string{"subnet-01234567"}
	imported := func(name string) awssns.ITopic {
		return awssns.Topic_FromTopicArn(other, jsii.String("Topic"+name),
			jsii.String("arn:aws:sns:us-east-1:123456789012:"+name))
	}
	in := func(n config.Network) func(p *keyrotation.KeyRotationProps) {
		return func(p *keyrotation.KeyRotationProps) { p.Network = &n }
	}
	for want, change := range map[string]func(p *keyrotation.KeyRotationProps){
		"RegistryURL is not set": func(p *keyrotation.KeyRotationProps) { p.RegistryURL = nil },
		"KeyRotationProps.registry: must be": func(p *keyrotation.KeyRotationProps) {
			p.RegistryURL = jsii.String("http://registry.example.com")
		},
		"RotateZip or RevokeZip is not set": func(p *keyrotation.KeyRotationProps) { p.RevokeZip = nil },
		"KeyRotationProps.orphanAge: must be": func(p *keyrotation.KeyRotationProps) {
			p.OrphanAge = awscdk.Duration_Minutes(jsii.Number(14))
		},
		"KeyRotationProps.sweep: must be": func(p *keyrotation.KeyRotationProps) {
			p.Sweep = awscdk.Duration_Hours(jsii.Number(2))
		},
		"KeyRotationProps.logLevel: must be": func(p *keyrotation.KeyRotationProps) {
			p.LogLevel = jsii.String("debug")
		},
		"KeyRotationProps.logRetentionDays: ": func(p *keyrotation.KeyRotationProps) {
			p.LogRetentionDays = jsii.Number(42)
		},
		"KeyRotationProps.issuers[0]: must be": func(p *keyrotation.KeyRotationProps) { p.IssuerArns = []string{"*"} },
		"KeyRotationProps.permissionsBoundary:": func(p *keyrotation.KeyRotationProps) {
			p.PermissionsBoundary = jsii.String("boundary")
		},
		"KeyRotationProps.alarms.email: must": func(p *keyrotation.KeyRotationProps) {
			p.AlarmEmail = jsii.String("team")
		},
		"KeyRotationProps.alarms.topic: is a": func(p *keyrotation.KeyRotationProps) {
			p.AlarmTopic = imported("t.fifo")
		},
		"AlarmEmail cannot be combined with AlarmTopic": func(p *keyrotation.KeyRotationProps) {
			p.AlarmEmail, p.AlarmTopic = jsii.String("a@example.com"), imported("t")
		},
		"KeyRotationProps.network.subnets: has 17": in(config.Network{VPC: "vpc-01234567",
			Subnets: slices.Repeat(subnet, 17)}),
		"KeyRotationProps.network.securityGroups: has 6": in(config.Network{Subnets: subnet,
			SecurityGroups: slices.Repeat([]string{"sg-01234567"}, 6)}),
		"KeyRotationProps.network.subnets: is empty": in(config.Network{VPC: "vpc-01234567"}),
		"KeyRotationProps.network.vpc: is not set":   in(config.Network{Subnets: subnet}),
		"KeyRotationProps.network.proxy: must be": in(config.Network{VPC: "vpc-01234567", Subnets: subnet,
			Proxy: "http://user:password@proxy.example.com:3128"}),
	} {
		props := least()
		change(props)
		if got := refusal(func() {
			keyrotation.NewKeyRotation(other, jsii.String("Rotation"),
				props)
		}); !strings.HasPrefix(got, "Other/Rotation: "+want) {
			t.Errorf("it is refused with %q, want %q", got, want)
		}
	}
	china := &awscdk.StackProps{Env: &awscdk.Environment{Account: jsii.String("123456789012"),
		Region: jsii.String("cn-north-1")}}
	stack := awscdk.NewStack(awscdk.App_Of(other), jsii.String("China"), china)
	if got := refusal(func() {
		keyrotation.NewKeyRotation(stack, jsii.String("Rotation"),
			least())
	}); !strings.Contains(got, "is in the partition aws-cn, which is not supported") {
		t.Errorf("China is refused with %q", got)
	}
}

func TestReadersAreNamedByConditions(t *testing.T) {
	// AWS refuses a policy with a principal that was deleted, so no reader is a principal.
	all := configured(t, "everything")
	policies := map[string][]object{}
	for _, policy := range all.resources("AWS::SecretsManager::ResourcePolicy") {
		policies[text(properties(policy)["SecretId"])] = statementsOf(properties(policy), "ResourcePolicy")
	}
	const actions = `"Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue"]`
	pipeline := policies[`{"Ref":"`+config.KeyID("staging/pipeline")+`Secret55649D76"}`]
	want := `[{` + actions +
		`,"Condition":{"ArnEquals":{"aws:PrincipalArn":["arn:aws:iam::123456789012:role/pipeline"]},"StringEquals":{"aws:PrincipalAccount":"123456789012"}},` +
		`"Effect":"Allow","Principal":{"AWS":"*"},"Resource":"*","Sid":"ReadersOf123456789012"},` +
		`{` + actions +
		`,"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},"Resource":"*","Sid":"Account210987654321"}]`
	if got := text(pipeline); got != want {
		t.Errorf("the policy of staging/pipeline has\n%s, want\n%s", got, want)
	}
	for id, key := range all.resources("AWS::KMS::Key") {
		if properties(key)["Description"] != "Quilt key rotation: encrypts the secrets" {
			continue
		}
		for _, s := range statementsOf(properties(key), "KeyPolicy") {
			condition := text(s["Condition"])
			if s["Action"] == "kms:*" {
				continue
			}
			if s["Action"] != "kms:Decrypt" || !strings.Contains(condition,
				`"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com"`) ||
				text(s["Principal"]) == `{"AWS":"*"}` && !strings.Contains(condition,
					`"aws:PrincipalArn":["arn:aws:iam::123456789012:role/gone","arn:aws:iam::123456789012:role/pipeline"]`) {
				t.Errorf("the policy of %s has the statement %s", id, text(s))
			}
		}
	}
}

func TestNamedQueries(t *testing.T) {
	// There are queries for use, failed logins, and created and revoked keys. Each one accepts
	// names in both letter cases, and reads one month only.
	all := configured(t, "everything")
	all.count("AWS::Athena::NamedQuery", 3)
	for id, query := range all.resources("AWS::Athena::NamedQuery") {
		sql := properties(query)["QueryString"].(string)
		if properties(query)["Database"] != "audittraildatabase-1a2b3c" ||
			properties(query)["WorkGroup"] != "quilt-audit" || !strings.Contains(sql, "date_add('day', -30, now())") {
			t.Errorf("%s is %s", id, text(query))
		}
		for _, camel := range regexp.MustCompile(`'\$\.[^']*[A-Z][^']*'`).FindAllString(sql, -1) {
			if !strings.Contains(sql, strings.ToLower(camel)) {
				t.Errorf("%s accepts %s only in this letter case", id, camel)
			}
		}
	}
	configured(t, "smallest").count("AWS::Athena::NamedQuery", 0)
}

func TestTheLargestAcceptedFileFitsOneTemplate(t *testing.T) {
	// The maximum number of accepted keys is at least 100.
	for with, least := range map[string]int{"": 100,
		`, readers: ["arn:aws:iam::123456789012:role/a"], restart: [{cluster: a, service: b}]`: 100} {
		most := fullest(t, func(i int) string {
			return fmt.Sprintf("{name: prod/key-%03d, schedule: rate(30 days)%s}",
				i, with)
		})
		full := synth(t, most)
		resources, outputs := len(full.JSON["Resources"].(object)), len(full.JSON["Outputs"].(object))
		if len(most.Keys) < least || resources > config.MaxResources || outputs > config.MaxOutputs {
			t.Errorf("%d keys need %d resources and %d outputs", len(most.Keys), resources, outputs)
		}
		full.fitsQuotas()
	}
}

func TestTheStackIsProtected(t *testing.T) {
	// CloudFormation refuses to delete the stack unless the file disables this protection.
	for file, want := range map[string]bool{"": true, "terminationProtection: true": true,
		"terminationProtection: false": false} {
		c, err := config.Parse("config.yaml",
			[]byte("stack: a\naccount: \"123456789012\"\nregion: us-east-1\nregistry: https://registry.example.com\n"+
				file), config.AWS{})
		if err != nil {
			t.Fatal(err)
		}
		app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir())})
		if got := *stack.New(app, c, packages).TerminationProtection(); got != want {
			t.Errorf("with %q, termination protection is %t", file, got)
		}
	}
}

// fullest returns the accepted configuration with the maximum number of keys.
func fullest(t *testing.T, key func(i int) string) *config.Config {
	t.Helper()
	var most *config.Config
	sort.Search(500, func(n int) bool {
		text := "stack: quilt-rotate-full\naccount: \"123456789012\"\nregion: " +
			"us-east-1\nregistry: https://registry.example.com\nkeys:\n"
		for i := range n {
			text += "  - " + key(i) + "\n"
		}
		c, err := config.Parse("config.yaml", []byte(text), config.AWS{})
		if err == nil && (most == nil || n > len(most.Keys)) {
			most = c
		}
		return err != nil
	})
	return most
}

func TestTheResourcesOfAStackAreCounted(t *testing.T) {
	// The check of a file uses the same numbers of resources and outputs as the template.
	everything := load(t, "everything")
	everything.Keys, everything.Retired = everything.Keys[:1], nil
	template := synth(t, everything).JSON
	const resourcesOfTheKey, outputsOfTheKey = 4, 1
	if n := len(template["Resources"].(object)) - resourcesOfTheKey; n != config.SharedResources {
		t.Errorf("everything makes %d resources besides those of keys, and the check counts with %d", n,
			config.SharedResources)
	}
	if n := len(template["Outputs"].(object)) - outputsOfTheKey; n != config.SharedOutputs {
		t.Errorf("everything makes %d outputs besides those of keys, and the check counts with %d", n,
			config.SharedOutputs)
	}
}

func TestThePolicyOfTheKMSKeyFitsForEveryAcceptedFile(t *testing.T) {
	var c *config.Config
	var keys []string
	for readers := 0; ; {
		var names []string
		for range 200 {
			names = append(names, fmt.Sprintf(`"arn:aws:iam::%012d:role/reader-%d"`, readers%2+123456789012, readers))
			readers++
		}
		keys = append(keys, fmt.Sprintf("{name: prod/key-%d, schedule: rate(30 days), readers: [%s]}", len(keys),
			strings.Join(names, ", ")))
		more, err := config.Parse("config.yaml",
			[]byte("{stack: quilt-rotate-prod, account: \"123456789012\", region: us-east-1, registry: "+
				"https://registry.example.com, kmsKey: new, keys: ["+
				strings.Join(keys, ",\n")+"]}"), config.AWS{})
		if err != nil {
			if !strings.Contains(err.Error(), "too many readers for the policy of one KMS key") {
				t.Fatal(err)
			}
			break
		}
		c = more
	}
	if c == nil {
		t.Fatal("200 readers are refused")
	}
	synth(t, c).fitsQuotas()
}

// fitsQuotas checks limits that a deployment would otherwise reach: 6,144 characters of a managed
// policy without white space, ten managed policies of a role, 2,048 characters of an event pattern,
// 20,480 of a secret's policy, 32,768 bytes of a KMS key's policy.
func (t template) fitsQuotas() {
	t.Helper()
	join := regexp.MustCompile(`\{"Fn::Join":\["",\["([^\[\]{}]*)"\]\]\}`)
	resolved := func(value any) string { // a reference becomes an ARN
		written := strings.ReplaceAll(text(value), `{"Ref":"AWS::Partition"}`, `"aws"`)
		written = join.ReplaceAllStringFunc(written, func(parts string) string {
			return `"` + strings.ReplaceAll(join.FindStringSubmatch(parts)[1], `","`, "") + `"`
		})
		return regexp.MustCompile(`\{"Ref":"[^"]*"\}`).ReplaceAllString(written,
			`"arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/key-000-AbCdEf"`)
	}
	roles := map[string]int{}
	for id, policy := range t.resources("AWS::IAM::ManagedPolicy") {
		if n := len(resolved(properties(policy)["PolicyDocument"])); n > 6144 {
			t.Errorf("%s has %d characters", id, n)
		}
		roles[text(properties(policy)["Roles"])]++
	}
	if n := slices.Max(slices.Collect(maps.Values(roles))); n > 10 {
		t.Errorf("a role has %d policies", n)
	}
	for id, key := range t.resources("AWS::KMS::Key") {
		if n := len(resolved(properties(key)["KeyPolicy"])); n > 32768 {
			t.Errorf("the policy of %s has %d bytes", id, n)
		}
	}
	for id, policy := range t.resources("AWS::SecretsManager::ResourcePolicy") {
		if n := len(text(properties(policy)["ResourcePolicy"])); n > 20480 {
			t.Errorf("%s has %d characters", id, n)
		}
	}
	for id, rule := range t.resources("AWS::Events::Rule") {
		if n := len(resolved(properties(rule)["EventPattern"])); n > 2048 {
			t.Errorf("the pattern of %s has %d characters", id, n)
		}
	}
}

func BenchmarkSynthesisOfFiftyKeys(b *testing.B) {
	var keys []string
	for i := range 50 {
		keys = append(keys, named(fmt.Sprintf("prod/key-%03d", i)))
	}
	for b.Loop() {
		synth(b, parse(b, keys...))
	}
}
