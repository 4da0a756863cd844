package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A box is `quilt-sandbox serve` as a process.
type box struct {
	process *exec.Cmd
	environ []string          // its export lines, without PATH
	values  map[string]string // the same, by name
	rest    *bufio.Reader     // of its standard output
}

// exports returns the variables in the first lines of the sandbox's output.
var exports = []string{"PATH", "AWS_ENDPOINT_URL", "QUILT_REGISTRY_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	"AWS_REGION", "AWS_DEFAULT_REGION", "QUILT_AUDIT_DATABASE", "QUILT_AUDIT_WORKGROUP", "QUILT_API_KEY",
	"QUILT_ADMIN_API_KEY"}

func startSandbox(t *testing.T) *box {
	t.Helper()
	b := &box{process: exec.Command("quilt-sandbox", "serve", "--functions", folder), values: map[string]string{}}
	stdout, err := b.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	b.process.Stderr = &stderr
	if err := b.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.process.Process.Kill() // does nothing where the test stopped it
		_ = b.process.Wait()
	})
	b.rest = bufio.NewReader(stdout)
	for _, want := range exports {
		line, err := b.rest.ReadString('\n')
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if err != nil || name != want || value == "" {
			t.Fatalf("the line is %q, and not export %s=… (%v); on standard error: %s", line, want, err,
				stderr.String())
		}
		b.values[name] = value
		if name != "PATH" {
			b.environ = append(b.environ, name+"="+value)
		}
	}
	return b
}

// interrupt sends the signal of Ctrl-C.
func (b *box) interrupt(t *testing.T) {
	t.Helper()
	if err := b.process.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(b.rest); err != nil || len(rest) > 0 {
		t.Errorf("there is more on standard output than export lines: %q (%v)", rest, err)
	}
	if err := b.process.Wait(); err != nil {
		t.Errorf("after Ctrl-C the sandbox ended with %v", err)
	}
	noProcessIsLeft(t)
}

func TestTheSandboxRunsUntilInterrupted(t *testing.T) {
	// A shell can source the output. After an interrupt, the exit status is 0 and no process is
	// left.
	startSandbox(t).interrupt(t)
}

func TestTheCommandsAreOnThePathOfTheExportLines(t *testing.T) {
	// A shell with the printed variables finds quilt-rotate, which is in the folder of
	// quilt-sandbox.
	b := startSandbox(t)
	found := exec.Command("/bin/sh", "-c", "export PATH="+b.values["PATH"]+" && command -v quilt-sandbox && command "+
		"-v sh")
	found.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := found.CombinedOutput()
	if lines := strings.Fields(string(out)); err != nil || len(lines) != 2 ||
		filepath.Base(lines[0]) != "quilt-sandbox" {
		t.Errorf("with PATH=%s: %s (%v)", b.values["PATH"], out, err)
	}
	b.interrupt(t)
}

func TestExportLinesQuoteTheFolder(t *testing.T) {
	for _, folder := range []string{"/usr/local/bin", "/home/a b/$(c)", `/it's/"x"\y`} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+quoted(folder)).Output()
		if err != nil || string(out) != folder {
			t.Errorf("%s is read as %q (%v)", folder, out, err)
		}
	}
}

// cli runs the AWS CLI with only the variables of the sandbox's output.
func (b *box) cli(t *testing.T, args ...string) []byte {
	t.Helper()
	command := exec.Command("aws", append(args, "--output", "json")...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, b.environ...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func TestTheAWSCLIWorksWithTheExportLinesAlone(t *testing.T) {
	// The AWS CLI can create, describe, rotate and read a secret, and invoke both functions.
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("SKIPPED: the sandbox with the AWS CLI: aws is not installed")
	}
	b := startSandbox(t)
	value, err := json.Marshal(map[string]string{"QUILT_API_KEY": b.values["QUILT_API_KEY"], "bucket": "s3://example"})
	if err != nil {
		t.Fatal(err)
	}
	b.cli(t, "secretsmanager", "create-secret", "--name", "by/hand", "--secret-string", string(value))
	b.cli(t, "secretsmanager", "rotate-secret", "--secret-id", "by/hand", "--rotation-rules",
		"AutomaticallyAfterDays=30",
		"--rotation-lambda-arn", "arn:aws:lambda:us-east-1:123456789012:function:rotate")

	var described struct {
		RotationEnabled    bool
		VersionIdsToStages map[string][]string
	}
	deadline := time.Now().Add(5 * time.Minute)
	for len(described.VersionIdsToStages) != 2 || !previousExists(described.VersionIdsToStages) {
		if time.Now().After(deadline) {
			t.Fatalf("the secret is not rotated: %+v", described)
		}
		if err := json.Unmarshal(b.cli(t, "secretsmanager", "describe-secret", "--secret-id", "by/hand"),
			&described); err != nil {
			t.Fatal(err)
		}
	}
	if !described.RotationEnabled {
		t.Error("describe-secret says that rotation is off")
	}
	var read struct{ SecretString string }
	if err := json.Unmarshal(b.cli(t, "secretsmanager", "get-secret-value", "--secret-id", "by/hand"),
		&read); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read.SecretString, "s3://example") || strings.Contains(read.SecretString,
		b.values["QUILT_API_KEY"]) {
		t.Error("the secret's key did not change, or something else did")
	}

	sweep := b.invoke(t, "revoke", `{"secretId": "by/hand"}`)
	if !strings.Contains(sweep, `"action":"mark"`) {
		t.Errorf("the sweep answered %s", sweep)
	}
	step := b.invoke(t, "rotate", `{"Step": "nonsense", "SecretId": "by/hand", "ClientRequestToken": "none"}`)
	if !strings.Contains(step, `"errorType":"BadEvent"`) {
		t.Errorf("the rotate function answered %s", step)
	}
	b.interrupt(t)
}

func previousExists(stages map[string][]string) bool {
	for _, labels := range stages {
		for _, label := range labels {
			if label == "AWSPREVIOUS" {
				return true
			}
		}
	}
	return false
}

// invoke invokes a function with an event. The payload is in a file, because versions of the CLI
// differ in how they parse an argument.
func (b *box) invoke(t *testing.T, function, payload string) (answer string) {
	t.Helper()
	event, out := filepath.Join(t.TempDir(), "event.json"), filepath.Join(t.TempDir(), "answer.json")
	if err := os.WriteFile(event, []byte(payload), 0o600); err != nil {
		t.Fatal(err)
	}
	b.cli(t, "lambda", "invoke", "--function-name", function, "--payload", "fileb://"+event, out)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
