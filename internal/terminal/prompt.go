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
var ErrNoTerminal = errors.New("this needs an answer, and there is no terminal to ask at")

// ErrDeclined means that the operator was asked and did not confirm.
var ErrDeclined = errors.New("nothing was changed: not confirmed")

// Ask asks for one line of text. It fails with [ErrDeclined] at Ctrl-D.
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

// question breaks a question between words, with room for one character behind it.
func (c *Console) question(text string) string {
	file, _ := c.errTo.(*os.File)
	return words(text, columns(file)-1)
}

// Note prints a line beside a result to standard error, broken between words on a terminal.
func (c *Console) Note(text string) {
	text = LegibleLines(text)
	if isTerminal(c.errTo) {
		text = c.question(text)
	}
	fmt.Fprintln(c.Err, text) //nolint:errcheck // the result does not depend on it
}

// Confirm asks the operator to type the word. It fails with [ErrDeclined], or with a hint at --yes
// if there is no terminal.
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

// AskSecret reads one line that must not be shown: without an echo from a terminal, else from
// standard input as it is. what names the text that is expected, and instead is the hint if
// standard input ends before it. White space around the text is removed.
func (c *Console) AskSecret(ctx context.Context, what, instead string) (redact.Text, error) {
	if !isTerminal(c.in) {
		line, err := await(ctx, c.readLine)
		if errors.Is(err, io.EOF) {
			err = WithHint(fmt.Errorf("standard input ended, and %s was expected", what), instead)
		}
		return redact.New(line), err
	}
	fd := c.in.(*os.File).Fd() // once: the read below may outlive the wait for it, and the file
	state, err := term.GetState(fd)
	if err != nil {
		return redact.Text{}, fmt.Errorf("prepare the terminal: %w", err)
	}
	fmt.Fprint(c.Err, c.question("type or paste "+Legible(what)+" (not shown):"), " ")
	text, err := await(ctx, func() (string, error) { return readUnseen(fd, state) })
	if ctx.Err() != nil {
		_ = term.Restore(fd, state)
	}
	fmt.Fprintln(c.Err) // the operator's own line end is not shown either
	if errors.Is(err, io.EOF) {
		err = ErrDeclined
	}
	return redact.New(text), err
}

// readLine reads to the end of a line or of the input. It fails with io.EOF if the input has ended.
func (c *Console) readLine() (string, error) {
	line, err := c.lines.ReadString('\n')
	if line != "" && errors.Is(err, io.EOF) {
		err = nil
	}
	return line, err
}

// await reads in the background, because a read from a terminal knows no context: Ctrl-C ends the
// wait.
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
