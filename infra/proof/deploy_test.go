package proof_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/vault"
)

var deploy = flag.Bool("deploy", false, "deploy to a local AWS, which takes a few minutes (make deploy-local)")

func TestDeployment(t *testing.T) {
	// The functions are the arm64 packages that would be deployed to AWS, and the state machine
	// runs in the local AWS.
	if !*deploy {
		t.Skip("SKIPPED: a deployment to a local AWS: run make deploy-local")
	}
	need(t)
	aws := startAWS(t)
	issuer := aws.createSecret("quilt/issuer",
		fmt.Sprintf(`{"username":%q,"password":%q,"serves":["prod/loader"]}`, sandbox.UserName, sandbox.UserPassword))
	fresh := aws.newStack("quilt-rotate-prod", "{name: prod/service, schedule: rate(30 days)}",
		fmt.Sprintf("{name: prod/loader, schedule: rate(30 days), issuer: %q, owner: %s}", issuer, sandbox.UserEmail))
	aws.cdk(fresh.file, "bootstrap")
	fresh.deploy()
	service := fresh.secret("prod/service")
	fresh.checkNew(service)

	fresh.carryOutNext(service)
	rotated(t, service)
	team := fresh.deployTeam("prod/reports")
	rotated(t, team)
	fresh.checkSweeps(3, service, team)
	loader := fresh.secret("prod/loader") // not rotated yet: after a rotation, there is none on need for a day
	fresh.carryOutNext(loader)
	fresh.checkRotationOnNeed(loader)
	fresh.box.Close() //nolint:errcheck // another registry follows

	testUpdate(t, aws, fresh)
}

// rotated rotates a secret: its new key works, its old one does too, and nothing else in its value
// changes.
func rotated(t *testing.T, s *deployedSecret) {
	t.Helper()
	first, _ := s.current()
	before := s.value()
	s.rotate()
	second, version := s.current()
	if second == first || !s.box.Registry.Valid(second) || !s.box.Registry.Valid(first) {
		t.Fatalf("%s: AWSCURRENT must hold a new key that works, and the old one must work too\n%s", s.name,
			s.aws.log())
	}
	if s.value() != strings.Replace(before, first, second, 1) {
		t.Errorf("%s: more than the key changed in the value", s.name)
	}
	created, _ := s.box.Registry.KeyBySecret(second)
	if labels := s.labels()[version]; !strings.Contains(labels, vault.KeyLabel(created.ID)) {
		t.Errorf("%s: the new version does not have its key's label: %s", s.name, labels)
	}
}

// A deployedStack is a stack, with a registry of its own: a stack sweeps all secrets of its
// registry.
type deployedStack struct {
	t        *testing.T
	aws      *localAWS
	box      *sandbox.Sandbox
	name     string
	file     string // of its configuration
	template template
	runs     int
}

func (a *localAWS) newStack(name string, keys ...string) *deployedStack {
	a.t.Helper()
	box, err := sandbox.Start(sandbox.Options{})
	must(a.t, err)
	a.t.Cleanup(func() { _ = box.Close() })
	d := &deployedStack{t: a.t, aws: a, box: box, name: name}
	d.file = write(a.t, "stack: %s\nregistry: %s\nkeys: [%s]\n", name, box.RegistryURL, strings.Join(keys, ", "))
	d.template = synthesize(a.t, d.file).template
	return d
}

// deploy creates the stack or updates it. moto's change sets lose outputs, and before an update it
// does not know the parameters of the template.
func (d *deployedStack) deploy() {
	d.t.Helper()
	d.aws.cdk(d.file, "deploy", "--method=direct", "--no-previous-parameters", "--require-approval", "never",
		"--progress", "events")
}

func (d *deployedStack) output(name string) (value string) {
	d.t.Helper()
	d.aws.cli(&value, "cloudformation", "describe-stacks", "--stack-name", d.name,
		"--query", "Stacks[0].Outputs[?OutputKey=='"+name+"'].OutputValue | [0]")
	if value == "" {
		d.t.Fatalf("the stack %s has no output %s", d.name, name)
	}
	return value
}

