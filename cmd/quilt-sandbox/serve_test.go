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

// A server is a process of `quilt-sandbox serve`.
type server struct {
	process *exec.Cmd
	environ []string          // the export lines, without PATH
	values  map[string]string // the values of the export lines, by name
	rest    *bufio.Reader     // the rest of the standard output
}

// exports are the variables in the first lines of the output, in their order.
var exports = []string{"PATH", "AWS_ENDPOINT_URL", "QUILT_REGISTRY_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	"AWS_REGION", "AWS_DEFAULT_REGION", "QUILT_AUDIT_DATABASE", "QUILT_AUDIT_WORKGROUP", "QUILT_API_KEY",
	"QUILT_ADMIN_API_KEY"}

func startSandbox(t *testing.T) *server {
	t.Helper()
	s := &server{process: exec.Command("quilt-sandbox", "serve", "--functions", folder), values: map[string]string{}}
	stdout, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	s.process.Stderr = &stderr
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.process.Process.Kill() // does nothing if the test has stopped it
		_ = s.process.Wait()
	})
	s.rest = bufio.NewReader(stdout)
	for _, want := range exports {
		line, err := s.rest.ReadString('\n')
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if err != nil || name != want || value == "" {
			t.Fatalf("got the line %q (%v), want export %s=…; standard error: %s", line, err, want,
				stderr.String())
		}
		s.values[name] = value
		if name != "PATH" {
			s.environ = append(s.environ, name+"="+value)
		}
	}
	return s
}

// interrupt sends the signal of Ctrl-C and checks that the process ends as it should.
func (s *server) interrupt(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(s.rest); err != nil || len(rest) > 0 {
		t.Errorf("got %q (%v) on standard output, want only export lines", rest, err)
	}
	if err := s.process.Wait(); err != nil {
		t.Errorf("after Ctrl-C, the sandbox ended with the error %v", err)
	}
	checkNoProcess(t)
}

func TestServeRunsUntilItIsInterrupted(t *testing.T) {
	// A shell can source the output. After an interrupt, the exit status is 0 and no process runs.
	startSandbox(t).interrupt(t)
}

func TestExportedPathContainsTheCommands(t *testing.T) {
	// A shell with the printed variables must find quilt-rotate, which is in the folder of
	// quilt-sandbox.
	s := startSandbox(t)
	found := exec.Command("/bin/sh", "-c", "export PATH="+s.values["PATH"]+" && command -v quilt-sandbox && command "+
		"-v sh")
	found.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := found.CombinedOutput()
	if lines := strings.Fields(string(out)); err != nil || len(lines) != 2 ||
		filepath.Base(lines[0]) != "quilt-sandbox" {
		t.Errorf("with PATH=%s, got %s (%v), want the paths of quilt-sandbox and sh", s.values["PATH"], out, err)
	}
	s.interrupt(t)
}

func TestExportLinesQuoteTheFolder(t *testing.T) {
	for _, folder := range []string{"/usr/local/bin", "/home/a b/$(c)", `/it's/"x"\y`} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+quoted(folder)).Output()
		if err != nil || string(out) != folder {
			t.Errorf("%s: the shell got %q (%v)", folder, out, err)
		}
	}
}

// cli runs the AWS CLI with only the variables of the export lines.
func (s *server) cli(t *testing.T, args ...string) []byte {
	t.Helper()
	command := exec.Command("aws", append(args, "--output", "json")...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, s.environ...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func TestAWSCLIWorksWithOnlyTheExportLines(t *testing.T) {
	// It can create, describe, rotate and read a secret, and invoke both functions.
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("SKIPPED: the sandbox with the AWS CLI: aws is not installed")
	}
	s := startSandbox(t)
	value, err := json.Marshal(map[string]string{"QUILT_API_KEY": s.values["QUILT_API_KEY"], "bucket": "s3://example"})
	if err != nil {
		t.Fatal(err)
	}
	s.cli(t, "secretsmanager", "create-secret", "--name", "by/hand", "--secret-string", string(value))
	s.cli(t, "secretsmanager", "rotate-secret", "--secret-id", "by/hand", "--rotation-rules",
		"AutomaticallyAfterDays=30",
		"--rotation-lambda-arn", "arn:aws:lambda:us-east-1:123456789012:function:rotate")

	var described struct {
		RotationEnabled    bool
		VersionIdsToStages map[string][]string
	}
	deadline := time.Now().Add(5 * time.Minute)
	for len(described.VersionIdsToStages) != 2 || !previousExists(described.VersionIdsToStages) {
		if time.Now().After(deadline) {
			t.Fatalf("the secret was not rotated: %+v", described)
		}
		if err := json.Unmarshal(s.cli(t, "secretsmanager", "describe-secret", "--secret-id", "by/hand"),
			&described); err != nil {
			t.Fatal(err)
		}
	}
	if !described.RotationEnabled {
		t.Error("rotation is off, want on")
	}
	var read struct{ SecretString string }
	if err := json.Unmarshal(s.cli(t, "secretsmanager", "get-secret-value", "--secret-id", "by/hand"),
		&read); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read.SecretString, "s3://example") || strings.Contains(read.SecretString,
		s.values["QUILT_API_KEY"]) {
		t.Error("the value has the old key, or the other field was changed")
	}

	sweep := s.invoke(t, "revoke", `{"secretId": "by/hand"}`)
	if !strings.Contains(sweep, `"action":"mark"`) {
		t.Errorf("got the answer %s of the sweep, want the action mark", sweep)
	}
	step := s.invoke(t, "rotate", `{"Step": "nonsense", "SecretId": "by/hand", "ClientRequestToken": "none"}`)
	if !strings.Contains(step, `"errorType":"BadEvent"`) {
		t.Errorf("got the answer %s of the rotate function, want BadEvent", step)
	}
	s.interrupt(t)
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

// invoke invokes a function with an event. The payload is in a file, because the versions of the
// CLI parse an argument differently.
func (s *server) invoke(t *testing.T, function, payload string) (answer string) {
	t.Helper()
	event, out := filepath.Join(t.TempDir(), "event.json"), filepath.Join(t.TempDir(), "answer.json")
	if err := os.WriteFile(event, []byte(payload), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cli(t, "lambda", "invoke", "--function-name", function, "--payload", "fileb://"+event, out)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
