package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// target is a key to be revoked.
type target struct {
	rows     []quilt.APIKey // the registry's key; if the key itself was given: all that it may be, by the fingerprint
	unlisted error          // why there are no rows
	key      apikey.Key     // the key itself, if it was given
	what     string         // names it in an error
	asked    string         // describes it in a question
}

// holders are the versions that hold the key, or may hold it.
func (t target) holders(h *managed.Holders) []managed.Holder {
	var found []managed.Holder
	if !t.key.IsZero() {
		found = h.OfKey(t.key)
	}
	for _, row := range t.rows {
		found = append(found, h.Of(row)...)
	}
	return found
}

// scan reads all managed secrets of the account and region, and shows the progress on a terminal.
func scan(ctx context.Context, c *terminal.Console, aws *awsclient.Cloud) (*managed.Holders, error) {
	progress := c.Progress(true)
	defer progress.Close()
	return managed.Scan(ctx, aws, reading(progress))
}

// reading shows how many secrets were read.
func reading(p *terminal.Progress) func(done, total int) {
	return func(done, total int) { p.Doing(fmt.Sprintf("reading the managed secrets: %d of %d", done, total)) }
}

// guard refuses keys that a managed secret holds or may hold, and asks for confirmation. An answer takes time, so it reads the secrets again after it.
func (o *keysRevokeCommand) guard(ctx context.Context, c *terminal.Console, registry string, targets []target) error {
	if err := o.check(ctx, c, registry, targets, true); err != nil || o.Yes {
		return err
	}
	var asked []string
	for _, t := range targets {
		asked = append(asked, t.asked)
	}
	question := "this permanently revokes " + strings.Join(asked, ", and ") + " at " + registry + ": whoever uses it stops working"
	if err := c.Confirm(ctx, question, "revoke"); err != nil {
		return err
	}
	return o.check(ctx, c, registry, targets, false)
}

// check reads all managed secrets. With first it prints where it looked, and asks about each key that a secret holds and --anyway allows.
func (o *keysRevokeCommand) check(ctx context.Context, c *terminal.Console, registry string, targets []target, first bool) error {
	aws, err := awsclient.Open(ctx, c)
	var holders *managed.Holders
	if err == nil {
		holders, err = scan(ctx, c, aws)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return o.unchecked(c, first, "a managed secret holds the key", err)
	case first:
		fmt.Fprintf(c.Err, "registry %s; %s\n", registry, holders.Scope())
	}
	if len(holders.Secrets) == 0 {
		if err := o.unchecked(c, first, "a managed secret holds the key", errors.New("there is no managed secret here: is this the right account and region?")); err != nil {
			return err
		}
	}
	for _, u := range holders.Unread {
		if err := o.unchecked(c, first, "the secret "+u.Secret+" holds the key", u.Err); err != nil {
			return err
		}
	}
	for _, t := range targets {
		if err := o.checkTarget(ctx, c, holders, t, first); err != nil {
			return err
		}
	}
	return nil
}

func (o *keysRevokeCommand) checkTarget(ctx context.Context, c *terminal.Console, h *managed.Holders, t target, first bool) error {
	if found := t.holders(h); len(found) > 0 {
		state := stateOfHeld(t.what, found[0])
		if !o.Anyway {
			return terminal.WithHint(fmt.Errorf("%s: whoever reads that secret would stop working", state), otherThanRevoke(found[0]))
		}
		if !first || o.Yes {
			return nil
		}
		return c.Confirm(ctx, state+": whoever reads that secret stops working", found[0].Secret)
	}
	for _, row := range t.rows {
		if h.Elsewhere(row.Name) {
			err := fmt.Errorf("its name, %s, says that it was created for a secret of another account or region", row.Name)
			if err := o.unchecked(c, first, "a secret elsewhere holds "+t.what, err); err != nil {
				return err
			}
		}
	}
	if len(t.rows) > 0 {
		return nil
	}
	err := t.unlisted
	if err == nil {
		err = errors.New("the registry lists no such key of that user")
	}
	return o.unchecked(c, first, "a secret still needs "+t.what+" for its grace period", err)
}

// unchecked refuses what could not be checked; with --anyway it prints that once and goes on.
func (o *keysRevokeCommand) unchecked(c *terminal.Console, first bool, what string, err error) error {
	err = awsclient.Explain(err)
	if o.Anyway {
		if first {
			fmt.Fprintf(c.Err, "not checked whether %s: %s\n", what, terminal.LegibleLines(err.Error()))
		}
		return nil
	}
	advice := "if you know that no secret needs the key, add --anyway"
	if more := terminal.Hint(err); more != "" {
		advice = more + "\n" + advice
	}
	return terminal.WithHint(fmt.Errorf("whether %s could not be checked: %w", what, err), advice)
}

func stateOfHeld(what string, h managed.Holder) string {
	switch {
	case h.Deleted:
		return what + " is a key of " + h.Secret + ", which is marked for deletion and can be restored"
	case h.Stage == vault.Current:
		return what + " is in the current value of " + h.Secret
	case h.Stage == vault.Pending:
		return what + " is in the pending value of " + h.Secret
	}
	return what + " is a superseded key of " + h.Secret + " that may still be in use"
}

func otherThanRevoke(h managed.Holder) string {
	leaked := "if it has leaked: quilt-rotate emergency " + h.Secret
	switch {
	case h.Deleted:
		return "if the secret is no longer needed, add --anyway; to restore it: " + managed.RestoreCommand(h.Secret)
	case h.Stage == "":
		return fmt.Sprintf("its sweep revokes it when nobody uses it any more: quilt-rotate status %s\n%s --version %s\nor add --anyway", h.Secret, leaked, h.VersionID)
	}
	return fmt.Sprintf("replace it first: quilt-rotate rotate %s\n%s\nor add --anyway", h.Secret, leaked)
}
