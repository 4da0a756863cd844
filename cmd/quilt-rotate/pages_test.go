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
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/vault"
)

func TestPages(t *testing.T) {
	// Protects who follows a page at three in the morning: each command of each page is typed here,
	// in the order of the page, from the broken state that its script makes (testdata/pages); it
	// ends as it should, and prints what the page shows. A script has a line `type` for each
	// command of its page.
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
			t.Errorf("%s has commands, and testdata/pages/%s.txt, which makes the state that they are for, is missing",
				p.Path, name)
			continue
		}
		file := filepath.Join(folder, name+".txtar")
		if err := errors.Join(err, os.WriteFile(file, append(script, "\nnothing-left\n"...), 0o600)); err != nil {
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
	if raced { // make test types all of them without the race detector, under which they take minutes
		files = slices.DeleteFunc(files, func(string) bool { skipped++; return skipped%8 != 0 })
	}
	noScriptIsLeft(t, pages)

	worlds := &worlds{byScript: map[string]*world{}}
	testscript.RunT(shown{t, worlds, nil}, testscript.Params{
		Files: files,
		Setup: func(env *testscript.Env) error {
			env.Values[readerKey{}] = &reader{page: pages[strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")]}
			return worlds.setUp(env)
		},
		Cmds: readersCommands(),
	})
}

var exhaustive = flag.Bool("exhaustive", false, "type all pages with commands of the AWS CLI, and not a sample")

const everyAWS = 3

// programsOf are those of a person's machine that the commands need. A page is typed as a whole or
// not at all: each of its commands relies on the ones before.
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

// noScriptIsLeft finds scripts whose page is gone.
func noScriptIsLeft(t *testing.T, pages map[string]handbook.Page) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/pages/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("found no scripts of pages", err)
	}
	for _, script := range scripts {
		if _, ok := pages[strings.TrimSuffix(filepath.Base(script), ".txt")]; !ok {
			t.Errorf("%s is of no page that has commands", script)
		}
	}
}

// A reader follows a page.
type reader struct {
	page  handbook.Page
	typed int // how many commands so far
}

type readerKey struct{}

func readersCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	list := commandsOfScripts()
	// type [STATUS [ANSWER...]]: types the page's next command, which ends with that status, and
	// prints what the page shows; with answers, at a terminal, where one is typed at each question.
	// type all: types what is left.
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
	// off SECRET: somebody cancels its rotation.
	list["off"] = func(ts *testscript.TestScript, _ bool, args []string) {
		_, err := worldOf(ts).SecretsManager().CancelRotateSecret(context.Background(),
			&secretsmanager.CancelRotateSecretInput{SecretId: &args[0]})
		ts.Check(err)
	}
	// deleted SECRET: somebody deletes it, so that it can be restored.
	list["deleted"] = func(ts *testscript.TestScript, _ bool, args []string) {
		_, err := worldOf(ts).SecretsManager().DeleteSecret(context.Background(),
			&secretsmanager.DeleteSecretInput{SecretId: &args[0]})
		ts.Check(err)
	}
	// label SECRET LABEL...: somebody puts labels on its current version. ! label: takes them off.
	list["label"] = func(ts *testscript.TestScript, neg bool, args []string) {
		w := worldOf(ts)
		version, _, err := w.Current(args[0])
		ts.Check(err)
		for _, label := range args[1:] {
			in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &args[0], VersionStage: &label,
				MoveToVersionId: &version}
			if neg {
				in.MoveToVersionId, in.RemoveFromVersionId = nil, &version
			}
			_, err := w.SecretsManager().UpdateSecretVersionStage(context.Background(), in)
			ts.Check(err)
		}
	}
	// uses ID: a consumer goes on using the key.
	list["uses"] = func(ts *testscript.TestScript, _ bool, args []string) {
		w := worldOf(ts)
		w.mu.Lock()
		key, err := apikey.Parse(w.keys[args[0]])
		w.mu.Unlock()
		ts.Check(err)
		logsIn, err := w.Logins(context.Background(), key)
		ts.Check(err)
		if !logsIn {
			ts.Fatalf("the key %s does not log in", args[0])
		}
	}
	// issuer NAME user|admin|others|broken: a secret with the password of one of the two, which
	// serves prod/*, the user's that serves others, or with something that is no credential.
	list["issuer"] = func(ts *testscript.TestScript, _ bool, args []string) {
		value := map[string]string{
			"user": fmt.Sprintf(`{"username": %q, "password": %q, "serves": ["prod/*"]}`, sandbox.UserName,
				sandbox.UserPassword),
			"admin": fmt.Sprintf(`{"username": %q, "password": %q, "serves": ["prod/*"]}`, sandbox.AdminName,
				sandbox.AdminPassword),
			"others": fmt.Sprintf(`{"username": %q, "password": %q, "serves": ["team-b/*"]}`, sandbox.UserName,
				sandbox.UserPassword),
			"broken": `{"nothing": "of use"}`,
		}[args[1]]
		_, err := worldOf(ts).SecretsManager().CreateSecret(context.Background(),
			&secretsmanager.CreateSecretInput{Name: &args[0], SecretString: &value})
		ts.Check(err)
	}
	// transfer ID: the key is the administrator's now.
	list["transfer"] = func(ts *testscript.TestScript, _ bool, args []string) {
		if !worldOf(ts).Registry.TransferKey(args[0], sandbox.AdminEmail) {
			ts.Fatalf("the registry has no key %s", args[0])
		}
	}
	// fails TYPE FUNCTION EVENT: the function fails with that type of error. In the event
	// ARN:SECRET stands for the secret's ARN, and STAGE:SECRET for its version there.
	list["fails"] = func(ts *testscript.TestScript, _ bool, args []string) {
		w := worldOf(ts)
		event := regexp.MustCompile(`(ARN|AWS[A-Z]+):([a-z/]+)`).ReplaceAllStringFunc(args[2],
			func(text string) string {
				stage, name, _ := strings.Cut(text, ":")
				shot, err := w.Secrets.Snapshot(name)
				ts.Check(err)
				if holder, ok := shot.Holder(stage); ok {
					return holder.ID
				}
				return shot.ARN
			})
		answer, functionError, err := w.Lambda.Invoke(context.Background(), args[1], []byte(event))
		ts.Check(err)
		if functionError == "" || !strings.Contains(string(answer), `"errorType":"`+args[0]+`"`) {
			ts.Fatalf("the function %s answers %s", args[1], answer)
		}
	}
	// drop-pending SECRET: its pending key is deleted at the registry.
	list["drop-pending"] = func(ts *testscript.TestScript, _ bool, args []string) {
		w := worldOf(ts)
		shot, err := w.Secrets.Snapshot(args[0])
		ts.Check(err)
		pending, _ := shot.Holder(vault.Pending)
		value, err := apikey.ParseValue(redact.New(pending.Value), "")
		ts.Check(err)
		key, _ := w.Registry.KeyBySecret(value.Key().Reveal())
		w.Registry.Delete(key.ID)
	}
	// lose OPERATION: its answers are lost from now on, until ! refuse.
	list["lose"] = func(ts *testscript.TestScript, _ bool, args []string) {
		w := worldOf(ts)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.faults = []wire.Hook{sandboxtest.On(sandboxtest.LoseAnswer, args[0])}
	}
	// calm: the registry behaves again as registries do.
	list["calm"] = func(ts *testscript.TestScript, _ bool, _ []string) {
		worldOf(ts).Registry.SetSwitches(func(s *quiltregistry.Switches) { *s = quiltregistry.Switches{} })
	}
	// nothing-left: the whole page was typed.
	list["nothing-left"] = func(ts *testscript.TestScript, _ bool, _ []string) {
		r := ts.Value(readerKey{}).(*reader)
		for _, c := range r.page.Commands()[r.typed:] {
			ts.Fatalf("%s:%d was not typed: %s", r.page.Path, c.At, c.Line)
		}
	}
	return list
}

