package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/docs/handbook"
	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/vault"
)

func TestPages(t *testing.T) {
	// The commands of a page must work during an incident. For each page, a script in
	// testdata/pages prepares the state that the page describes. Then each command of the page runs
	// in order, and its exit status and output are compared with the page. A script has a line
	// `type` for each command.
	t.Parallel()
	all, err := handbook.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	pages, files, folder, skipped, typeAWS := map[string]handbook.Page{}, []string{}, t.TempDir(), 0, 0
	for _, p := range all {
		if len(p.Commands()) == 0 {
			continue
		}
		name := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(p.Path, "docs/"), ".md"), "/", "-")
		script, err := os.ReadFile(filepath.Join("testdata", "pages", name+".txt"))
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s has commands, but testdata/pages/%s.txt, which prepares their state, is missing",
				p.Path, name)
			continue
		}
		file := filepath.Join(folder, name+".txtar")
		if err := errors.Join(err, os.WriteFile(file, append(script, "\nall-typed\n"...), 0o600)); err != nil {
			t.Fatal(err)
		}
		pages[name] = p
		programs := programsOf(p.Commands())
		if slices.Contains(programs, "aws") {
			typeAWS++
		}
		switch missing := slices.IndexFunc(programs, notInstalled); {
		case missing >= 0:
			t.Logf("SKIPPED: pages with commands of %s: it is not installed", programs[missing])
		case !*exhaustive && slices.Contains(programs, "aws") && typeAWS%everyAWS != 1:
		default:
			files = append(files, file)
		}
	}
	if !*exhaustive {
		t.Logf("SAMPLED: 1 of %d pages with commands of the AWS CLI, which take half a second each; all: go test "+
			"./cmd/quilt-rotate -run Pages -exhaustive", everyAWS)
	}
	if raced { // make test types all of them without the race detector; with it they take minutes
		files = slices.DeleteFunc(files, func(string) bool { skipped++; return skipped%8 != 0 })
	}
	checkNoUnusedScript(t, pages)

	fixtures := &fixtures{byScript: map[string]*fixture{}}
	testscript.RunT(leakCheck{t, fixtures, nil}, testscript.Params{
		Files: files,
		Setup: func(env *testscript.Env) error {
			env.Values[readerKey{}] = &reader{page: pages[strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")]}
			return fixtures.setUp(env)
		},
		Cmds: pageCommands(),
	})
}

var exhaustive = flag.Bool("exhaustive", false, "test all pages with commands of the AWS CLI, not a sample")

const everyAWS = 12

// programsOf returns the programs that the commands need and that may not be installed. Either all
// commands of a page run or none, because each relies on the ones before it.
func programsOf(commands []handbook.Command) []string {
	return slices.DeleteFunc([]string{"aws", "python3"}, func(program string) bool {
		form := regexp.MustCompile(`\b` + program + ` `)
		return !slices.ContainsFunc(commands, func(c handbook.Command) bool { return form.MatchString(c.Line) })
	})
}

func notInstalled(program string) bool {
	_, err := exec.LookPath(program)
	return err != nil
}

// checkNoUnusedScript fails the test if a script's page no longer exists or has no commands.
func checkNoUnusedScript(t *testing.T, pages map[string]handbook.Page) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/pages/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("found no scripts of pages", err)
	}
	for _, script := range scripts {
		if _, ok := pages[strings.TrimSuffix(filepath.Base(script), ".txt")]; !ok {
			t.Errorf("%s belongs to no page with commands", script)
		}
	}
}

// reader runs the commands of a page.
type reader struct {
	page  handbook.Page
	typed int // the number of commands that ran
}

type readerKey struct{}

func pageCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	list := scriptCommands()
	// type [STATUS [ANSWER...]]: runs the page's next command and compares its exit status, and its
	// output with the page. With answers, the command runs at a terminal, where an answer is typed
	// at each question. type all: runs the remaining commands.
	list["type"] = func(ts *testscript.TestScript, _ bool, args []string) {
		r := ts.Value(readerKey{}).(*reader)
		switch {
		case slices.Equal(args, []string{"all"}):
			for r.typed < len(r.page.Commands()) {
				r.next(ts, 0)
			}
		case len(args) > 1:
			r.answer(ts, atoi(ts, args[0]), args[1:])
		case len(args) == 1:
			r.next(ts, atoi(ts, args[0]))
		default:
			r.next(ts, 0)
		}
	}
	// label SECRET LABEL...: puts the labels on the current version. ! label SECRET LABEL...:
	// removes them.
	list["label"] = func(ts *testscript.TestScript, neg bool, args []string) {
		f := fixtureOf(ts)
		version, _, err := f.Current(args[0])
		ts.Check(err)
		for _, label := range args[1:] {
			in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &args[0], VersionStage: &label,
				MoveToVersionId: &version}
			if neg {
				in.MoveToVersionId, in.RemoveFromVersionId = nil, &version
			}
			_, err := f.SecretsManager().UpdateSecretVersionStage(context.Background(), in)
			ts.Check(err)
		}
	}
	// log-in ID: a consumer logs in with the key.
	list["log-in"] = func(ts *testscript.TestScript, _ bool, args []string) {
		f := fixtureOf(ts)
		f.mu.Lock()
		key, err := apikey.Parse(f.keys[args[0]])
		f.mu.Unlock()
		ts.Check(err)
		logsIn, err := f.Logins(context.Background(), key)
		ts.Check(err)
		if !logsIn {
			ts.Fatalf("the key %s does not log in", args[0])
		}
	}
	// fails TYPE FUNCTION EVENT: calls the function, which fails with that type of error. In the
	// event, ARN:SECRET stands for the secret's ARN, and LABEL:SECRET for the version with the
	// label.
	list["fails"] = func(ts *testscript.TestScript, _ bool, args []string) {
		f := fixtureOf(ts)
		event := regexp.MustCompile(`(ARN|AWS[A-Z]+):([a-z/]+)`).ReplaceAllStringFunc(args[2],
			func(text string) string {
				stage, name, _ := strings.Cut(text, ":")
				shot, err := f.Secrets.Snapshot(name)
				ts.Check(err)
				if holder, ok := shot.Holder(stage); ok {
					return holder.ID
				}
				return shot.ARN
			})
		answer, functionError, err := f.Lambda.Invoke(context.Background(), args[1], []byte(event))
		ts.Check(err)
		if functionError == "" || !strings.Contains(string(answer), `"errorType":"`+args[0]+`"`) {
			ts.Fatalf("the function %s answered %s, want an error of type %s", args[1], answer, args[0])
		}
	}
	// delete-pending-key SECRET: deletes the secret's pending key at the registry.
	list["delete-pending-key"] = func(ts *testscript.TestScript, _ bool, args []string) {
		f := fixtureOf(ts)
		shot, err := f.Secrets.Snapshot(args[0])
		ts.Check(err)
		pending, _ := shot.Holder(vault.Pending)
		value, err := apikey.ParseValue(redact.New(pending.Value), "")
		ts.Check(err)
		key, _ := f.Registry.KeyBySecret(value.Key().Reveal())
		f.Registry.Delete(key.ID)
	}
	// reset-registry: resets all switches of the registry.
	list["reset-registry"] = func(ts *testscript.TestScript, _ bool, _ []string) {
		fixtureOf(ts).Registry.SetSwitches(func(s *quiltregistry.Switches) { *s = quiltregistry.Switches{} })
	}
	// all-typed: all commands of the page ran.
	list["all-typed"] = func(ts *testscript.TestScript, _ bool, _ []string) {
		r := ts.Value(readerKey{}).(*reader)
		for _, c := range r.page.Commands()[r.typed:] {
			ts.Fatalf("%s:%d did not run: %s", r.page.Path, c.At, c.Line)
		}
	}
	return list
}

// madeElsewhere maps errors that no script of a page causes to the test that causes them.
var madeElsewhere = map[string]string{
	"RotationOff":         "TestRotationSwitchedOff",
	"PendingHoldsCurrent": "TestAPendingValueThatHoldsTheCurrentKey",
	"Edited":              "TestEditDuringRotationIsKept",
	"OutOfTime":           "TestErrorTypes",
	"Unexpected":          "TestErrorTypes",
}

func TestScriptsOfErrorsCauseThem(t *testing.T) {
	// The commands of an error's page must run after that error. Therefore its script causes the
	// error first, or madeElsewhere names a test that does.
	all, err := handbook.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	ofError, seen := regexp.MustCompile("(?m)^Error type `([A-Za-z]+)`"), 0
	for _, p := range all {
		for _, match := range ofError.FindAllStringSubmatch(p.Text, -1) {
			seen++
			script, _ := os.ReadFile(filepath.Join("testdata", "pages",
				"runbook-"+strings.TrimSuffix(filepath.Base(p.Path), ".md")+".txt"))
			made := regexp.MustCompile(`(?m)^(fails|stdout|stderr) .*\b` + match[1] + `\b`).Match(script)
			if _, elsewhere := madeElsewhere[match[1]]; made == elsewhere {
				t.Errorf("%s: the script causes the error: %t, madeElsewhere names a test: %t; want exactly one",
					p.Path, made, elsewhere)
			}
		}
	}
	if seen < 30 {
		t.Errorf("found only %d errors, want 30 or more", seen)
	}
}

