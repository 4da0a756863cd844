package operations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
)

// defaultNewKeyWait allows for a registry that takes a moment to know a new key, as the rotation does.
const defaultNewKeyWait = 20 * time.Second

func (d *Operator) newKeyWait() time.Duration {
	if d.NewKeyWait == 0 {
		return defaultNewKeyWait
	}
	return d.NewKeyWait
}

// proof is what a login with a key tells: whose it is, and what the registry says of the key itself, as far as it lets the key look.
type proof struct {
	quilt.Identity
	row *quilt.APIKey // nil: not known
}

// logIn logs in with a key. id is the key's, "" where it is not known: then the key is found by its fingerprint, where it alone has that one.
// It fails as the registry refuses.
func logIn(ctx context.Context, registry *quilt.Client, key apikey.Key, id string) (proof, error) {
	session := registry.WithKey(key)
	account, err := session.Account(ctx)
	if err != nil && quilt.Refused(err) && !quilt.RefusesLogin(err) { // it logs in, perhaps, and may not look at keys
		me, err := session.Me(ctx)
		return proof{Identity: me}, err
	}
	if err != nil {
		return proof{}, err
	}
	if id == "" {
		row, ok := quilt.OnlyFit(account.Keys, key)
		if !ok {
			return proof{Identity: account.Identity}, nil
		}
		return proof{account.Identity, &row}, nil
	}
	login, err := session.Login(ctx, id) // a list may lack keys
	if err != nil {
		return proof{}, err
	}
	if login.Key != nil && !key.Fits(login.Key.Fingerprint) { // somebody moved the label: the id is another key's
		return proof{Identity: login.Identity}, nil
	}
	return proof{login.Identity, login.Key}, nil
}

// logInSoon logs in with a new key, and tries again while the registry refuses it, for a moment.
func (d *Operator) logInSoon(ctx context.Context, registry *quilt.Client, key apikey.Key, id string) (proof, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 200*time.Millisecond, 3*time.Second
	return backoff.Retry(ctx, func() (proof, error) {
		p, err := logIn(ctx, registry, key, id)
		if err != nil && !quilt.RefusesLogin(err) {
			err = backoff.Permanent(err)
		}
		return p, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(d.newKeyWait()))
}

// info shows a key. Of a key that the registry does not let look itself up, the fingerprint and the owner are all there is.
func (p proof) info(key apikey.Key) revocation.KeyInfo {
	if p.row == nil {
		return revocation.KeyInfo{Fingerprint: key.Fingerprint(), Owner: p.Email}
	}
	k := p.row
	return revocation.KeyInfo{
		KeyID: k.ID, KeyName: k.Name, Fingerprint: k.Fingerprint, Owner: k.UserEmail, Status: k.Status,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt,
	}
}

// isBlank tells whether a value waits for a key.
func isBlank(err error) bool {
	_, blank := errors.AsType[*apikey.BlankValueError](err)
	return blank
}

// isBad tells whether a value can hold no key as it is.
func isBad(err error) bool {
	_, bad := errors.AsType[*apikey.BadValueError](err)
	return bad
}

// checkOwner refuses a credential of another user than the one whose key it shall be: consumers would wake up with other permissions.
func checkOwner(secretName, owner string, me quilt.Identity) error {
	if owner == "" || quilt.SameUser(owner, me.Email) {
		return nil
	}
	return terminal.WithHint(fmt.Errorf("the key of %s belongs to %s, but you logged in as %s; nothing was created", secretName, owner, me.Email), "log in as "+owner)
}
