package main

import (
	"strings"
	"testing"

	"quilt-rotate/internal/terminal/commandline"
)

func TestReadableLogLine(t *testing.T) {
	// A readable line omits only fields that are for programs.
	for text, want := range map[string]string{
		`{"timestamp":"2026-11-22T22:00:25Z","level":"INFO","message":"step done","step":"createSecret","durationMs":3,"secret":"arn:aws:x","version":"7c6f1f0a-92a4-4d83","owner":"","force":false,"requestId":"9587db1c"}`: `step done step=createSecret durationMs=3 version=7c6f1f0a owner="" force=false`,
		`{"level":"ERROR","message":"step failed","errorType":"BadEvent","error":"it \"is\"\nbad","more":{"a":[1, 2]}}`:                                                                                                      `ERROR step failed errorType=BadEvent error="it \"is\"\nbad" more={"a":[1, 2]}`,
		`panic: no memory`:     `panic: no memory`,
		`{"something":"else"}`: `{"something":"else"}`,
		`{"level":"INFO"`:      `{"level":"INFO"`,
		`START of something`:   `START of something`,
		`["level", "message"]`: `["level", "message"]`,
	} {
		if got, shown := readable(text); got != want || !shown {
			t.Errorf("%s:\ngot %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{`START RequestId: 1 Version: $LATEST`, `END RequestId: 1`,
		"REPORT RequestId: 1\tDuration: 3 ms", `{"StepDuration":3,"_aws":{"Timestamp":1}}`} {
		if got, shown := readable(text); shown {
			t.Errorf("%s: got %s, want nothing", text, got)
		}
	}
}

func TestRawLogIsComplete(t *testing.T) {
	// With --raw, the output also has the lines of Lambda and of the metrics.
	for _, raw := range []bool{false, true} {
		args := []string{"invoke", "--functions", folder, "../../events/set-secret.json"}
		if raw {
			args = append(args, "--raw")
		}
		status, stdout, stderr := inProcess(t.Context(), args...)
		if status != commandline.OK {
			t.Fatalf("got the exit status %d, want 0: %s", status, stderr)
		}
		for _, text := range []string{"START RequestId", "END RequestId", `"_aws"`, `"message":"step done"`} {
			if strings.Contains(stdout, text) != raw {
				t.Errorf("with --raw=%t, the output contains %q: %t\n%s", raw, text, !raw, stdout)
			}
		}
		if strings.Contains(stdout, "\n  step done step=setSecret outcome=ok ") == raw {
			t.Errorf("with --raw=%t, the output has the readable line: %t\n%s", raw, raw, stdout)
		}
	}
}
