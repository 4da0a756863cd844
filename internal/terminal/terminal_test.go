package terminal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"
	"github.com/creack/pty"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/terminal"
)

var table = terminal.Table{
	Headers: []string{"version", "key"},
	Rows:    [][]string{{"1aa9bba5", "qk_abc...xyz"}, {"523d499c", strings.Repeat("long ", 30)}},
	Paint:   func(int, int) lipgloss.Style { return terminal.Good },
}

func TestATableInAPipeIsALineForEachRow(t *testing.T) {
	// Scripts cut columns, so there is no border, no colour and no wrapping.
	var out, errs bytes.Buffer
	c := terminal.NewConsole(strings.NewReader(""), &out, &out, &errs, []string{"TERM=xterm-256color"})
	if err := c.Table(table); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "version ") || !strings.HasPrefix(lines[1], "1aa9bba5") ||
		strings.ContainsAny(out.String(), "\x1b│╭") {
		t.Errorf("got the table\n%s", out.String())
	}
	if !strings.Contains(lines[2], strings.TrimSpace(strings.Repeat("long ", 30))) {
		t.Errorf("a long cell was truncated: %s", lines[2])
	}
}

func TestATableOnATerminalFitsIt(t *testing.T) {
	// A long text wraps within its cell.
	for line := range strings.Lines(table.Render(true, 60)) {
		if width := lipgloss.Width(strings.TrimRight(line, "\n")); width > 60 {
			t.Errorf("at %d columns, a line is too long: %q", width, line)
		}
	}
}

func TestResultsForProgramsHaveNoColour(t *testing.T) {
	// JSON has no colours, and letters such as < are not escaped.
	var out bytes.Buffer
	c := terminal.NewConsole(strings.NewReader(""), &out, &out, &out, nil)
	if err := c.JSON(map[string]string{"name": "<a> & b"}); err != nil {
		t.Fatal(err)
	}
	if out.String() != "{\n  \"name\": \"<a> & b\"\n}\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestJSONHasNoControlCharacters(t *testing.T) {
	// Control characters, line separators and marks of direction are escaped, and a program reads
	// the same text.
	const name = "\x1b[2J\u009b31m\u0085\u2028\u2029\u202e\u2066\u200f\u00a0\u007f\U000e0001 é日本 <&>"
	var out bytes.Buffer
	c := terminal.NewConsole(strings.NewReader(""), &out, &out, &out, nil)
	if err := c.JSON(map[string]string{"name": name}); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("the JSON contains the character %U", r)
		}
	}
	var read map[string]string
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read["name"] != name {
		t.Errorf("a program reads %q (%v)", read["name"], err)
	}
	if !strings.Contains(out.String(), "é日本 <&>") {
		t.Errorf("letters are escaped: %s", out.String())
	}
}

func TestProgressInAPipe(t *testing.T) {
	// Each completed step is a line. The current step is not printed.
	var out, errs bytes.Buffer
	c := terminal.NewConsole(strings.NewReader(""), &out, &out, &errs, nil)
	p := c.Progress(false)
	p.Doing("createSecret")
	p.Report(terminal.Done, "createSecret", "20 ms")
	p.Print("heading")
	p.Close()
	if out.String() != "  ✓ createSecret  20 ms\nheading\n" || errs.Len() > 0 {
		t.Errorf("got %q on standard output and %q on standard error", out.String(), errs.String())
	}
	p = c.Progress(true)
	p.Report(terminal.Failed, "testSecret", "")
	p.Close()
	if errs.String() != "  ✗ testSecret\n" {
		t.Errorf("with --json: got %q on standard error", errs.String())
	}
}

func TestQuestionsFailWithoutATerminal(t *testing.T) {
	// A script must neither wait for an answer nor continue without one.
	var out bytes.Buffer
	c := terminal.NewConsole(strings.NewReader("yes\n"), &out, &out, &out, nil)
	if _, err := c.Ask(t.Context(), "sure?"); !errors.Is(err, terminal.ErrNoTerminal) {
		t.Errorf("a question in a pipe: got %v", err)
	}
	err := c.Confirm(t.Context(), "this ends the world", "world")
	if err == nil || terminal.Hint(err) != "add --yes to confirm it here" || out.Len() > 0 {
		t.Errorf("a confirmation in a pipe: got %v with the hint %q and the output %q", err, terminal.Hint(err),
			out.String())
	}
}

