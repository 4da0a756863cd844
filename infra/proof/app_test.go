package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadInputIsReportedInPlainLines(t *testing.T) {
	// Every fault is a line with path and fix, the status is 1, nothing is synthesized, and there
	// is no stack trace. Package config tests the faults themselves.
	t.Parallel()
	for text, lines := range map[string][]string{
		"registry: [": {"is not YAML"},
		`stack: a
registry: https://registry.example.com
keys:
  - {name: prod/a, schedule: rate(30 days), windov: 2h}
  - {name: prod/a, schedule: rate(30 days)}
  - {secret: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-a1b2c3", schedule: rate(30 days)}
  - {name: prod/b, schedule: "cron(5 4 * * ? *)", expiresInDays: 999}
  - {name: prod/c, schedule: rate(30 days), expiresInDays: 30}
`: {
			"keys[0].windov (line 4): is not a field: did you mean window?", "keys[1] (line 5)",
			"keys[2].secret (line 6): is in the region eu-west-1",
			"keys[3].expiresInDays (line 7)", "keys[3].schedule (line 7)", "keys[4].expiresInDays (line 8): is too " +
				"short for one missed rotation",
		},
	} {
		stdout, stderr, status, out := runApp(t, write(t, "%s", text))
		if files, _ := os.ReadDir(out); status != 1 || stdout != "" || len(files) > 0 ||
			strings.Count(stderr, "\n") != len(lines) || strings.Contains(stderr, ".go:") {
			t.Errorf("status %d, %d files, output:\n%s%s", status, len(files), stdout, stderr)
		}
		for _, want := range lines {
			if !strings.Contains(stderr, want) {
				t.Errorf("%q is not reported:\n%s", want, stderr)
			}
		}
	}
}

func TestOnlyTheFileOfTheCommandIsRead(t *testing.T) {
	// An environment variable must not replace the file of -c config=FILE.
	t.Setenv("QUILT_ROTATE_CONFIG", filepath.Join(t.TempDir(), "of-another-stack.yaml"))
	if _, stderr, _, _ := runApp(t, write(t, "registry: [")); !strings.Contains(stderr, "is not YAML") {
		t.Errorf("another file was read:\n%s", stderr)
	}
}

func TestTheAppBuildsEverythingThatADeploymentNeeds(t *testing.T) {
	// The output of the app has the packages of both functions. The app prints nothing if it
	// succeeds.
	t.Parallel()
	if !*arm64 {
		t.Log("SAMPLED: the app with packages that hold no program; with the functions: make arm64")
	}
	made := everything(t)
	if made.packages != 2 {
		t.Errorf("there are %d packages", made.packages)
	}
	if made.stderr != "" {
		t.Errorf("a successful run prints:\n%s", made.stderr)
	}
}
