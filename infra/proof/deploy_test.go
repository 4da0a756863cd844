package proof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/vault"
)

var deploy = flag.Bool("deploy", false, "deploy to a local AWS, which takes a minute or two (make deploy-local)")

// secretName is the secret of the deployment.
const secretName = "prod/pipeline"

func TestADeploymentThatNobodyTouchedRotatesAKey(t *testing.T) {
	// Protects the promise of the README: two commands of cdk and one that puts the first key in, and the key rotates. The functions are the arm64 packages that
	// would go to AWS.
	if !*deploy {
		t.Skip("SKIPPED: a deployment to a local AWS: run make deploy-local")
	}
	need(t)
	box, err := sandbox.Start(sandbox.Options{})
	must(t, err)
	t.Cleanup(func() { _ = box.Close() })
	aws := startAWS(t)
	configuration := write(t, "stack: quilt-rotate-local\nregistry: %s\nkeys:\n  - {name: %s, schedule: rate(30 days)}\n", box.RegistryURL, secretName)

	synthesized := synthesize(t, configuration)
	aws.stack, aws.template = synthesized.Stack, synthesized.template
	aws.cdk(configuration, "bootstrap")
	aws.cdk(configuration, "deploy", "--method=direct", "--require-approval", "never", "--progress", "events")
	rotate, revoke := aws.output("RotateFunction"), aws.output("RevokeFunction")
	aws.checkFresh(rotate, revoke)

	aws.bootstrap(box)
	first, _ := aws.current()
	before := aws.value()
	aws.rotate()
	second, version := aws.current()
	if second == first || !box.Registry.Alive(second) || !box.Registry.Alive(first) {
		t.Fatalf("AWSCURRENT must hold a new key that logs in, and the old one must still do\n%s", aws.log())
	}
	if aws.value() != strings.Replace(before, first, second, 1) {
		t.Error("more than the key changed in the value")
	}
	made, _ := box.Registry.KeyBySecret(second)
	if labels := aws.labels()[version]; !strings.Contains(labels, vault.KeyLabel(made.ID)) {
		t.Errorf("the new version lacks its key's label: %s", labels)
	}
	aws.checkSweep(revoke)
	aws.checkQuiet("after a rotation and a sweep", rotate, revoke)
	t.Logf("deployed %s, rotated %s in %s, swept by %s", aws.stack, secretName, rotate, revoke)
}

// need skips, by name, where something is missing.
func need(t *testing.T) {
	t.Helper()
	for name, install := range map[string]string{
		"python3": "", "node": "", "aws": " (pip install awscli)", "qemu-aarch64": " (apt-get install qemu-user)",
	} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED: a deployment to a local AWS: %s is not installed%s", name, install)
		}
	}
	for path, tool := range map[string]string{
		launcher(t): "the local AWS", filepath.Join(root(t), "infra", "node_modules", ".bin", "cdk"): "cdk",
	} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("SKIPPED: a deployment to a local AWS: %s is not installed: %v", tool, err)
		}
	}
	if output, err := exec.Command("python3", "-c", "import moto.server").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: a deployment to a local AWS: moto is not installed\n%s", output)
	}
}

func launcher(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("LOCAL_AWS"); path != "" {
		return path
	}
	return filepath.Join(root(t), "..", "shared", "tools", "local_aws.py")
}

// A localAWS is a running one.
type localAWS struct {
	t     *testing.T
	url   string
	wrote string // file of what it and the functions wrote
	stack string // name of the stack that is deployed there

	template template // of that stack
}

// startAWS starts one on a free port of loopback. It ends, with every function that it started, when the test does.
func startAWS(t *testing.T) *localAWS {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	must(t, listener.Close())
	output, err := os.Create(filepath.Join(t.TempDir(), "aws.log"))
	must(t, err)
	a := &localAWS{t: t, url: fmt.Sprintf("http://127.0.0.1:%d", port), wrote: output.Name()}
	process := exec.Command("python3", "localaws.py", launcher(t), fmt.Sprint(port))
	process.Stdout, process.Stderr = output, output
	process.Env = append(hermetic.Environ(), "TMPDIR="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1")
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a group of its own, functions included
	must(t, process.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
		_ = process.Wait()
		_ = output.Close()
	})
	a.await()
	return a
}

func (a *localAWS) await() {
	a.t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if response, err := http.Get(a.url + "/moto-api/"); err == nil {
			_ = response.Body.Close()
			return
		}
	}
	a.t.Fatalf("the local AWS does not answer\n%s", a.log())
}