// physicalID is what a resource of the template is called in the local AWS.
func (d *deployedStack) physicalID(logicalID string) (id string) {
	d.t.Helper()
	d.aws.cli(&id, "cloudformation", "describe-stack-resource", "--stack-name", d.name, "--logical-resource-id",
		logicalID,
		"--query", "StackResourceDetail.PhysicalResourceId")
	return id
}

// checkNew checks a stack that was just deployed: the secret waits for its first key, its rotation
// is on, one schedule starts the sweeps, and no alarm rings.
func (d *deployedStack) checkNew(s *deployedSecret) {
	d.t.Helper()
	rotate := d.output("RotateFunction")
	value, now := s.value(), s.describe()
	if value != "{}" || !now.RotationEnabled || !strings.HasSuffix(now.RotationLambdaARN, rotate) {
		d.t.Fatalf("the secret must hold {} and be rotated by %s: %q, %+v", rotate, value, now)
	}
	var targets []string
	d.aws.cli(&targets, "scheduler", "list-schedules", "--query", "Schedules[].Target.Arn")
	if machine := d.physicalID(d.template.sweepMachine(d.t)); len(targets) != 1 || targets[0] != machine {
		d.t.Fatalf("one schedule must start %s: %v", machine, targets)
	}
	var alarms int
	d.aws.cli(&alarms, "cloudwatch", "describe-alarms", "--query", "length(MetricAlarms)")
	if alarms == 0 {
		d.t.Fatal("there are no alarms")
	}
	d.checkQuiet("after the deployment")
}

// checkQuiet evaluates the stack's alarms on what the functions have logged: none may notify
// anybody.
func (d *deployedStack) checkQuiet(when string) {
	d.t.Helper()
	var data []datum
	var groups []string // a function has one when it has run
	d.aws.cli(&groups, "logs", "describe-log-groups", "--query", "logGroups[].logGroupName")
	names := map[string]string{d.template.sweepMachine(d.t): "sweeps"}
	for name, id := range d.template.functions(d.t) {
		function := d.output(strings.ToUpper(name[:1]) + name[1:] + "Function")
		function = function[strings.LastIndex(function, ":")+1:]
		names[id] = function
		if !slices.Contains(groups, "/aws/lambda/"+function) {
			continue
		}
		var messages []string
		d.aws.cli(&messages, "logs", "filter-log-events", "--log-group-name", "/aws/lambda/"+function,
			"--query", "events[].message")
		for _, message := range messages {
			data = append(data, measured(d.t, function, message)...)
		}
	}
	if len(data) == 0 {
		d.t.Fatalf("%s, no function has logged a metric, although the deployment tests the rotation\n%s", when,
			d.aws.log())
	}
	if notify := d.template.notifying(d.t, names, data); len(notify) > 0 {
		d.t.Errorf("%s, alarms notify: %v", when, notify)
	}
}

// carryOutNext types the command that the outputs print, with a key of the user to log in with on
// standard input.
func (d *deployedStack) carryOutNext(s *deployedSecret) {
	d.t.Helper()
	s.bootstrap(d.output(config.KeyID(s.name) + "Next"))
}

// bootstrap waits for the end of the rotation's test run, whose version would be pending, and types
// the command.
func (s *deployedSecret) bootstrap(line string) {
	s.t.Helper()
	s.await(func() bool { return !strings.Contains(fmt.Sprint(s.labels()), vault.Pending) }, "the end of the test run")
	_, key := s.box.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	path := "PATH=" + s.aws.command + string(os.PathListSeparator) + os.Getenv("PATH")
	carryOut(s.t, line, key, append(s.aws.environment(), path))
	s.t.Logf("$ %s", line)
}

// deployTeam deploys the template of the documentation, as a team does that has a secret in a stack
// of its own. The parameter that it reads by default is that of this stack.
func (d *deployedStack) deployTeam(secretName string) *deployedSecret {
	d.t.Helper()
	file := filepath.Join(root(d.t), "docs", "tools", "cloudformation.yaml")
	d.aws.cli(nil, "cloudformation", "create-stack", "--stack-name", "team", "--template-body", "file://"+file,
		"--parameters",
		"ParameterKey=Registry,ParameterValue="+d.box.RegistryURL, "ParameterKey=SecretName,ParameterValue="+secretName)
	s := d.secret(secretName)
	s.bootstrap("AWS_REGION=" + region + " quilt-rotate bootstrap " + secretName + " --registry " + d.box.RegistryURL)
	return s
}