// unset unsets variables that are empty. The AWS CLI looks for a profile with an empty name if
// AWS_PROFILE is empty.
const unset = `for name in AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE; do eval test -n '"$'$name'"' || unset $name; done; `

// command returns the page's next command.
func (r *reader) command(ts *testscript.TestScript) handbook.Command {
	commands := r.page.Commands()
	if r.typed >= len(commands) {
		ts.Fatalf("%s has only %d commands", r.page.Path, len(commands))
	}
	r.typed++
	return commands[r.typed-1]
}

func (r *reader) next(ts *testscript.TestScript, status int) {
	c := r.command(ts)
	got := 0
	if err := ts.Exec("sh", "-c", unset+c.Line); err != nil {
		var convErr error
		if got, convErr = strconv.Atoi(strings.TrimPrefix(err.Error(), "exit status ")); convErr != nil {
			ts.Fatalf("%s:%d: %s: %v", r.page.Path, c.At, c.Line, err)
		}
	}
	r.check(ts, c, status, got, ts.ReadFile("stdout")+ts.ReadFile("stderr"))
}

// answer runs the page's next command at a terminal and types an answer at each question.
func (r *reader) answer(ts *testscript.TestScript, status int, answers []string) {
	c := r.command(ts)
	command := exec.Command("/bin/sh", "-c", unset+c.Line)
	command.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TERM=dumb"}
	for _, name := range awsVariables {
		command.Env = append(command.Env, name+"="+ts.Getenv(name))
	}
	terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: 50, Cols: 80})
	ts.Check(err)
	defer terminal.Close()
	var screen bytes.Buffer
	question, asked := regexp.MustCompile(`: *$`), 0
	for buffer := make([]byte, 4096); ; {
		n, err := terminal.Read(buffer)
		screen.Write(buffer[:n])
		if rest := screen.Bytes()[asked:]; len(answers) > 0 && question.Match(rest) {
			asked = screen.Len()
			text, unseen := answerOf(ts, answers[0])
			for unseen && echoes(terminal) { // the command turns the echo off after the question
				runtime.Gosched()
			}
			_, err := terminal.WriteString(text + "\n")
			ts.Check(err)
			answers = answers[1:]
		}
		if err != nil { // the other end is closed
			break
		}
	}
	got := 0
	if ended, ok := errors.AsType[*exec.ExitError](command.Wait()); ok {
		got = ended.ExitCode()
	}
	shown := strings.ReplaceAll(screen.String(), "\r\n", "\n")
	fmt.Fprint(ts.Stdout(), shown)
	r.check(ts, c, status, got, shown)
	if len(answers) > 0 {
		ts.Fatalf("%s:%d: %s: %d answers were not used", r.page.Path, c.At, c.Line, len(answers))
	}
}

// answerOf returns the answer. An answer with @ is the content of that file, which the terminal
// must not show.
func answerOf(ts *testscript.TestScript, answer string) (text string, unseen bool) {
	file, unseen := strings.CutPrefix(answer, "@")
	if unseen {
		return strings.TrimSpace(ts.ReadFile(file)), true
	}
	return answer, false
}

// check compares the exit status and the output of a command with the page.
func (r *reader) check(ts *testscript.TestScript, c handbook.Command, want, got int, output string) {
	if got != want {
		ts.Fatalf("%s:%d: %s: exit status %d, want %d\n%s", r.page.Path, c.At, c.Line, got, want, output)
	}
	for _, line := range c.Output {
		if !showsIn(output, line) {
			ts.Fatalf("%s:%d: %s does not print %q", r.page.Path, c.At, c.Line, line)
		}
	}
}

// showsIn reports whether a line of the output matches the line of the page. "…" stands for any
// text, and spaces match any number of spaces.
func showsIn(output, shown string) bool {
	form := regexp.QuoteMeta(strings.Join(strings.Fields(shown), " "))
	form = "^ *" + strings.ReplaceAll(strings.ReplaceAll(form, "…", ".*"), " ", " +") + " *$"
	return regexp.MustCompile("(?m)" + form).MatchString(output)
}