func TestAskSecretReadsFromAPipe(t *testing.T) {
	// It reads one line and removes white space around it. A missing line is an error.
	var out bytes.Buffer
	c := terminal.NewConsole(strings.NewReader("  the code \nnext\n"), &out, &out, &out, nil)
	if got, err := c.AskSecret(t.Context(), "code", ""); err != nil || got.Reveal() != "the code" {
		t.Errorf("got %d characters, %v", len(got.Reveal()), err)
	}
	if got, err := c.AskSecret(t.Context(), "code", ""); err != nil || got.Reveal() != "next" {
		t.Errorf("the second line: got %v", err)
	}
	_, err := c.AskSecret(t.Context(), "the code", "pipe it")
	if err == nil || err.Error() != "standard input ended, and the code was expected" ||
		terminal.Hint(err) != "pipe it" {
		t.Errorf("an input that ended: got %v with the hint %s", err, terminal.Hint(err))
	}
}

// atATerminal returns a console at a terminal, and the other end of the terminal.
func atATerminal(t *testing.T) (c *terminal.Console, user *os.File, seen func() string) {
	t.Helper()
	user, tty, err := pty.Open()
	if err != nil {
		t.Skipf("SKIPPED: a question at a terminal: a pseudo-terminal is not installed: %v", err)
	}
	t.Cleanup(func() { _ = tty.Close(); _ = user.Close() })
	var screen bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 1024)
		for {
			n, err := user.Read(buffer)
			screen.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	return terminal.NewConsole(tty, tty, tty, tty, []string{"TERM=dumb"}), user, func() string {
		_ = tty.Close()
		<-read
		return screen.String()
	}
}

func TestAskSecretDoesNotEcho(t *testing.T) {
	// A terminal does not show the secret.
	c, user, seen := atATerminal(t)
	if _, err := user.WriteString("tell nobody\n"); err != nil {
		t.Fatal(err)
	}
	got, err := c.AskSecret(t.Context(), "the password", "")
	if err != nil || got.Reveal() != "tell nobody" {
		t.Fatalf("read %d characters, %v", len(got.Reveal()), err)
	}
	// The terminal echoes only what is typed before the question.
	if screen := seen(); !strings.Contains(screen, "type or paste the password (not shown):") {
		t.Errorf("the terminal shows %q", screen)
	}
}

func TestConfirmAcceptsOnlyTheWord(t *testing.T) {
	// The answer y is not accepted.
	for answer, want := range map[string]error{"prod/pipeline\n": nil, "y\n": terminal.ErrDeclined,
		"\n": terminal.ErrDeclined} {
		c, user, _ := atATerminal(t)
		if _, err := user.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		if err := c.Confirm(t.Context(), "this revokes a key", "prod/pipeline"); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
	}
}