// A run is an execution of the state machine.
type run struct {
	status  string
	outputs map[string][]string // of states, in the order in which they ended
}

// sweep starts a run with the input of the schedule and waits for its end.
func (d *deployedStack) sweep(limit int) run {
	d.t.Helper()
	machine := d.physicalID(d.template.sweepMachine(d.t))
	var input string
	name := d.template.Resources[d.template.functions(d.t)["rotate"]].Properties
	schedule := tagOf(name, "quilt-rotate:schedule")
	d.aws.cli(&input, "scheduler", "get-schedule", "--name", schedule, "--query", "Target.Input")
	// EventBridge Scheduler replaces this attribute when it starts a run; the local AWS has no
	// timer.
	input = strings.Replace(input, "<aws.scheduler.scheduled-time>", time.Now().UTC().Format(time.RFC3339), 1)
	input = strings.Replace(input, "{", fmt.Sprintf(`{"limit":%d,`, limit), 1)
	var execution string
	d.runs++
	d.aws.cli(&execution, "stepfunctions", "start-execution", "--state-machine-arn", machine,
		"--name", fmt.Sprintf("run-%d", d.runs), "--input", input, "--query", "executionArn")
	began, r := time.Now(), run{outputs: map[string][]string{}}
	for r.status != "SUCCEEDED" && r.status != "FAILED" {
		if time.Since(began) > 5*time.Minute {
			d.t.Fatalf("the run does not end\n%s", d.aws.log())
		}
		d.aws.cli(&r.status, "stepfunctions", "describe-execution", "--execution-arn", execution, "--query", "status")
	}
	var history []struct{ Name, Output string }
	d.aws.cli(&history, "stepfunctions", "get-execution-history", "--execution-arn", execution,
		"--query", "events[].stateExitedEventDetails.{Name:name,Output:output}")
	for _, event := range history {
		r.outputs[event.Name] = append(r.outputs[event.Name], event.Output)
	}
	d.t.Logf("a run of sweeps, %d secrets a page: %s after %s", limit, r.status,
		time.Since(began).Round(time.Second/10))
	return r
}

func tagOf(properties object, key string) string {
	for _, tag := range asList(properties["Tags"]) {
		if tag.(object)["Key"] == key {
			return tag.(object)["Value"].(string)
		}
	}
	return ""
}

// checkSweeps runs the state machine with one secret a page, and looks at what the sweeps did: they
// mark the superseded version, and revoke nothing yet.
func (d *deployedStack) checkSweeps(pages int, secrets ...*deployedSecret) {
	d.t.Helper()
	r := d.sweep(1)
	if swept := len(r.outputs["Sweep"]); r.status != "SUCCEEDED" || swept != pages {
		d.t.Fatalf("the run must succeed over %d pages: %s after %d\n%v\n%s",
			pages, r.status, swept, r.outputs["NextStep"], d.aws.log())
	}
	for _, s := range secrets {
		if !s.marked() {
			d.t.Errorf("%s: the sweep must mark the superseded version: %v\n%v", s.name, s.labels(), r.outputs["Sweep"])
		}
	}
	d.checkQuiet("after a rotation and a run of sweeps")
}

// checkRotationOnNeed deletes the current key at the registry: the next run rotates the secret with
// its issuing credential, and the run after it reports that.
func (d *deployedStack) checkRotationOnNeed(s *deployedSecret) {
	d.t.Helper()
	refused, _ := s.current()
	key, _ := d.box.Registry.KeyBySecret(refused)
	messages := d.subscribe()
	d.box.Registry.Delete(key.ID)
	r := d.sweep(1000)
	if r.status != "SUCCEEDED" || len(r.outputs["PutRotation"]) != 1 {
		var logs []string
		d.aws.cli(&logs, "logs", "filter-log-events", "--log-group-name", "/aws/lambda/"+d.output("RevokeFunction"),
			"--filter-pattern", s.name, "--query", "events[].message")
		d.t.Fatalf("the run must rotate %s and put an event: %s\n%v\n%s\n%s", s.name, r.status, r.outputs["Sweep"],
			messages(), strings.Join(logs[max(0, len(logs)-8):], ""))
	}
	s.await(func() bool {
		now, _ := s.current()
		return now != refused && d.box.Registry.Valid(now)
	}, "a current key that works")
	if all := messages(); !strings.Contains(all, "Quilt Rotation On Need: "+s.name) {
		d.t.Errorf("a message must say that %s is rotated: %s", s.name, all)
	}
	r = d.sweep(1000)
	if put := strings.Contains(fmt.Sprint(r.outputs["Sweep"]), `"event":{"put":true}`); r.status != "SUCCEEDED" ||
		!put ||
		len(r.outputs["PutRotation"]) != 0 {
		d.t.Errorf("the next run must put an event, and rotate nothing: %s\n%v", r.status, r.outputs["Sweep"])
	}
}

