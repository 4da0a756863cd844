// Package terminal prints the output of a command and asks questions. It has colours, tables,
// progress and JSON.
//
// Results go to standard output. Progress goes there too if an operator reads it as the result, and
// to standard error with --json. Questions go to standard error. Text is in lower case and has no
// full stop at its end. Escape codes are printed only to a terminal with colour: in a pipe, in a
// file, with NO_COLOR or with TERM=dumb, the output is plain lines. Text from outside is printed
// with [Legible], so that it cannot control the terminal.
//
// The package has no rules about keys and secrets, except that it never shows a secret: it reads
// one without an echo ([Console.AskSecret]) and writes one only to a pipe or a file
// ([Console.WriteSecret]).
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

// Console has the input and the outputs of a command.
type Console struct {
	Out io.Writer // results, with colours if the terminal has them
	Err io.Writer // everything else

	in               io.Reader
	lines            *bufio.Reader // reads from in
	outTo, errTo     io.Writer     // the ends of Out and Err, which decide on colours and width
	plainOut, rawErr io.Writer
	environ          []string
}

// NewConsole returns a Console that writes results to out, which forwards them to outTo. environ is
// the environment of the process.
func NewConsole(in io.Reader, out, outTo, err io.Writer, environ []string) *Console {
	return &Console{
		Out: &colorprofile.Writer{Forward: out, Profile: profileOf(outTo, environ)},
		Err: &colorprofile.Writer{Forward: err, Profile: profileOf(err, environ)},
		in:  in, lines: bufio.NewReader(in), outTo: outTo, errTo: err, plainOut: out, rawErr: err, environ: environ,
	}
}

// Terminal returns the end of the output for results, for a screen that draws on it.
func (c *Console) Terminal() io.Writer { return c.outTo }

// Watched reports whether results go to a terminal.
func (c *Console) Watched() bool { return isTerminal(c.outTo) }

// Interactive reports whether a question can be asked.
func (c *Console) Interactive() bool { return isTerminal(c.in) && isTerminal(c.errTo) }

// Width returns the number of columns for results. It is 80 if the width of the terminal is not
// known.
func (c *Console) Width() int {
	file, _ := c.outTo.(*os.File)
	return columns(file)
}

// Print prints a line as a result, broken between words on a terminal.
func (c *Console) Print(mark Mark, what, detail string) error {
	lines := []string{Line(mark, what, detail)}
	if c.Watched() {
		lines = Wrap(lines[0], c.Width())
	}
	_, err := fmt.Fprintln(c.Out, strings.Join(lines, "\n"))
	return err
}

// ErrVisible means that a secret would be shown on a terminal.
var ErrVisible = errors.New("standard output is a terminal, which would show it")

// WriteSecret writes a secret to standard output. It writes no line end, because the program that
// reads the output may store each byte. On a terminal it fails with [ErrVisible].
func (c *Console) WriteSecret(secret redact.Text) error {
	if c.Watched() {
		return ErrVisible
	}
	_, err := io.WriteString(c.plainOut, secret.Reveal())
	return err
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(file.Fd())
}