func (a *localAWS) log() string {
	text, _ := os.ReadFile(a.wrote)
	return string(text[max(0, len(text)-4000):])
}

// environment is what leads the CLIs to the local AWS. CloudFormation there reads templates from a bucket by path only on a host that it knows.
func (a *localAWS) environment(more ...string) []string {
	return append(hermetic.Environ(), append(more,
		"AWS_ENDPOINT_URL="+a.url, "AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION="+strings.Replace(a.url, "127.0.0.1", "localhost", 1),
		"AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing", "AWS_REGION="+region, "AWS_DEFAULT_REGION="+region,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_DEFAULT_OUTPUT=json", "AWS_PAGER=", "CDK_DISABLE_CLI_TELEMETRY=true")...)
}

// cdk runs the CDK's command as a user would, in infra.
func (a *localAWS) cdk(configuration string, arguments ...string) {
	a.t.Helper()
	began := time.Now()
	command := exec.Command("node", append([]string{filepath.Join("node_modules", ".bin", "cdk")}, append(arguments, "-c", "config="+configuration, "--output", a.t.TempDir())...)...)
	command.Dir = filepath.Join(root(a.t), "infra")
	command.Env = a.environment("TMPDIR=" + a.t.TempDir())
	if output, err := command.CombinedOutput(); err != nil {
		a.t.Fatalf("cdk %s: %v\n%s\n%s", arguments[0], err, output, a.log())
	}
	a.t.Logf("cdk %s: %s", strings.Join(arguments, " "), time.Since(began).Round(100*time.Millisecond))
}

// cli runs the AWS CLI and reads its answer.
func (a *localAWS) cli(answer any, arguments ...string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "aws", arguments...)
	command.Env = a.environment()
	var failure bytes.Buffer
	command.Stderr = &failure
	output, err := command.Output()
	if err != nil {
		a.t.Fatalf("aws %s %s: %v\n%s\n%s", arguments[0], arguments[1], err, failure.String(), a.log())
	}
	if answer == nil {
		return
	}
	must(a.t, json.Unmarshal(output, answer))
}

// output is what the stack says.
func (a *localAWS) output(name string) string {
	a.t.Helper()
	var value string
	a.cli(&value, "cloudformation", "describe-stacks", "--stack-name", a.stack, "--query", "Stacks[0].Outputs[?OutputKey=='"+name+"'].OutputValue | [0]")
	if value == "" {
		a.t.Fatalf("the stack has no output %s", name)
	}
	return value
}

// description is what DescribeSecret says, as far as it is looked at.
type description struct {
	RotationEnabled   bool
	RotationLambdaARN string
	VersionIDs        map[string][]string `json:"VersionIdsToStages"`
}

func (a *localAWS) describe() description {
	a.t.Helper()
	var d description
	a.cli(&d, "secretsmanager", "describe-secret", "--secret-id", secretName)
	return d
}

func (a *localAWS) labels() map[string]string {
	labels := map[string]string{}
	for version, stages := range a.describe().VersionIDs {
		labels[version] = strings.Join(stages, " ")
	}
	return labels
}

func (a *localAWS) value() string {
	a.t.Helper()
	var secret struct{ SecretString string }
	a.cli(&secret, "secretsmanager", "get-secret-value", "--secret-id", secretName, "--version-stage", vault.Current)
	return secret.SecretString
}

// current is the key that consumers read, and its version.
func (a *localAWS) current() (key, version string) {
	a.t.Helper()
	var value struct {
		Key string `json:"QUILT_API_KEY"`
	}
	must(a.t, json.Unmarshal([]byte(a.value()), &value))
	for id, stages := range a.labels() {
		if strings.Contains(stages, vault.Current) {
			version = id
		}
	}
	return value.Key, version
}

// checkFresh looks at the resources themselves: the secret waits for its key, its rotation is on, its sweep is scheduled.
func (a *localAWS) checkFresh(rotate, revoke string) {
	a.t.Helper()
	d := a.describe()
	if value := a.value(); value != "{}" || !d.RotationEnabled || !strings.HasSuffix(d.RotationLambdaARN, rotate) {
		a.t.Fatalf("the secret must hold {} and have its rotation on, by %s: %q, %+v", rotate, value, d)
	}
	var targets []string
	a.cli(&targets, "scheduler", "list-schedules", "--query", "Schedules[].Target.Arn")
	if len(targets) != 1 || !strings.HasSuffix(targets[0], revoke) {
		a.t.Fatalf("one schedule must call %s: %v", revoke, targets)
	}
	var alarms int
	a.cli(&alarms, "cloudwatch", "describe-alarms", "--query", "length(MetricAlarms)")
	if alarms == 0 {
		a.t.Fatal("there are no alarms")
	}
	a.checkQuiet("after the deployment", rotate, revoke)
}

// checkQuiet evaluates the deployment's alarms on what the functions wrote until now: none may tell anybody.
func (a *localAWS) checkQuiet(when, rotate, revoke string) {
	a.t.Helper()
	var data []datum
	written := map[string]int{}
	var groups []string // a function has one once it has run
	a.cli(&groups, "logs", "describe-log-groups", "--query", "logGroups[].logGroupName")
	for _, function := range []string{rotate, revoke} {
		if !slices.Contains(groups, "/aws/lambda/"+function) {
			continue
		}
		var messages []string
		a.cli(&messages, "logs", "filter-log-events", "--log-group-name", "/aws/lambda/"+function, "--query", "events[].message")
		for _, message := range messages {
			data = append(data, measured(a.t, function, message)...)
		}
		written[function] = len(data)
	}
	if written[rotate] == 0 {
		a.t.Fatalf("%s, the rotate function has measured nothing, though the deployment has tested it\n%s", when, a.log())
	}
	names := map[string]string{}
	for function, id := range a.template.functions(a.t) {
		names[id] = map[string]string{"rotate": rotate, "revoke": revoke}[function]
	}
	if told := a.template.told(a.t, names, data); len(told) > 0 {
		a.t.Errorf("%s, somebody is told of %v", when, told)
	}
	a.t.Logf("%s: %d data, and no alarm tells anybody", when, len(data))
}

// bootstrap carries out the line that the outputs print, with a person's key to log in with on standard input.
func (a *localAWS) bootstrap(box *sandbox.Sandbox) {
	a.t.Helper()
	_, key := box.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	line := a.output(config.KeyID(secretName) + "Next")
	carryOut(a.t, line, key, append(a.environment(), "PATH="+theCommand(a.t)+string(os.PathListSeparator)+os.Getenv("PATH")))
	a.t.Logf("$ %s", line)
}

// rotate asks for a rotation, and waits until its version is the current one.
func (a *localAWS) rotate() {
	a.t.Helper()
	var asked struct {
		VersionID string `json:"VersionId"`
	}
	began := time.Now()
	a.cli(&asked, "secretsmanager", "rotate-secret", "--secret-id", secretName)
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if strings.Contains(a.labels()[asked.VersionID], vault.Current) {
			a.t.Logf("aws secretsmanager rotate-secret: current after %s", time.Since(began).Round(100*time.Millisecond))
			return
		}
	}
	a.t.Fatalf("the rotation does not end: %v\n%s", a.labels(), a.log())
}

