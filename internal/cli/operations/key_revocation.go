package operations

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// KeyRevocation is one key that is revoked permanently.
type KeyRevocation struct {
	Evidence // its Sessions may revoke the key, and are tried in their order
	Registry *quilt.Client
	Key      apikey.Key // zero: only the id is known
	Admin    bool       // the sessions are an administrator's
	// Before is checked right before each attempt: what it returns ends the revocation. nil:
	// nothing is checked.
	Before func(context.Context) error
}

// looks is how often a key is tried after its revocation: a registry may accept a revoked key for a
// moment.
const looks = 10

// RevokeKey revokes a key and proves that it no longer works. It fails unless that is proved.
//
// A key is revoked by its text, if it is known, because a label may name another key. An answer
// that was lost is no failure, because the registry is asked what became of the key. After a crash,
// running it again finds that out, too. Twice at once: the second one finds the key revoked. A
// Ctrl-C before an attempt ends it, and one after it does not hide what became of the key.
func (d *Operator) RevokeKey(ctx context.Context, k KeyRevocation) error {
	var failed error
	for _, session := range k.Sessions {
		err := finish(ctx, func(ctx context.Context) error {
			if k.Before != nil {
				if err := k.Before(ctx); err != nil {
					return err
				}
			}
			err := k.revoke(ctx, session)
			k.Revoked, failed = err == nil, errors.Join(failed, err)
			return nil
		})
		if err != nil {
			return err
		}
		if k.Revoked {
			failed = nil
			break
		}
	}
	ctx, cancel := ending(ctx)
	defer cancel()
	known, err := k.look(ctx)
	for look := 1; err == nil && k.Revoked && known.State == KeyLogsIn && look < looks; look++ {
		if err = d.sleep(ctx); err == nil {
			known, err = k.look(ctx)
		}
	}
	if err == nil && known.State == KeyRefused {
		return nil
	}
	return k.notProved(known, errors.Join(failed, err))
}

func (k KeyRevocation) revoke(ctx context.Context, s *quilt.Session) error {
	switch {
	case k.Admin && k.KeyID != "":
		return k.revokeAsAdmin(ctx, s)
	case k.Key.IsZero():
		return s.RevokeKey(ctx, k.KeyID)
	}
	return s.RevokeKeyBySecret(ctx, k.Key)
}

// revokeAsAdmin revokes the key by its id, because an administrator cannot do it by the key's text.
// The id may come from a label that somebody moved, so the key that it names must fit the text.
func (k KeyRevocation) revokeAsAdmin(ctx context.Context, s *quilt.Session) error {
	if !k.Key.IsZero() {
		row, err := s.AdminGetKey(ctx, k.KeyID)
		if err != nil {
			return err
		}
		if row != nil && !k.Key.Fits(row.Fingerprint) {
			return fmt.Errorf("the id %s, from a label of the secret, may name another key than %s, so it was not "+
				"revoked", k.KeyID, k.Key.Fingerprint())
		}
	}
	return s.AdminRevokeKey(ctx, k.KeyID)
}

// look reports whether the key still works: by a login with it, or if only its id is known, by what
// the sessions find.
func (k KeyRevocation) look(ctx context.Context) (Checked, error) {
	if !k.Key.IsZero() {
		return checkKey(ctx, k.Registry, k.Key, k.Evidence)
	}
	get := (*quilt.Session).GetKey
	if k.Admin {
		get = (*quilt.Session).AdminGetKey
	}
	var failed error
	for _, session := range k.Sessions {
		row, err := get(session, ctx, k.KeyID)
		switch {
		case ctx.Err() != nil:
			return Checked{}, ctx.Err()
		case err == nil && row != nil && row.Status == quilt.Active:
			return Checked{State: KeyLogsIn}, nil
		case err == nil, k.Revoked && quilt.RefusesLogin(err): // the session was the key's own
			return Checked{State: KeyRefused}, nil
		}
		failed = errors.Join(failed, err)
	}
	return Checked{State: KeyUnknown, Why: fmt.Sprint(failed)}, nil
}

// notProved is the error for a key that may still work. Its labels may still be on a secret, so
// `keys revoke` must be allowed to revoke it.
func (k KeyRevocation) notProved(known Checked, failed error) error {
	name, ask := k.Key.Fingerprint(), "quilt-rotate keys revoke --admin --anyway "+cmp.Or(k.KeyID, "ID")
	if k.Key.IsZero() {
		name = k.KeyID
	}
	if k.KeyID == "" {
		ask += ", with its id from: quilt-rotate keys list --admin --fingerprint " + name
	}
	if known.State == KeyLogsIn {
		err := fmt.Errorf("the key %s still logs in", name)
		if k.Key.IsZero() {
			err = fmt.Errorf("the registry still lists the key %s as valid", name)
		}
		return terminal.WithHint(because(err, failed), "run this again in a minute; if this goes on, an "+
			"administrator of the registry must revoke it: "+ask)
	}
	err := fmt.Errorf("it is not known whether the key %s still works", name)
	if known.Why != "" {
		err = fmt.Errorf("%w: %s", err, known.Why)
	}
	return terminal.WithHint(because(err, failed), "if its user was deactivated, the key works again when the user "+
		"is activated; an administrator of the registry can revoke it: "+ask)
}

func because(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
