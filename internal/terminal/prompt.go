package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"

	"quilt-rotate/internal/redact"
)

// ErrNoTerminal means that a question cannot be asked, because there is no terminal.
var ErrNoTerminal = errors.New("this command asks a question, and there is no terminal")

// ErrDeclined means that the operator was asked and did not confirm.
var ErrDeclined = errors.New("nothing was changed: not confirmed")

// Ask asks for one line of text. If the operator presses Ctrl-D, it fails with [ErrDeclined].
func (c *Console) Ask(ctx context.Context, question string) (string, error) {
	if !c.Interactive() {
		return "", ErrNoTerminal
	}
	fmt.Fprint(c.Err, c.question(question), " ")
	answer, err := await(ctx, c.readLine)
	if errors.Is(err, io.EOF) {
		err = ErrDeclined
	}
	return answer, err
}

// question breaks a question between words, with room for one more character.
func (c *Console) question(text string) string {
	file, _ := c.errTo.(*os.File)
	return words(text, columns(file)-1)
}

// Note prints a line that is not part of the result to standard error. On a terminal, it is broken
// between words.
func (c *Console) Note(text string) {
	text = LegibleLines(text)
	if isTerminal(c.errTo) {
		text = c.question(text)
	}
	fmt.Fprintln(c.Err, text) //nolint:errcheck // the result does not depend on it
}

// Confirm asks the operator to type the word. It fails with [ErrDeclined] if the operator types
// something else. If there is no terminal, it fails with a hint that names --yes.
func (c *Console) Confirm(ctx context.Context, what, word string) error {
	answer, err := c.Ask(ctx, fmt.Sprintf("%s\ntype %s to go on:", LegibleLines(what), Strong.Render(Legible(word))))
	switch {
	case errors.Is(err, ErrNoTerminal):
		return WithHint(errors.New("this needs a confirmation, and there is no terminal to ask at"),
			"add --yes to confirm it here")
	case err == nil && answer != word:
		return ErrDeclined
	}
	return err
}

// AskSecret reads one line that must not be shown. It reads from the terminal without an echo or,
// if standard input is no terminal, from standard input. what names the expected text, and instead
// is the hint if standard input is empty. White space around the text is removed.
func (c *Console) AskSecret(ctx context.Context, what, instead string) (redact.Text, error) {
	if !isTerminal(c.in) {
		line, err := await(ctx, c.readLine)
		if errors.Is(err, io.EOF) {
			err = WithHint(fmt.Errorf("standard input ended, and %s was expected", what), instead)
		}
		return redact.New(line), err
	}
	fd := c.in.(*os.File).Fd() // called once, because the read may still run after the file is closed
	state, err := term.GetState(fd)
	if err != nil {
		return redact.Text{}, fmt.Errorf("prepare the terminal: %w", err)
	}
	fmt.Fprint(c.Err, c.question("type or paste "+Legible(what)+" (not shown):"), " ")
	text, err := await(ctx, func() (string, error) { return readNoEcho(fd, state) })
	if ctx.Err() != nil {
		_ = term.Restore(fd, state)
	}
	fmt.Fprintln(c.Err) // the line end that the operator typed is not shown either
	if errors.Is(err, io.EOF) {
		err = ErrDeclined
	}
	return redact.New(text), err
}

// readLine reads one line. The last line may lack a line end. At the end of the input, readLine
// fails with io.EOF.
func (c *Console) readLine() (string, error) {
	line, err := c.lines.ReadString('\n')
	if line != "" && errors.Is(err, io.EOF) {
		err = nil
	}
	return line, err
}

// await calls read in a goroutine and waits for it or for the end of ctx, because a read from a
// terminal cannot be cancelled. So Ctrl-C ends the wait.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		return strings.TrimSpace(a.text), a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