func TestCtrlDEndsAHiddenQuestion(t *testing.T) {
	c, user, _ := atATerminal(t)
	if _, err := user.WriteString("\x04"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // ends only a test that hangs
	defer cancel()
	if _, err := c.AskSecret(ctx, "code", ""); !errors.Is(err, terminal.ErrDeclined) {
		t.Errorf("got %v", err)
	}
}

func TestCtrlDDeclinesAConfirmation(t *testing.T) {
	// Nothing is done, and the message says so.
	c, user, _ := atATerminal(t)
	if _, err := user.WriteString("\x04"); err != nil {
		t.Fatal(err)
	}
	if err := c.Confirm(t.Context(), "this revokes a key", "prod/pipeline"); !errors.Is(err, terminal.ErrDeclined) {
		t.Errorf("got %v", err)
	}
}

func TestHiddenQuestionFitsTheTerminal(t *testing.T) {
	// The question wraps between words.
	c, user, seen := atATerminal(t)
	if err := pty.Setsize(user, &pty.Winsize{Rows: 24, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	if _, err := user.WriteString("code\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AskSecret(t.Context(), "the login code of the registry registry.example.com, which "+
		"https://registry.example.com/login shows", ""); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(seen(), "\n") {
		if len(strings.TrimRight(line, "\r")) > 40 {
			t.Errorf("a line is too long: %q", line)
		}
	}
}

func TestCtrlCEndsAQuestion(t *testing.T) {
	// It ends even if nothing was typed.
	c, _, _ := atATerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := c.AskSecret(ctx, "code", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 90 * time.Minute: "90 min", 3 * time.Hour: "3 h", 47 * time.Hour: "47 h",
		60 * 24 * time.Hour: "60 days", -time.Hour: "-60 min",
	} {
		if got := terminal.About(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	if terminal.Ago(time.Second) != "just now" || terminal.Ago(time.Hour) != "60 min ago" {
		t.Error("the age of a time is wrong")
	}
}

func TestQuestionsCannotControlTheTerminal(t *testing.T) {
	// The name of a key may have been chosen by an attacker.
	const name = "\x1b[2J\x1b]0;gone\a"
	shown := terminal.Line(terminal.Warned, "a key", name) + terminal.Table{Headers: []string{"name"},
		Rows: [][]string{{name}}}.Render(false, 80)
	if strings.Contains(shown, "\x1b[2J") || strings.Contains(shown, "\x1b]") || strings.Count(shown, `\x1b[2J`) != 2 {
		t.Errorf("the terminal shows %q", shown)
	}
}

func TestALongLineIsWrappedBetweenWords(t *testing.T) {
	// No text is lost.
	const id = "d05e237c-f8ad-4cad-99f7-b5775ce8835e"
	line := terminal.Line(terminal.Failed, "the sweep did not do all of the "+id, strings.Repeat("for a reason ", 12))
	lines := terminal.Wrap(line, 80)
	if len(lines) < 2 {
		t.Fatalf("the line is not wrapped: %q", lines)
	}
	for _, l := range lines {
		if lipgloss.Width(l) > 80 || strings.HasSuffix(strings.TrimSpace(l), "reas") {
			t.Errorf("a line has %d columns: %q", lipgloss.Width(l), l)
		}
	}
	if got := strings.Count(strings.Join(lines, " "), "reason"); got != 12 {
		t.Errorf("got %d words, want 12", got)
	}
	if !strings.Contains(lines[0]+lines[1], id) {
		t.Errorf("the id is split across lines: %q", lines)
	}
}

func TestALiveRegionFitsAShortTerminal(t *testing.T) {
	// Lines that have scrolled away cannot be erased.
	user, tty, err := pty.Open()
	if err != nil {
		t.Skipf("SKIPPED: a region on a terminal: a pseudo-terminal is not installed: %v", err)
	}
	defer user.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 8, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	live := terminal.NewLive(tty, &out, []string{"TERM=xterm-256color"},
		func(int) []string { return strings.Split(strings.Repeat("line\n", 30), "\n") })
	live.Print(nil, nil)
	live.Close()
	_ = tty.Close()
	first, _, _ := strings.Cut(out.String(), "\x1b[?25h")
	if n := strings.Count(first, "\n"); n > 7*(strings.Count(first, "more lines")) ||
		!strings.Contains(first, "25 more lines") {
		t.Errorf("got %q", first)
	}
}

func TestWriteSecretRefusesATerminal(t *testing.T) {
	// A pipe gets the bytes of the secret and nothing else. A terminal gets nothing.
	var out, errs bytes.Buffer
	c := terminal.NewConsole(strings.NewReader(""), &out, &out, &errs, nil)
	if err := c.WriteSecret(redact.New("a secret")); err != nil || out.String() != "a secret" {
		t.Errorf("the pipe received %q (%v)", out.String(), err)
	}
	watched, _, seen := atATerminal(t)
	if err := watched.WriteSecret(redact.New("a secret")); !errors.Is(err, terminal.ErrVisible) ||
		strings.Contains(seen(), "a secret") {
		t.Errorf("at a terminal: got %v", err)
	}
}
