package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// eventEffects has the expected output for each event file, in the order of the output.
var eventEffects = map[string][]string{
	"create-secret.json": {"labels before", "AWSPENDING", "no value yet", "createSecret", "answer\n  null",
		"labels after", "AWSPENDING", "quilt-key:"},
	"set-secret.json": {"labels before", "AWSPENDING", "quilt-key:", "setSecret", "answer\n  null", "labels after",
		"AWSPENDING"},
	"test-secret.json": {"labels before", "AWSPENDING", "quilt-key:", "testSecret", "answer\n  null", "labels after",
		"AWSPENDING"},
	"finish-secret.json": {"labels before", "AWSPENDING", "finishSecret", "answer\n  null", "labels after",
		"AWSPREVIOUS", "AWSCURRENT"},
	"test-only.json": {"labels before", "AWSCURRENT", "AWSPENDING", "testSecret", "answer\n  null", "labels after",
		"AWSCURRENT", "AWSPENDING"},
	"sweep.json": {"labels before", "quilt-superseded:", `"action":"revoke","reason":"grace-over"`,
		"labels after", "(revoked)"},
	"sweep-of-run.json": {"labels before", "quilt-superseded:",
		`"outcome":"swept","event":{"detailType":"Quilt Key Revoked"`, "labels after", "(revoked)"},
	"sweep-dry-run.json": {"labels before", "quilt-superseded:", "dry run done",
		`"action":"revoke","reason":"grace-over"`, `"done":false`, `"versions":[`, "labels after", "quilt-superseded:"},
}

func TestInvokeSendsEachEventFileToTheFunction(t *testing.T) {
	files, err := filepath.Glob("../../events/*.json")
	if err != nil || len(files) != len(eventEffects) {
		t.Fatalf("there are %d event files, but this test has %d (%v)", len(files), len(eventEffects), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			effects, known := eventEffects[filepath.Base(file)]
			if !known {
				t.Fatal("the file is not in eventEffects")
			}
			status, stdout, stderr := inProcess(t.Context(), "invoke", "--functions", folder, file)
			if status != 0 {
				t.Fatalf("got the exit status %d, want 0; standard error: %s", status, stderr)
			}
			rest := stdout
			for _, effect := range effects {
				_, after, found := strings.Cut(rest, effect)
				if !found {
					t.Fatalf("%q is missing or too early in the output:\n%s", effect, stdout)
				}
				rest = after
			}
		})
	}
	checkNoProcess(t)
}

func TestEventOfAStepIsParsed(t *testing.T) {
	// The command runs the earlier steps first. Otherwise finishSecret would find no pending value.
	if !slices.Equal(steps, []string{"createSecret", "setSecret", "testSecret", "finishSecret"}) {
		t.Fatalf("got the steps %v", steps)
	}
	payload, err := os.ReadFile("../../events/finish-secret.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := readEvent(payload)
	if err != nil {
		t.Fatal(err)
	}
	if e.secretName != "quilt/demo" || e.step != "finishSecret" || !e.rotationToken {
		t.Errorf("got the event %+v", e)
	}
}
