package proof_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runApp runs the app on a configuration.
func runApp(t *testing.T, text string) (stdout, stderr string, status int, out string) {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out = filepath.Join(folder, "out")
	command := theApp(t, file, out)
	var stdoutBytes, stderrBytes bytes.Buffer
	command.Stdout, command.Stderr = &stdoutBytes, &stderrBytes
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return stdoutBytes.String(), stderrBytes.String(), command.ProcessState.ExitCode(), out
}

func TestBadInputIsToldInPlainLines(t *testing.T) {
	// Protects who wrote the file: each kind of bad input ends in sentences with path and fix, in status 1, and in no stack trace.
	t.Parallel()
	const good = "stack: quilt-rotate-prod\nregistry: https://registry.example.com\nkeys:\n  - name: prod/a\n    schedule: rate(30 days)\n"
	for name, c := range map[string]struct {
		text  string
		lines []string
	}{
		"not YAML":               {"registry: [", []string{"is not YAML"}},
		"a misspelt field":       {good + "    windov: 2h\n", []string{"keys[0].windov (line 6): is not a field: did you mean window?"}},
		"two keys of one name":   {good + "  - name: prod/a\n    schedule: rate(30 days)\n", []string{"keys[1] (line 6): has the same secret as keys[0] (prod/a)"}},
		"an ARN of elsewhere":    {strings.Replace(good, "name: prod/a", "secret: arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-a1b2c3", 1), []string{"keys[0].secret (line 4): is in the region eu-west-1"}},
		"a bad cron, and a life": {strings.Replace(good, "rate(30 days)", "cron(5 4 * * ? *)", 1) + "    expiresInDays: 999\n", []string{"keys[0].expiresInDays", "keys[0].schedule"}},
		"a lifetime too short":   {good + "    expiresInDays: 30\n", []string{"keys[0].expiresInDays (line 6): is too short for one missed rotation"}},
	} {
		stdout, stderr, status, out := runApp(t, c.text)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if status != 1 || stdout != "" || len(lines) != len(c.lines) {
			t.Errorf("%s: status %d and %d lines, want 1 and %d:\n%s%s", name, status, len(lines), len(c.lines), stdout, stderr)
			continue
		}
		for i, want := range c.lines {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: line %d does not say %q: %s", name, i+1, want, lines[i])
			}
		}
		if strings.Contains(stderr, "goroutine") || strings.Contains(stderr, ".go:") {
			t.Errorf("%s: a stack trace:\n%s", name, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: something was synthesized", name)
		}
	}
}

func TestTheAppBuildsEverythingThatADeploymentNeeds(t *testing.T) {
	// Protects the promise of one command: what `cdk deploy` gets of the app has the template and both functions. For a secret that the stack creates nothing is
	// printed, such as a command that adopts it.
	t.Parallel()
	if !*arm64 {
		t.Log("SAMPLED: the app with packages that hold no program; with the functions: make arm64")
	}
	_, stderr, status, out := runApp(t, "stack: quilt-rotate-test-of-the-app\nregistry: https://registry.example.com\nkeys:\n  - name: prod/a\n    schedule: rate(30 days)\n")
	if status != 0 {
		t.Fatalf("status %d:\n%s", status, stderr)
	}
	t.Cleanup(func() { _ = os.RemoveAll("../../build/infra/quilt-rotate-test-of-the-app") })
	if stderr != "" {
		t.Errorf("a good run says:\n%s", stderr)
	}
	templates, _ := filepath.Glob(filepath.Join(out, "quilt-rotate-test-of-the-app.template.json"))
	zips, _ := filepath.Glob(filepath.Join(out, "asset.*.zip"))
	if len(templates) != 1 || len(zips) != 2 {
		t.Errorf("there are %d templates and %d packages", len(templates), len(zips))
	}
}

func TestTheFileIsTheOneThatTheCommandNames(t *testing.T) {
	// Protects production from another file: no variable that was exported once beats what -c config=FILE says now.
	t.Setenv("QUILT_ROTATE_CONFIG", filepath.Join(t.TempDir(), "of-another-stack.yaml"))
	if _, stderr, _, _ := runApp(t, "registry: ["); !strings.Contains(stderr, "is not YAML") {
		t.Errorf("another file was read:\n%s", stderr)
	}
}

func TestAnAdoptionIsAskedForBeforeTheDeployment(t *testing.T) {
	// Protects another team's rotation: the command that refuses to replace it is printed at synthesis, before anything is deployed.
	t.Parallel()
	const key = "  - {secret: \"arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/reports-d4e5f6\", schedule: rate(30 days)}\n"
	const registry = "stack: quilt-rotate-test-of-adoption\nregistry: https://registry.example.com\nkeys:\n"
	t.Cleanup(func() { _ = os.RemoveAll("../../build/infra/quilt-rotate-test-of-adoption") })
	_, adopted, status, _ := runApp(t, registry+key)
	if want := "quilt-rotate adopt arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/reports-d4e5f6 --registry https://registry.example.com"; status != 0 || !strings.Contains(adopted, want) {
		t.Errorf("status %d, and it does not say %q:\n%s", status, want, adopted)
	}
}
