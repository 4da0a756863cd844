package proof_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/internal/sandbox"
)

var acceptance = flag.Bool("acceptance", false, "run the acceptance program on a local AWS, which takes minutes "+
	"(make acceptance-local)")

// acceptanceReport is what the test looks at of the program's report.
type acceptanceReport struct {
	Run    string
	Life   []struct{ Part, Outcome, Detail string }
	Checks []struct{ Name, Answer, Seen string }
	Left   []string
}

// onALocalAWS are the answers of a local AWS that are not "as assumed". It evaluates no IAM, has no
// events of Secrets Manager, and repeats no rotation.
var onALocalAWS = map[string]string{
	"retries": "different", "retry-token": "could not be seen", "step-time-limit": "could not be seen",
	"roles-sufficient": "could not be seen", "rotator-condition": "could not be seen",
	"rotator-condition-in-first-test": "could not be seen", "stage-condition": "could not be seen",
	"label-event": "could not be seen", "request-id": "could not be seen", "replica-lag": "could not be seen",
}

func TestAcceptanceRunOnALocalAWS(t *testing.T) {
	// The program runs here as it does on an account: only the endpoint in its environment is
	// another one. What the local AWS cannot show must be reported as such.
	if !*acceptance {
		t.Skip("SKIPPED: the acceptance run on a local AWS: run make acceptance-local")
	}
	need(t)
	aws := startAWS(t)
	box, err := sandbox.Start(sandbox.Options{})
	must(t, err)
	t.Cleanup(func() { _ = box.Close() })
	issuer := aws.createSecret("quilt/issuer",
		fmt.Sprintf(`{"username":%q,"password":%q,"serves":["quilt-rotate-acceptance-*"]}`,
			sandbox.UserName, sandbox.UserPassword))
	file := write(t, "stack: of-the-user\nregistry: %s\nissuers: [%q]\n", box.RegistryURL, issuer)
	aws.cdk(file, "bootstrap")
	_, key := box.Registry.MintKey(sandbox.UserEmail, "by hand", 90)

	output := aws.runAcceptance(key+"\n", "-config", file, "-yes", "-patience", "15s", "-wait", "4s")
	paths := regexp.MustCompile(`\S+report\.json`).FindString(output)
	text, err := os.ReadFile(paths)
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(paths)) })
	var r acceptanceReport
	must(t, json.Unmarshal(text, &r))
	for _, part := range r.Life {
		if part.Outcome == "failed" {
			t.Errorf("%s: %s", part.Part, part.Detail)
		}
	}
	for _, c := range r.Checks {
		t.Logf("%-32s %s: %s", c.Name, c.Answer, c.Seen)
		want, other := onALocalAWS[c.Name]
		if !other {
			want = "as assumed"
		}
		if c.Answer != want && c.Name != "quilt3" { // quilt3 may be installed
			t.Errorf("%s is %q here, and must be %q", c.Name, c.Answer, want)
		}
	}
	for _, secret := range []string{"qk_", box.RegistryURL, account, sandbox.UserEmail, sandbox.UserPassword} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the report has %q", secret)
		}
	}
	aws.checkNothingIsLeft(r.Run)
	for _, k := range box.Registry.Keys() {
		if k.Name != "by hand" {
			t.Errorf("the key %s is left at the registry", k.Name)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s", output, aws.log())
	}
}

// runAcceptance builds the program and runs it.
func (a *localAWS) runAcceptance(input string, arguments ...string) (output string) {
	a.t.Helper()
	program := filepath.Join(a.t.TempDir(), "acceptance")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./acceptance")
	build.Dir = filepath.Join(root(a.t), "infra")
	if output, err := build.CombinedOutput(); err != nil {
		a.t.Fatalf("build the program: %v\n%s", err, output)
	}
	run := exec.Command(program, append(arguments, "-command", filepath.Join(a.command, "quilt-rotate"))...)
	run.Dir, run.Stdin = filepath.Join(root(a.t), "infra"), strings.NewReader(input)
	run.Env = a.environment("TMPDIR=" + a.t.TempDir())
	text, err := run.CombinedOutput()
	if err != nil {
		a.t.Errorf("the program: %v\n%s\n%s", err, text, a.log())
	}
	return string(text)
}

// checkNothingIsLeft looks for what has the name of the run.
func (a *localAWS) checkNothingIsLeft(run string) {
	a.t.Helper()
	for what, arguments := range map[string][]string{
		"stacks":     {"cloudformation", "describe-stacks", "--query", "Stacks[].StackName"},
		"secrets":    {"secretsmanager", "list-secrets", "--query", "SecretList[].Name"},
		"log groups": {"logs", "describe-log-groups", "--query", "logGroups[].logGroupName"},
		"functions":  {"lambda", "list-functions", "--query", "Functions[].FunctionName"},
		"roles":      {"iam", "list-roles", "--query", "Roles[].RoleName"},
	} {
		var names []string
		a.cli(&names, arguments...)
		if left := slices.DeleteFunc(names, func(n string) bool { return !strings.Contains(n, run) }); len(left) > 0 {
			a.t.Errorf("these %s are left: %v", what, left)
		}
	}
}
