// Package terminal prints what a command says and asks questions: colours, tables, progress, JSON.
//
// Results go to standard output. Progress goes there too if it is the result that an operator
// reads, and to standard error with --json. Questions go to standard error. Text is lower case and
// has no full stop at its end. Only a terminal with colour gets escape codes: in a pipe, in a file,
// with NO_COLOR or with TERM=dumb, everything is plain lines. Text from outside is made [Legible],
// so that no terminal obeys it.
//
// It knows nothing about keys and secrets except how to read one unseen ([Console.AskSecret]) and
// how to hand one over unseen ([Console.HandOver]).
package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/term"

	"quilt-rotate/internal/redact"
)

// Console is what a command reads from and writes to.
type Console struct {
	Out io.Writer // results, in the colours that the terminal has
	Err io.Writer // everything else

	in               io.Reader
	lines            *bufio.Reader // reads in
	outTo, errTo     io.Writer     // where Out and Err end, which decides on colours and width
	plainOut, rawErr io.Writer
	environ          []string
}

// NewConsole writes results to out, which may watch them on their way to outTo. environ is the
// environment of the process.
func NewConsole(in io.Reader, out, outTo, err io.Writer, environ []string) *Console {
	return &Console{
		Out: &colorprofile.Writer{Forward: out, Profile: profileOf(outTo, environ)}, Err: &colorprofile.Writer{
			Forward: err, Profile: profileOf(err, environ)},
		in: in, lines: bufio.NewReader(in), outTo: outTo, errTo: err, plainOut: out, rawErr: err, environ: environ,
	}
}

// Terminal is where results end, for a screen that draws on it.
func (c *Console) Terminal() io.Writer { return c.outTo }

// Watched reports whether results go to a terminal.
func (c *Console) Watched() bool { return isTerminal(c.outTo) }

// Interactive reports whether a question can be asked.
func (c *Console) Interactive() bool { return isTerminal(c.in) && isTerminal(c.errTo) }

// Width is the number of columns for results: 80 if the terminal does not say it.
func (c *Console) Width() int {
	file, _ := c.outTo.(*os.File)
	return columns(file)
}

// Tell prints a line as a result, broken between words on a terminal.
func (c *Console) Tell(mark Mark, what, detail string) error {
	lines := []string{Line(mark, what, detail)}
	if c.Watched() {
		lines = Wrap(lines[0], c.Width())
	}
	_, err := fmt.Fprintln(c.Out, strings.Join(lines, "\n"))
	return err
}

// ErrSeen means that a secret would be shown.
var ErrSeen = errors.New("standard output is a terminal, which would show it")

// HandOver writes a secret to standard output and nothing else, not even a line end, because the
// program at the other end of the pipe may keep every byte. It fails with [ErrSeen] on a terminal.
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
