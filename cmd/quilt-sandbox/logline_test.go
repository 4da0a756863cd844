package main

import (
	"strings"
	"testing"

	"quilt-rotate/internal/terminal/commandline"
)

func TestReadableLogLine(t *testing.T) {
	// A line is shown in a readable form and loses only the fields that are for programs.
	for text, want := range map[string]string{
		`{"timestamp":"2026-11-22T22:00:25Z","level":"INFO","message":"step done","step":"createSecret","durationMs":3,"secret":"arn:aws:x","version":"7c6f1f0a-92a4-4d83","owner":"","force":false,"requestId":"9587db1c"}`: `step done step=createSecret durationMs=3 version=7c6f1f0a owner="" force=false`,
		`{"level":"ERROR","message":"step failed","errorType":"BadEvent","error":"it \"is\"\nbad","more":{"a":[1, 2]}}`:                                                                                                      `ERROR step failed errorType=BadEvent error="it \"is\"\nbad" more={"a":[1, 2]}`,
		`panic: out of luck`:   `panic: out of luck`,
		`{"something":"else"}`: `{"something":"else"}`,
		`{"level":"INFO"`:      `{"level":"INFO"`,
		`START of something`:   `START of something`,
		`["level", "message"]`: `["level", "message"]`,
	} {
		if got, shown := readable(text); got != want || !shown {
			t.Errorf("%s\nreads as %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{`START RequestId: 1 Version: $LATEST`, `END RequestId: 1`,
		"REPORT RequestId: 1\tDuration: 3 ms", `{"StepDuration":3,"_aws":{"Timestamp":1}}`} {
		if got, shown := readable(text); shown {
			t.Errorf("%s is shown: %s", text, got)
		}
	}
}

func TestRawLogIsComplete(t *testing.T) {
	// With --raw, the lines of Lambda and of the metrics are shown too.
	for _, raw := range []bool{false, true} {
		args := []string{"invoke", "--functions", folder, "../../events/set-secret.json"}
		if raw {
			args = append(args, "--raw")
		}
		status, stdout, stderr := inProcess(t.Context(), args...)
		if status != commandline.OK {
			t.Fatalf("exit status %d: %s", status, stderr)
		}
		for _, text := range []string{"START RequestId", "END RequestId", `"_aws"`, `"message":"step done"`} {
			if strings.Contains(stdout, text) != raw {
				t.Errorf("with --raw=%t, %q:\n%s", raw, text, stdout)
			}
		}
		if strings.Contains(stdout, "\n  step done step=setSecret outcome=ok ") == raw {
			t.Errorf("with --raw=%t, the line for people:\n%s", raw, stdout)
		}
	}
}
