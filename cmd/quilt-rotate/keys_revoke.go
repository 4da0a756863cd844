package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

type keysRevokeCommand struct {
	IDs       []keyID `arg:"" optional:"" name:"id" help:"Ids of the keys."`
	FromStdin bool    `help:"Revoke the key that is typed without an echo, or read from standard input. It also logs in, unless another login is given."`
	Anyway    bool    `help:"Revoke a key even if a managed secret holds it, or if that could not be checked. Whoever reads that secret stops working."`
	keyLogin
	everybody
	yesOption
	jsonOption
}

// Help says what the short help does not.
func (keysRevokeCommand) Help() string {
	return `By id, or by the key itself, which is typed without an echo or read from standard input. If a password is read there too (--user), the key is the
first line, and the password the second.

A key is refused if a managed secret holds it: in the current or pending value, or in a superseded version, whose key its sweep will revoke. A key is also refused
if that could not be checked, or if its name says that it was created for a secret of another account or region. Only the secrets of the account and region that are
named in the output were read.

With --json: an array [{keyId, keyName, owner}] of the revoked keys; keyId is left out if the key itself was given.`
}

// revokedKey is one revoked key, in JSON.
type revokedKey struct {
	KeyID   string `json:"keyId,omitempty"` // "": the key itself was given
	KeyName string `json:"keyName,omitempty"`
	Owner   string `json:"owner"`
}

// Run checks all keys before it revokes the first one: a revoked key cannot be restored.
func (o *keysRevokeCommand) Run(ctx context.Context, c *terminal.Console) error {
	if (len(o.IDs) > 0) == o.FromStdin {
		return &usageError{errors.New("give either ids of keys or --from-stdin")}
	}
	if o.FromStdin && o.Admin {
		return &usageError{errors.New("--admin: goes with ids: a key that is given itself is revoked by its owner")}
	}
	var key apikey.Key
	if o.FromStdin {
		var err error
		if key, err = o.read(ctx, c); err != nil {
			return err
		}
	}
	session, me, err := o.logIn(ctx, c, key)
	if err != nil {
		return err
	}
	if err := o.allow(me); err != nil {
		return err
	}
	if o.FromStdin {
		return o.revokeGiven(ctx, c, session, me, key)
	}
	return o.revokeIDs(ctx, c, session, me)
}

func (o *keysRevokeCommand) read(ctx context.Context, c *terminal.Console) (apikey.Key, error) {
	text, err := c.AskSecret(ctx, "the key to revoke", "pipe the key into the command (< FILE), or give the id of the key as an argument instead of --from-stdin")
	if err != nil {
		return apikey.Key{}, err
	}
	key, err := apikey.Parse(text.Reveal())
	if err != nil {
		return key, terminal.WithHint(fmt.Errorf("what was given is %w", err), "give the whole key as one line, or its id as an argument")
	}
	return key, nil
}

func (o *keysRevokeCommand) revokeIDs(ctx context.Context, c *terminal.Console, s *quilt.Session, me quilt.Identity) error {
	var keys []quilt.APIKey
	for _, id := range o.IDs {
		key, err := o.get(ctx, s, string(id))
		if err != nil {
			return err
		}
		if key == nil {
			return o.unknownKey(string(id), me)
		}
		keys = append(keys, *key)
	}
	targets := make([]target, len(keys))
	for i, k := range keys {
		targets[i] = target{rows: []quilt.APIKey{k}, what: "the key " + k.ID, asked: fmt.Sprintf("the key %s of %s (%s), used %s", k.Name, k.UserEmail, k.Fingerprint, keyUsed(k))}
	}
	if err := o.guard(ctx, c, s.Host(), targets); err != nil {
		return err
	}
	list := []revokedKey{}
	for _, k := range keys {
		if err := o.end(ctx, s, k); err != nil {
			return errors.Join(o.print(c, list), err)
		}
		list = append(list, revokedKey{k.ID, k.Name, k.UserEmail})
	}
	return o.print(c, list)
}

func (o *keysRevokeCommand) revokeGiven(ctx context.Context, c *terminal.Console, s *quilt.Session, me quilt.Identity, key apikey.Key) error {
	given := target{key: key, what: "this key", asked: fmt.Sprintf("the key %s of %s", key.Fingerprint(), me.Email)}
	if given.rows, given.unlisted = s.ListKeys(ctx, quilt.KeyFilter{}); given.unlisted == nil {
		given.rows = slices.DeleteFunc(given.rows, func(k quilt.APIKey) bool { return !key.Fits(k.Fingerprint) })
	}
	if err := o.guard(ctx, c, s.Host(), []target{given}); err != nil {
		return err
	}
	client, _, err := o.registry(ctx, c)
	if err != nil {
		return err
	}
	err = finishRevoke(ctx, func(ctx context.Context) error {
		if err := s.RevokeKeyBySecret(ctx, key); err != nil {
			return err
		}
		return isRefused(ctx, client.WithKey(key))
	})
	if err != nil {
		return err
	}
	return o.print(c, []revokedKey{{Owner: me.Email}})
}

// end revokes a key and checks that it no longer exists. Then a lost answer to the revocation is not a failure.
func (o *keysRevokeCommand) end(ctx context.Context, s *quilt.Session, k quilt.APIKey) error {
	return finishRevoke(ctx, func(ctx context.Context) error {
		failed := o.revoke(ctx, s, k.ID)
		still, err := o.get(ctx, s, k.ID)
		switch {
		case quilt.RefusesLogin(err) && failed == nil:
			return nil // it was the key of this very session
		case err != nil:
			return errors.Join(failed, err)
		case still == nil:
			return nil
		case failed != nil:
			return failed
		}
		return terminal.WithHint(fmt.Errorf("the registry answered Ok to the revocation of the key %s, and still has it", k.ID), "look again: quilt-rotate keys get "+k.ID)
	})
}

// isRefused checks that the registry refuses a key.
func isRefused(ctx context.Context, s *quilt.Session) error {
	_, err := s.Me(ctx)
	switch {
	case quilt.RefusesLogin(err):
		return nil
	case err != nil:
		return fmt.Errorf("the registry answered Ok to the revocation, but whether it refuses the key is not known: %w", err)
	}
	return terminal.WithHint(errors.New("the registry answered Ok to the revocation, and the key still logs in"), "try again in a minute; if it still logs in, ask whoever runs the registry")
}

// finishRevoke completes a revocation: after a Ctrl-C in the middle it would not be known whether the key was revoked.
func finishRevoke(ctx context.Context, write func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return terminal.WithHint(err, "the keys that are listed above were revoked; the others were not")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return write(ctx)
}

func (o *keysRevokeCommand) print(c *terminal.Console, list []revokedKey) error {
	if o.JSON {
		return c.JSON(list)
	}
	for _, r := range list {
		what, beside := "the key was revoked", r.Owner
		if r.KeyID != "" {
			what, beside = "the key "+r.KeyID+" was revoked", r.KeyName+", "+r.Owner
		}
		if err := c.Tell(terminal.Done, what, beside); err != nil {
			return err
		}
	}
	return nil
}
