package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/care"
	"quilt-rotate/internal/cloud"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

type keysRevokeCommand struct {
	IDs       []keyID `arg:"" optional:"" name:"id" help:"Ids of the keys."`
	FromStdin bool    `help:"Revoke the key that is typed unseen, or comes on standard input. It also logs in, where nothing else says how."`
	Anyway    bool    `help:"Also a key that a secret in care holds: whoever reads that secret stops working."`
	keyLogin
	everybody
	yesOption
	jsonOption
}

// Help says what the short help does not.
func (keysRevokeCommand) Help() string {
	return `By id, or by the key itself, which is typed unseen or comes on standard input. Where a password comes there too (--user), the key is the first line, and the
password the second.

A key that a secret in care holds as its current or pending one is refused. Where AWS cannot be asked, that is not checked, and said.`
}

// revokedKey is one key that is gone, in JSON.
type revokedKey struct {
	ID    string `json:"id,omitempty"` // unknown where the key itself was given
	Name  string `json:"name,omitempty"`
	Owner string `json:"owner"`
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
	if err := o.guard(ctx, c, func(h care.Holding) (string, bool) {
		for _, k := range keys {
			if h.Is(k) {
				return "the key " + k.ID, true
			}
		}
		return "", false
	}); err != nil {
		return err
	}
	if err := o.confirm(ctx, c, keys); err != nil {
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
	if err := o.guard(ctx, c, func(h care.Holding) (string, bool) { return "this key", h.Key.Equal(key) }); err != nil {
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

// guard refuses a key that a secret in care holds, where AWS can be asked. which tells whether a secret holds one of the keys, and names that.
func (o *keysRevokeCommand) guard(ctx context.Context, c *terminal.Console, which func(care.Holding) (string, bool)) error {
	holdings, unread, err := o.holdings(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		fmt.Fprintf(c.Err, "not checked whether a secret in care holds it: %s\n", cloud.Explain(err))
	}
	for _, u := range unread {
		fmt.Fprintf(c.Err, "not checked whether the secret %s holds it: %s\n", u.Secret, cloud.Explain(u.Err))
	}
	for _, h := range holdings {
		what, held := which(h)
		if !held {
			continue
		}
		if err := o.allowHeld(ctx, c, what, h); err != nil {
			return err
		}
	}
	return nil
}

func (o *keysRevokeCommand) allowHeld(ctx context.Context, c *terminal.Console, what string, h care.Holding) error {
	state := what + " is the current key of " + h.Secret
	if h.Stage == vault.Pending {
		state = what + " is about to become the current key of " + h.Secret
	}
	switch {
	case !o.Anyway:
		return hint.With(fmt.Errorf("%s: whoever reads that secret would stop working", state),
			fmt.Sprintf("replace it first: quilt-rotate rotate %[1]s\nit has leaked: quilt-rotate emergency %[1]s\nor add --anyway", h.Secret))
	case o.Yes:
		return nil
	}
	return c.Confirm(ctx, state+": whoever reads that secret stops working", h.Secret)
}

func (o *keysRevokeCommand) holdings(ctx context.Context) ([]care.Holding, []care.Unread, error) {
	aws, err := cloud.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	return care.Holdings(ctx, aws)
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
		if r.ID != "" {
			what, beside = "the key "+r.ID+" is gone", r.Name+", "+r.Owner
		}
		if err := c.Tell(terminal.Done, what, beside); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks a person, where one is there: a key that is revoked never comes back. Who said --yes or --anyway has said so already.
func (o *keysRevokeCommand) confirm(ctx context.Context, c *terminal.Console, keys []quilt.APIKey) error {
	if !c.Interactive() || o.Yes || o.Anyway {
		return nil
	}
	for _, k := range keys {
		if err := c.Tell(terminal.Later, "will revoke "+k.Fingerprint, k.Name+", "+k.UserEmail+", last used "+keyUsed(k)); err != nil {
			return err
		}
	}
	what := "this revokes the key for good: whoever still uses it stops working"
	if len(keys) > 1 {
		what = fmt.Sprintf("this revokes %d keys for good: whoever still uses one stops working", len(keys))
	}
	return c.Confirm(ctx, what, "revoke")
}
