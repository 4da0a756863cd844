package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/handbook"
)

// coming are commands that pages have somebody type and that there are not yet: such a page is skipped, with a notice.
var coming = []string{"bootstrap", "recover", "adopt", "rollback", "retire", "status", "revoke", "unstick", "pause", "resume", "emergency", "doctor", "keys", "exec", "audit"}

func TestPages(t *testing.T) {
	// Protects who follows a page at three in the morning: each command of each page is typed here, in the order of the page, from the broken state that its script
	// makes (testdata/pages); it ends as it should, and prints what the page shows. A script has a line `type` for each command of its page.
	all, err := handbook.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	pages, files, folder := map[string]handbook.Page{}, []string{}, t.TempDir()
	for _, p := range all {
		if len(p.Commands()) == 0 {
			continue
		}
		name := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(p.Path, "docs/"), ".md"), "/", "-")
		script, err := os.ReadFile(filepath.Join("testdata", "pages", name+".txt"))
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s has commands, and testdata/pages/%s.txt, which makes the state that they are for, is missing", p.Path, name)
			continue
		}
		if command := awaits(p); command != "" {
			pages[name] = p
			t.Run(name, func(t *testing.T) { t.Skipf("SKIPPED: %s: there is no command %s yet", p.Path, command) })
			continue
		}
		file := filepath.Join(folder, name+".txtar")
		if err := errors.Join(err, os.WriteFile(file, append(script, "\nnothing-left\n"...), 0o600)); err != nil {
			t.Fatal(err)
		}
		pages[name], files = p, append(files, file)
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
	// type [STATUS]: types the page's next command, which ends with that status, and prints what the page shows. type all: types what is left.
	list["type"] = func(ts *testscript.TestScript, _ bool, args []string) {
		r := ts.Value(readerKey{}).(*reader)
		if slices.Equal(args, []string{"all"}) {
			for r.typed < len(r.page.Commands()) {
				r.next(ts, 0)
			}
			return
		}
		status := 0
		if len(args) > 0 {
			status = atoi(ts, args[0])
		}
		r.next(ts, status)
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

var ofTheCommand = regexp.MustCompile(`quilt-rotate ([a-z]+)`)

// awaits is a command that the page has somebody type and that there is not yet; "" for none.
func awaits(p handbook.Page) string {
	for _, c := range p.Commands() {
		for _, match := range ofTheCommand.FindAllStringSubmatch(c.Line, -1) {
			if slices.Contains(coming, match[1]) {
				return match[1]
			}
		}
	}
	return ""
}

func TestNothingIsComingThatIsThere(t *testing.T) {
	// Protects pages from being skipped for ever.
	for _, command := range coming {
		if status, _, _ := inProcess(t.Context(), command, "--help"); status == exitOK {
			t.Errorf("there is a command %s now: take it out of the list", command)
		}
	}
}

func (r *reader) next(ts *testscript.TestScript, status int) {
	commands := r.page.Commands()
	if r.typed >= len(commands) {
		ts.Fatalf("%s has %d commands only", r.page.Path, len(commands))
	}
	c := commands[r.typed]
	r.typed++
	if strings.HasPrefix(c.Line, "aws ") {
		if _, err := exec.LookPath("aws"); err != nil {
			ts.Logf("SKIPPED: aws is not installed: %s:%d: %s", r.page.Path, c.At, c.Line)
			return
		}
	}
	got := 0
	if err := ts.Exec("sh", "-c", c.Line); err != nil {
		var convErr error
		if got, convErr = strconv.Atoi(strings.TrimPrefix(err.Error(), "exit status ")); convErr != nil {
			ts.Fatalf("%s:%d: %s: %v", r.page.Path, c.At, c.Line, err)
		}
	}
	if got != status {
		ts.Fatalf("%s:%d: %s: exit status %d, want %d", r.page.Path, c.At, c.Line, got, status)
	}
	output := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	for _, line := range c.Output {
		if !showsIn(output, line) {
			ts.Fatalf("%s:%d: %s does not print %q", r.page.Path, c.At, c.Line, line)
		}
	}
}

// showsIn tells whether a line of the output is as the page shows it; "…" stands for anything, and a run of spaces for another.
func showsIn(output, shown string) bool {
	form := regexp.QuoteMeta(strings.Join(strings.Fields(shown), " "))
	form = "^ *" + strings.ReplaceAll(strings.ReplaceAll(form, "…", ".*"), " ", " +") + " *$"
	return regexp.MustCompile("(?m)" + form).MatchString(output)
}
