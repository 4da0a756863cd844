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

// ErrNobodyThere says that a question cannot be asked: nobody sits there.
var ErrNobodyThere = errors.New("this needs an answer, and there is no terminal to ask at")

// ErrDeclined says that somebody was asked, and said no.
var ErrDeclined = errors.New("nothing was done: not confirmed")

// Ask asks for one line of text.
func (c *Console) Ask(ctx context.Context, question string) (string, error) {
	if !c.Interactive() {
		return "", ErrNobodyThere
	}
	fmt.Fprint(c.Err, question, " ")
	answer, err := await(ctx, nil, c.readLine)
	return strings.TrimSpace(answer), err
}

// question breaks a question between words, with room for a sign behind it.
func (c *Console) question(text string) string {
	file, _ := c.errTo.(*os.File)
	return words(text, columns(file)-1)
}

// Note says something beside a result, broken between words where a person reads it.
func (c *Console) Note(text string) {
	if isTerminal(c.errTo) {
		text = c.question(text)
	}
	fmt.Fprintln(c.Err, text) //nolint:errcheck // who does not listen misses it
}

// Confirm demands that somebody types the word. What in the question a terminal would obey is written out. It fails with [ErrDeclined], or, where there is nobody to ask, with a hint at --yes.
func (c *Console) Confirm(ctx context.Context, what, word string) error {
	answer, err := c.Ask(ctx, fmt.Sprintf("%s\ntype %s to go on:", c.question(LegibleLines(what)), Strong.Render(Legible(word))))
	if errors.Is(err, ErrNobodyThere) {
		return WithHint(errors.New("this needs a confirmation, and there is no terminal to ask at"), "add --yes to confirm it here")
	}
	if err != nil {
		return err
	}
	if answer != word {
		return ErrDeclined
	}
	return nil
}

// AskSecret reads one line that must not be seen: unseen from a terminal, else from standard input as it is. White space around it is taken off.
func (c *Console) AskSecret(ctx context.Context, question string) (redact.Text, error) {
	file, isFile := c.in.(*os.File)
	if !isFile || !term.IsTerminal(file.Fd()) {
		line, err := await(ctx, nil, c.readLine)
		return redact.New(strings.TrimSpace(line)), err
	}
	fd := file.Fd() // once: the read below may outlive the wait for it, and the file
	state, err := term.GetState(fd)
	if err != nil {
		return redact.Text{}, fmt.Errorf("prepare the terminal: %w", err)
	}
	fmt.Fprint(c.Err, c.question(question), " ")
	text, err := await(ctx, func() { _ = term.Restore(fd, state) }, func() (string, error) { return readUnseen(fd, state) })
	fmt.Fprintln(c.Err) // the person's own line end is not seen either
	if errors.Is(err, io.EOF) {
		err = ErrDeclined
	}
	return redact.New(strings.TrimSpace(text)), err
}

// readLine reads to the end of a line, or of the input.
func (c *Console) readLine() (string, error) {
	line, err := c.lines.ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = nil
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("standard input ended before the answer")
	}
	return line, err
}

// await reads in the background, since a read from a terminal knows no context: Ctrl-C ends the wait, and restore puts the terminal back.
func await(ctx context.Context, restore func(), read func() (string, error)) (string, error) {
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
		return a.text, a.err
	case <-ctx.Done():
		if restore != nil {
			restore()
		}
		return "", ctx.Err()
	}
}
