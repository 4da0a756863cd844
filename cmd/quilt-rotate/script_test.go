package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/terminal"
)

func TestScripts(t *testing.T) {
	// The scripts in testdata compare the output, the errors with their hints and the exit status
	// of the command. No output may contain a key, a token or a password that was sent (promise 4).
	t.Parallel()
	fixtures := &fixtures{byScript: map[string]*fixture{}}
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 30 {
		t.Fatalf("found the scripts %v, %v", files, err)
	}
	if raced {
		seen := 0
		files = slices.DeleteFunc(files, func(string) bool { seen++; return seen%3 != 1 })
		t.Log("SAMPLED: 1 of 3 scripts with the race detector; make test runs all without it")
	}
	testscript.RunT(leakCheck{t, fixtures, nil}, testscript.Params{
		Files: files,
		Setup: func(env *testscript.Env) error {
			script, err := os.ReadFile(filepath.Join("testdata", strings.TrimPrefix(filepath.Base(env.WorkDir),
				"script-")+".txtar"))
			if strings.Contains(string(script), "\nrun-advice 0 'aws ") && notInstalled("aws") {
				env.T().Skip("SKIPPED: scripts that run advice with the AWS CLI: it is not installed")
			}
			return errors.Join(err, fixtures.setUp(env))
		},
		Cmds: scriptCommands(),
	})
}

// setUp gives a script its own sandbox, and hides the machine's AWS configuration.
func (f *fixtures) setUp(env *testscript.Env) error {
	for _, name := range awsVariables {
		env.Setenv(name, "")
	}
	env.Setenv("HOME", env.WorkDir) // no AWS profile
	env.Setenv("FUNCTIONS", folder)
	events, err := filepath.Abs("../../events")
	env.Setenv("EVENTS", events)
	shapes, shapesErr := filepath.Abs("testdata/json")
	env.Setenv("JSON", shapes)
	own := &fixture{keys: map[string]string{}}
	env.Values[fixtureKey{}] = own
	f.add(filepath.Base(env.WorkDir), own)
	env.Defer(own.close)
	return errors.Join(err, shapesErr)
}

// awsVariables are cleared, so that a script connects only to its sandbox.
var awsVariables = []string{
	"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN", "AWS_CA_BUNDLE",
	"QUILT_REGISTRY_URL", "QUILT_API_KEY", "QUILT_CA_BUNDLE",
}

func scriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	list := map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"at-terminal": atTerminal,
		"json":        jsonFields,
		// status N COMMAND [ARG...]: runs the command, which ends with the exit status N.
		"status": func(ts *testscript.TestScript, _ bool, args []string) {
			err := ts.Exec(args[1], args[2:]...)
			got := "0"
			if err != nil {
				got = strings.TrimPrefix(err.Error(), "exit status ")
			}
			if got != args[0] {
				ts.Fatalf("exit status %s, want %s", got, args[0])
			}
			checkPlain(ts, args[1:])
			fixtureOf(ts).advice = ts.ReadFile("stdout") + ts.ReadFile("stderr")
		},
		"run-advice": runAdvice,
	}
	for _, commands := range []map[string]func(*fixture, *testscript.TestScript, bool, []string){fixtureCommands,
		incidentCommands, reportCommands} {
		for name, command := range commands {
			list[name] = func(ts *testscript.TestScript, neg bool, args []string) {
				command(fixtureOf(ts), ts, neg,
					args)
			}
		}
	}
	return list
}

// runAdvice is the command "run-advice STATUS COMMAND [ARG...]". The output of the last `status`
// advises the command. It runs here, with the arguments, and ends with the exit status. Advice that
// does not work fails the script.
func runAdvice(ts *testscript.TestScript, _ bool, args []string) {
	if !strings.Contains(fixtureOf(ts).advice, args[1]) {
		ts.Fatalf("the last output does not advise %q", args[1])
	}
	got := "0"
	if err := ts.Exec("sh", "-c", unset+strings.Join(args[1:], " ")); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// checkPlain fails the script if the output of a run without a terminal has an escape code or
// another control character, or if the standard output of --json is neither empty nor one document.
func checkPlain(ts *testscript.TestScript, command []string) {
	stdout := ts.ReadFile("stdout")
	for _, r := range stdout + ts.ReadFile("stderr") {
		if terminal.Hidden(r) && !strings.ContainsRune("\t\r\n", r) {
			ts.Fatalf("the output has the character %U", r)
		}
	}
	if slices.Contains(command, "--json") && strings.TrimSpace(stdout) != "" && !json.Valid([]byte(stdout)) {
		ts.Fatalf("the standard output is not one JSON document")
	}
}

// fixtures are the sandboxes of the running scripts.
type fixtures struct {
	mu       sync.Mutex
	byScript map[string]*fixture // by the script's name
}

func (f *fixtures) add(workDir string, added *fixture) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byScript[strings.TrimPrefix(workDir, "script-")] = added
}

func (f *fixtures) of(script string) *fixture {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byScript[script]
}

// leakCheck is a test that searches the output of its scripts for secrets, whether they fail or not.
type leakCheck struct {
	*testing.T
	fixtures   *fixtures
	transcript *strings.Builder
}

func (s leakCheck) Parallel() { s.T.Parallel() }

// Verbose lets the script print its whole output.
func (s leakCheck) Verbose() bool { return true }

// Log records the output, and prints it with -v.
func (s leakCheck) Log(args ...any) {
	s.Helper()
	if s.transcript != nil {
		fmt.Fprintln(s.transcript, args...)
	}
	if testing.Verbose() {
		s.T.Log(args...)
	}
}

// Run runs one script.
func (s leakCheck) Run(name string, script func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) {
		own := leakCheck{t, s.fixtures, &strings.Builder{}}
		t.Cleanup(func() {
			if t.Failed() && !testing.Verbose() {
				t.Log(own.transcript.String())
			}
			if f := s.fixtures.of(name); f != nil {
				own.findSecrets(f.canaries(), own.transcript.String())
			}
		})
		script(own)
	})
}

func (s leakCheck) findSecrets(canaries *sandboxtest.Canaries, output string) {
	s.Helper()
	if what := canaries.Find(output); what != "" {
		s.Errorf("the output contains part of %s", what)
	}
}
