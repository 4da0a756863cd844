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

// defaultNewKeyWait is how long the registry may refuse a new key. A rotation waits for the same
// time.
const defaultNewKeyWait = 20 * time.Second

func (d *Operator) newKeyWait() time.Duration {
	if d.NewKeyWait == 0 {
		return defaultNewKeyWait
	}
	return d.NewKeyWait
}

// A proof is the result of a login with a key: its owner, and the registry's data about the key.
type proof struct {
	quilt.Identity
	row     *quilt.APIKey // nil: not known
	limited bool          // the key has no permission to read keys
}

// logIn logs in with a key. id is the id of the key. If id is "", the key is found by its
// fingerprint, unless two keys have the same fingerprint.
func logIn(ctx context.Context, registry *quilt.Client, key apikey.Key, id string) (proof, error) {
	session := registry.WithKey(key)
	account, err := session.Account(ctx)
	if err != nil && quilt.Refused(err) && !quilt.RefusesLogin(err) {
		me, err := session.Me(ctx)
		return proof{Identity: me, limited: true}, err
	}
	if err != nil {
		return proof{}, err
	}
	if id == "" {
		p := proof{Identity: account.Identity}
		if row, ok := quilt.OnlyFit(account.Keys, key); ok {
			p.row = &row
		}
		return p, nil
	}
	login, err := session.Login(ctx, id) // a list may lack keys
	if err != nil {
		return proof{}, err
	}
	p := proof{Identity: login.Identity}
	// otherwise somebody moved the label, and the id belongs to another key
	if login.Key != nil && key.Fits(login.Key.Fingerprint) {
		p.row = login.Key
	}
	return p, nil
}

// LogIn logs in with a key. It returns the user, and what the registry says of the key; nil if the
// registry does not show the key. id is the key's id; if it is "", the key is found by its
// fingerprint.
func LogIn(ctx context.Context, registry *quilt.Client, key apikey.Key, id string) (quilt.Identity, *quilt.APIKey,
	error) {
	p, err := logIn(ctx, registry, key, id)
	return p.Identity, p.row, err
}

// logInSoon logs in with a new key. If the registry refuses the key, it retries for a short time.
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

// info returns the data of the key. If the registry does not show the key, only the fingerprint and
// the owner are known.
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

// isBlank reports whether a value waits for its first key.
func isBlank(err error) bool {
	_, blank := errors.AsType[*apikey.BlankValueError](err)
	return blank
}

// isBad reports whether a value cannot hold a key.
func isBad(err error) bool {
	_, bad := errors.AsType[*apikey.BadValueError](err)
	return bad
}

// checkOwner refuses a login of another user than the owner of the key, because consumers would get
// other permissions.
func checkOwner(secretName, owner string, me quilt.Identity) error {
	if owner == "" || quilt.SameUser(owner, me.Email) {
		return nil
	}
	return terminal.WithHint(fmt.Errorf("the key of %s belongs to %s, but you logged in as %s; no key was created",
		secretName, owner, me.Email), "log in as "+owner)
}
