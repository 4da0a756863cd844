// Package terminal is where the command speaks with a person: colours, tables, progress, questions.
//
// What goes where: results go to standard output, and so does progress where a person reads it as the result; with --json it goes to
// standard error. Questions go to standard error. Text is lower case and has no full stop at its end. Nothing but a terminal with colour gets an
// escape code: in a pipe, a file, with NO_COLOR or TERM=dumb everything is plain lines.
//
// It knows nothing of keys and secrets but how to read one unseen ([Console.AskSecret]) and how to hand one over unseen ([Console.HandOver]).
package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"

	"quilt-rotate/internal/redact"
)

// Console is what a command reads from and writes to.
type Console struct {
	Out io.Writer // results, in as much colour as their terminal has
	Err io.Writer // what is said beside, likewise

	in               io.Reader
	lines            *bufio.Reader // over in, where that is no terminal
	outTo, errTo     io.Writer     // what Out and Err go to in the end, for what it can show
	plainOut, rawErr io.Writer
	environ          []string
}

// NewConsole writes results to out, which may count or keep them on their way to outTo. environ is the process's.
func NewConsole(in io.Reader, out, outTo, err io.Writer, environ []string) *Console {
	return &Console{
		Out: InColour(outTo, out, environ), Err: InColour(err, err, environ),
		in: in, lines: bufio.NewReader(in), outTo: outTo, errTo: err, plainOut: out, rawErr: err, environ: environ,
	}
}

// In is standard input as it is: for a program that is started.
func (c *Console) In() io.Reader { return c.in }

// Terminal is what results go to in the end: for a screen that draws on it.
func (c *Console) Terminal() io.Writer { return c.outTo }

// Live prints results of which the last ones change. The caller closes it.
func (c *Console) Live(region func(frame int) []string) *Live {
	return NewLive(c.outTo, c.plainOut, c.environ, region)
}

// Watched tells whether results go to a terminal.
func (c *Console) Watched() bool { return isTerminal(c.outTo) }

// Interactive tells whether somebody can be asked.
func (c *Console) Interactive() bool { return isTerminal(c.in) && isTerminal(c.errTo) }

// Width is how many columns results have; 80 where nothing tells.
func (c *Console) Width() int {
	file, _ := c.outTo.(*os.File)
	return columns(file)
}

// Tell prints a line as a result, broken between words where a person reads it.
func (c *Console) Tell(mark Mark, what, detail string) error {
	lines := []string{Line(mark, what, detail)}
	if c.Watched() {
		lines = Wrap(lines[0], c.Width())
	}
	_, err := fmt.Fprintln(c.Out, strings.Join(lines, "\n"))
	return err
}

// ErrSeen says that a secret would be shown.
var ErrSeen = errors.New("standard output is a terminal, which would show it")

// HandOver writes a secret to standard output, and nothing else, not even a line end: the program at the other end of the pipe may keep every byte. On a
// terminal it fails with [ErrSeen].
func (c *Console) HandOver(secret redact.Text) error {
	if c.Watched() {
		return ErrSeen
	}
	_, err := io.WriteString(c.plainOut, secret.Reveal())
	return err
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(file.Fd())
}
