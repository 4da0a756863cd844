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

// KeyRevocation has the parameters of [Operator.RevokeKey].
type KeyRevocation struct {
	Evidence // its Sessions are tried in their order to revoke the key
	Registry *quilt.Client
	Key      apikey.Key // zero: only the id is known
	Admin    bool       // the sessions belong to an administrator
	// Before is called right before each attempt. An error ends the revocation. It may be nil.
	Before func(context.Context) error
}

// looks is how often a login with a revoked key is tried, because a registry may accept the key for
// a moment after its revocation.
const looks = 10

// RevokeKey revokes a key permanently and verifies that it no longer works. It fails if it cannot
// verify that.
//
// If the text of the key is known, the key is revoked by its text, because a label may name another
// key. A lost answer is no failure, because the state of the key is checked afterwards. After a
// crash, another run checks the state too. If two commands run at the same time, the second one
// finds the key revoked. Ctrl-C before an attempt ends the revocation. After an attempt, the state
// of the key is still checked and reported.
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

// revokeAsAdmin revokes the key by its id, because an administrator cannot revoke a key by its
// text. The id may come from a label that somebody moved, so its fingerprint must match the text.
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

// look reports whether the key still works. It logs in with the key. If only the id is known, it
// reads the key with the sessions.
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
		case err == nil, k.Revoked && quilt.RefusesLogin(err): // the session used the revoked key
			return Checked{State: KeyRefused}, nil
		}
		failed = errors.Join(failed, err)
	}
	return Checked{State: KeyUnknown, Why: fmt.Sprint(failed)}, nil
}

// notProved returns the error for a key that may still work. Its hint has --anyway, because the
// labels of the key may still be on a secret.
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
		return terminal.WithHint(because(err, failed), "run this command again in a minute; if the key still logs in, "+
			"an administrator of the registry must revoke it: "+ask)
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