// subscribe returns a function that reads the messages that the topic has got since.
func (d *deployedStack) subscribe() (messages func() string) {
	d.t.Helper()
	sqs := func(answer any, arguments ...string) {
		d.t.Helper()
		// Version 1 of the AWS CLI does not take SQS's endpoint from the environment.
		d.aws.cli(answer, append([]string{"sqs", "--endpoint-url", d.aws.url}, arguments...)...)
	}
	var queue string
	sqs(&queue, "create-queue", "--queue-name", "messages", "--query", "QueueUrl")
	d.aws.cli(nil, "sns", "subscribe", "--topic-arn", d.output("AlarmTopic"), "--protocol", "sqs",
		"--attributes", "RawMessageDelivery=true", "--notification-endpoint", "arn:aws:sqs:"+region+":"+account+
			":messages")
	return func() string {
		d.t.Helper()
		var bodies []string
		sqs(&bodies, "receive-message", "--queue-url", queue, "--max-number-of-messages", "10", "--query",
			"Messages[].Body")
		return strings.Join(bodies, "\n")
	}
}

// testUpdate deploys a stack of the release that had a schedule for each secret, from a template
// that it synthesized, and updates it. Its functions are the present ones: of the former release,
// only the template is kept.
func testUpdate(t *testing.T, aws *localAWS, fresh *deployedStack) {
	const name = "prod/pipeline" // as in the template: logical ids follow from it
	updated := aws.newStack("updated", "{name: "+name+", schedule: rate(30 days)}")
	former, err := os.ReadFile(filepath.Join("testdata", "schedule-for-each-secret.template.json"))
	must(t, err)
	packages := map[string]any{}
	for name, id := range fresh.deployedTemplate().functions(t) {
		packages[name] = fresh.deployedTemplate().Resources[id].Properties["Code"].(object)["S3Key"]
	}
	text := strings.NewReplacer("https://registry.example.com", updated.box.RegistryURL,
		"quilt-rotate-prod-registry-example-com", updated.name).Replace(string(former))
	var template object
	must(t, json.Unmarshal([]byte(text), &template))
	for _, r := range template["Resources"].(object) {
		if r.(object)["Type"] == "AWS::Lambda::Function" {
			properties := r.(object)["Properties"].(object)
			properties["Code"].(object)["S3Key"] = packages[nameOf(properties)]
		}
	}
	body, err := json.Marshal(template)
	must(t, err)
	file := filepath.Join(t.TempDir(), "template.json")
	must(t, os.WriteFile(file, body, 0o600))
	aws.cli(nil, "cloudformation", "create-stack", "--stack-name", updated.name, "--template-body", "file://"+file,
		"--capabilities", "CAPABILITY_NAMED_IAM")
	s := updated.secret(name)
	s.bootstrap("AWS_REGION=" + region + " quilt-rotate bootstrap " + name + " --registry " + updated.box.RegistryURL)
	rotated(t, s)

	value, labels, arn := s.value(), s.labels(), s.describe().ARN
	updated.deploy()
	if s.value() != value || !maps.Equal(s.labels(), labels) || s.describe().ARN != arn {
		t.Errorf("the update must change neither the value nor the versions of the secret: %v, were %v", s.labels(),
			labels)
	}
	rotated(t, s)
	updated.checkSweeps(1, s)
}

// deployedTemplate is the template that CloudFormation has.
func (d *deployedStack) deployedTemplate() (tpl template) {
	d.t.Helper()
	d.aws.cli(&tpl, "cloudformation", "get-template", "--stack-name", d.name, "--query", "TemplateBody")
	return tpl
}
