package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/sandbox/hermetic"
)

// folder is the folder of the built functions.
var folder string

// TestMain builds the functions and adds this command to the path. A process with the command's
// name runs the command instead of the tests.
func TestMain(m *testing.M) {
	testscript.Main(withFunctions{m}, map[string]func(){"quilt-sandbox": main})
}

// withFunctions builds the functions before it runs the tests.
type withFunctions struct{ m *testing.M }

func (w withFunctions) Run() int {
	hermetic.Clear()
	var err error
	if folder, err = os.MkdirTemp("", "quilt-sandbox-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	if _, err := scene.Build(context.Background(), folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return w.m.Run()
}

// inProcess runs the command in this process.
func inProcess(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = program().Execute(ctx, args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

// checkNoProcess checks that no process of a built function runs.
func checkNoProcess(t *testing.T) {
	t.Helper()
	executables, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, executable := range executables {
		if path, err := os.Readlink(executable); err == nil && strings.HasPrefix(path, folder) {
			t.Errorf("%s still runs (%s)", path, executable)
		}
	}
}

func TestScripts(t *testing.T) {
	// Each script checks the output, the errors with their hints, and the exit status.
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("FUNCTIONS", folder)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// status N command args: runs the command. It checks the exit status, and that the
			// output has no escape code.
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				got := "0"
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					got = strings.TrimPrefix(err.Error(), "exit status ")
				}
				if got != args[0] {
					ts.Fatalf("got the exit status %s, want %s", got, args[0])
				}
				if strings.Contains(ts.ReadFile("stdout")+ts.ReadFile("stderr"), "\x1b") {
					ts.Fatalf("the output has an escape code, although it is not a terminal")
				}
			},
		},
	})
}