// checkSweep invokes the revoke function as the scheduler does: it marks the replaced version, and revokes nothing yet.
func (a *localAWS) checkSweep(revoke string) {
	a.t.Helper()
	var input string
	var names []struct{ Name, GroupName string }
	a.cli(&names, "scheduler", "list-schedules", "--query", "Schedules[].{Name:Name,GroupName:GroupName}")
	a.cli(&input, "scheduler", "get-schedule", "--name", names[0].Name, "--group-name", names[0].GroupName, "--query", "Target.Input")
	// EventBridge Scheduler replaces this attribute in the input when it starts the function; the local AWS has no timer.
	input = strings.ReplaceAll(input, "<aws.scheduler.scheduled-time>", time.Now().UTC().Format(time.RFC3339))
	file, event := filepath.Join(a.t.TempDir(), "answer"), filepath.Join(a.t.TempDir(), "event")
	must(a.t, os.WriteFile(event, []byte(input), 0o600))
	var invoked struct{ FunctionError string }
	a.cli(&invoked, "lambda", "invoke", "--function-name", revoke, "--payload", "fileb://"+event, file)
	answer, err := os.ReadFile(file)
	must(a.t, err)
	var result struct{ Outcome string }
	must(a.t, json.Unmarshal(answer, &result))
	marked := false
	for _, labels := range a.labels() {
		marked = marked || strings.Contains(labels, "quilt-superseded:") && !strings.Contains(labels, vault.Current)
	}
	if invoked.FunctionError != "" || result.Outcome != "swept" || !marked {
		a.t.Fatalf("the sweep must mark the replaced version: %s %s\n%v\n%s", invoked.FunctionError, answer, a.labels(), a.log())
	}
	a.t.Logf("the sweep answers %s", answer)
}
