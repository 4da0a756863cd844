package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/terminal"
)

type keysCreateCommand struct {
	keyLogin
	jsonOption
	Name          string `required:"" help:"Name of the key. Include the purpose, the environment and the date, such as ci-github-prod-2026q4."`
	ExpiresInDays int    `required:"" placeholder:"DAYS" help:"How long the key is valid: 1 to 365 days."`
	Output        string `placeholder:"FILE" type:"path" help:"New file for the key. Only you can read it. Default: standard output, unless it is a terminal."`
}

// Help is the long help.
func (keysCreateCommand) Help() string {
	return `The registry returns the secret text of a new key once. The command never shows it on a terminal. To write the key
to a new file:

  quilt-rotate keys create --name ci-prod-2026q4 --expires-in-days 90 --output ci.key

To send the key through a pipe, without a newline at its end:

  quilt-rotate keys create --name ci-prod-2026q4 --expires-in-days 90 | docker secret create quilt_api_key -

If the key cannot be written, it is revoked. This key is not rotated. To create a key that is rotated, use
quilt-rotate bootstrap.

With --json: an object {keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt, file}.`
}

// Run prepares the place for the key before it creates the key.
func (o *keysCreateCommand) Run(ctx context.Context, c *terminal.Console) error {
	if err := o.check(c); err != nil {
		return err
	}
	session, _, err := o.logIn(ctx, c)
	if err != nil {
		return err
	}
	place, err := o.place(c)
	if err != nil {
		return err
	}
	key, err := o.make(ctx, session, place)
	if err != nil {
		return err
	}
	if o.JSON {
		shown := shownKeyOf(key.APIKey)
		shown.File = o.Output
		return c.JSON(shown)
	}
	about := fmt.Sprintf("key %s, which expires on %s", key.ID, key.ExpiresAt.UTC().Format(time.DateOnly))
	if o.Output == "" {
		_, err = fmt.Fprintln(c.Err, about)
		return err
	}
	_, err = fmt.Fprintln(c.Out, terminal.Line(terminal.Done, o.Output+" holds the new key", about))
	return err
}

func (o *keysCreateCommand) check(c *terminal.Console) error {
	if err := checkName(o.Name); err != nil {
		return err
	}
	if err := checkDays(o.ExpiresInDays); err != nil {
		return err
	}
	switch {
	case o.Output == "" && o.JSON:
		return &usageError{errors.New("--json: requires --output: standard output cannot have both the key and JSON")}
	case o.Output == "" && c.Watched():
		return terminal.WithHint(&usageError{errors.New("a key is never shown on a terminal")},
			"add --output FILE, or pipe the output to a program that reads the key")
	}
	return nil
}

// A keyPlace is the file or pipe that a new key is written to.
type keyPlace interface {
	put(redact.Text) error
	drop() // removes the file after a failure
}

func (o *keysCreateCommand) place(c *terminal.Console) (keyPlace, error) {
	if o.Output == "" {
		return pipe{c}, nil
	}
	file, err := os.OpenFile(o.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, terminal.WithHint(fmt.Errorf("the file %s exists already", o.Output),
			"give the name of a new file: an existing file is never overwritten")
	}
	if err != nil {
		return nil, fmt.Errorf("create the file for the key: %w", err)
	}
	return newFile{file}, nil
}

type pipe struct{ console *terminal.Console }

func (p pipe) put(key redact.Text) error { return p.console.WriteSecret(key) }
func (pipe) drop()                       {}

type newFile struct{ *os.File }

func (f newFile) put(key redact.Text) error {
	_, err := f.WriteString(key.Reveal())
	return errors.Join(err, f.Sync(), f.Close())
}

func (f newFile) drop() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// creationTime limits how long the creation of a key may continue after Ctrl-C.
const creationTime = 30 * time.Second

// make creates the key and writes it to its place. After the request is sent, Ctrl-C does not stop
// it: without the answer, nobody could use the key, and it would stay valid until it expires. A key
// that cannot be written is revoked. After a crash in between, the key exists at the registry, and
// keys list shows its name.
func (o *keysCreateCommand) make(ctx context.Context, s *quilt.Session, to keyPlace) (quilt.CreatedKey, error) {
	if err := ctx.Err(); err != nil {
		to.drop()
		return quilt.CreatedKey{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), creationTime)
	defer cancel()
	key, err := s.CreateKey(ctx, o.Name, o.ExpiresInDays)
	if err != nil {
		to.drop()
		return key, err
	}
	err = to.put(redact.New(key.Secret.Reveal()))
	if err == nil {
		return key, nil
	}
	to.drop()
	err = fmt.Errorf("the new key could not be written: %w", err)
	if failed := s.RevokeKey(ctx, key.ID); failed != nil {
		return key, terminal.WithHint(err, "the key is still valid, but its text is lost; revoke it: quilt-rotate "+
			"keys revoke "+key.ID)
	}
	return key, terminal.WithHint(err, "the key was revoked")
}
