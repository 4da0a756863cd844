package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

type keysRevokeCommand struct {
	IDs       []keyID `arg:"" optional:"" name:"id" help:"Ids of the keys."`
	FromStdin bool    `help:"Revoke the key that is typed unseen, or comes on standard input. It also logs in, where nothing else says how."`
	Anyway    bool    `help:"Also a key that a secret in care keeps, or may keep because that could not be checked: whoever reads that secret stops working."`
	keyLogin
	everybody
	yesOption
	jsonOption
}

// Help says what the short help does not.
func (keysRevokeCommand) Help() string {
	return `By id, or by the key itself, which is typed unseen or comes on standard input. Where a password comes there too (--user), the key is the first line, and the
password the second.

A key that a secret in care keeps is refused: its current or pending one, and a replaced one that its sweep will revoke. So is every key where that could not be
checked, with AWS or with one of the secrets. Only the secrets of the account and region that are named were looked at.

With --json: an array [{keyId, keyName, owner}] of those that are gone; an id is left out where the key itself was given.`
}

// revokedKey is one key that is gone, in JSON.
type revokedKey struct {
	KeyID   string `json:"keyId,omitempty"` // unknown where the key itself was given
	KeyName string `json:"keyName,omitempty"`
	Owner   string `json:"owner"`
}

// Run looks at everything before it revokes the first key: nothing brings one back.
func (o *keysRevokeCommand) Run(ctx context.Context, c *terminal.Console) error {
	if (len(o.IDs) > 0) == o.FromStdin {
		return &usageError{errors.New("give either ids of keys or --from-stdin")}
	}
	if o.FromStdin && o.Admin {
		return &usageError{errors.New("--admin: goes with ids: with the key itself it is its owner who revokes it")}
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
	text, err := c.AskSecret(ctx, "the key to revoke (not shown):")
	if err != nil {
		return apikey.Key{}, err
	}
	key, err := apikey.Parse(text.Reveal())
	if err != nil {
		return key, hint.With(fmt.Errorf("what was given is %w", err), "give the whole key as one line, or its id as an argument")
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
		targets[i] = target{rows: []quilt.APIKey{k}, what: "the key " + k.ID, told: fmt.Sprintf("the key %s of %s (%s), used %s", k.Name, k.UserEmail, k.Fingerprint, keyUsed(k))}
	}
	if err := o.guard(ctx, c, targets); err != nil {
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
	given := target{key: key, what: "this key", told: fmt.Sprintf("the key %s of %s", key.Fingerprint(), me.Email)}
	if given.rows, given.unseen = s.ListKeys(ctx, quilt.KeyFilter{}); given.unseen == nil {
		given.rows = slices.DeleteFunc(given.rows, func(k quilt.APIKey) bool { return !key.Fits(k.Fingerprint) })
	}
	if err := o.guard(ctx, c, []target{given}); err != nil {
		return err
	}
	client, _, err := o.registry(ctx)
	if err != nil {
		return err
	}
	err = finishRevoke(ctx, func(ctx context.Context) error {
		if err := s.RevokeKeyBySecret(ctx, key); err != nil {
			return err
		}
		return keyIsDead(ctx, client.WithKey(key))
	})
	if err != nil {
		return err
	}
	return o.print(c, []revokedKey{{Owner: me.Email}})
}

// end revokes a key and sees that it is gone. A lost answer of the revoke is no failure where the key is gone.
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
		return hint.With(fmt.Errorf("the registry took the revoke of the key %s, and still has it", k.ID), "look again: quilt-rotate keys get "+k.ID)
	})
}

// keyIsDead demands that a key logs in no more.
func keyIsDead(ctx context.Context, s *quilt.Session) error {
	_, err := s.Me(ctx)
	switch {
	case quilt.RefusesLogin(err):
		return nil
	case err != nil:
		return fmt.Errorf("the registry took the revoke, but whether the key is dead could not be seen: %w", err)
	}
	return hint.With(errors.New("the registry took the revoke, and the key still logs in"), "try again in a minute; if it still logs in, ask whoever runs the registry")
}

// finishRevoke carries a revoke out to its end: after a Ctrl-C in the middle nobody would know whether the key is gone.
func finishRevoke(ctx context.Context, write func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return hint.With(err, "the keys that were named as revoked are; the others are as they were")
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
		what, beside := "the key is gone", r.Owner
		if r.KeyID != "" {
			what, beside = "the key "+r.KeyID+" is gone", r.KeyName+", "+r.Owner
		}
		if err := c.Tell(terminal.Done, what, beside); err != nil {
			return err
		}
	}
	return nil
}