// madeElsewhere are errors that no script of a page makes, each with the test that does.
var madeElsewhere = map[string]string{
	"RotationOff":         "TestRotationSwitchedOff",
	"PendingHoldsCurrent": "TestAPendingValueThatHoldsTheCurrentKey",
	"Edited":              "TestEditDuringRotationIsKept",
	"OutOfTime":           "TestErrorsGetTheNamesThatOperatorsKnow",
	"Unexpected":          "TestErrorsGetTheNamesThatOperatorsKnow",
}

func TestScriptsOfErrorsMakeThem(t *testing.T) {
	// Protects the pages from being typed where all is well: the script of an error's page sees
	// that error first, or a test is named that makes it.
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
				t.Errorf("%s: its script sees the error: %t; another test is named: %t", p.Path, made, elsewhere)
			}
		}
	}
	if seen < 30 {
		t.Errorf("found %d errors only", seen)
	}
}

// unset takes out what is empty here and unset at a person's: the AWS CLI looks for a profile
// without a name.
const unset = `for name in AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE; do eval test -n '"$'$name'"' || unset $name; done; `

// command is the page's next one.
func (r *reader) command(ts *testscript.TestScript) handbook.Command {
	commands := r.page.Commands()
	if r.typed >= len(commands) {
		ts.Fatalf("%s has %d commands only", r.page.Path, len(commands))
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

// answer types the page's next command at a terminal, and an answer at each question.
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
			for unseen && echoes(terminal) { // a moment after the question, the terminal is told to show nothing
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
		ts.Fatalf("%s:%d: %s asked less than was answered", r.page.Path, c.At, c.Line)
	}
}

// answerOf is an answer, or with an @ what is in that file, which must not be seen.
func answerOf(ts *testscript.TestScript, answer string) (text string, unseen bool) {
	file, unseen := strings.CutPrefix(answer, "@")
	if unseen {
		return strings.TrimSpace(ts.ReadFile(file)), true
	}
	return answer, false
}

// check compares how a command ended, and what it printed, with what the page says.
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

// showsIn tells whether a line of the output is as the page shows it; "…" stands for anything, and
// a run of spaces for another.
func showsIn(output, shown string) bool {
	form := regexp.QuoteMeta(strings.Join(strings.Fields(shown), " "))
	form = "^ *" + strings.ReplaceAll(strings.ReplaceAll(form, "…", ".*"), " ", " +") + " *$"
	return regexp.MustCompile("(?m)" + form).MatchString(output)
}
