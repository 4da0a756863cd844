package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// revoke revokes the leaked key, and no other. The function is not asked to: a sweep waits for the grace period, and knows nothing of other secrets. So the command does it, byte for byte that key, with the current key's login,
// else the leaked key's own, else the issuer's. Labels come off when the key is seen to be refused.
//
// The gates are passed again right before each attempt: a question, a rotation and a restart lie between the first look and this.
func (e *emergency) revoke(ctx context.Context) error {
	e.tellSpared()
	state, _, err := tryKey(ctx, e.options.Registry, e.leaked)
	if err != nil || state == KeyRefused {
		return err
	}
	e.Tell.Doing("revoking the leaked key")
	var failed error
	for _, by := range []func(context.Context) (*quilt.Session, error){e.asCurrent, e.asLeaked, e.asIssuer} {
		revoked := false
		err := finish(ctx, func(ctx context.Context) error {
			if err := e.mayDie(ctx); err != nil {
				return err
			}
			session, err := by(ctx)
			if err == nil {
				err = session.RevokeKeyBySecret(ctx, e.leaked)
			}
			if err != nil {
				failed = errors.Join(failed, err)
				return nil
			}
			revoked = true
			return nil
		})
		if err != nil {
			return err
		}
		if revoked {
			e.Tell.Tell(terminal.Done, "revoked "+e.leaked.Fingerprint(), "")
			return nil
		}
	}
	e.Tell.Tell(terminal.Warned, "the leaked key could not be revoked", failed.Error()) // what became of it is proved next
	return nil
}

// mayDie is the gate: AWSCURRENT holds another key, which logs in; AWSPENDING does not hold the leaked one; and no other secret in care does.
func (e *emergency) mayDie(ctx context.Context) error {
	if err := e.elsewhere(ctx); err != nil {
		return err
	}
	if err := e.secret.Look(ctx); err != nil {
		return err
	}
	protected, err := e.protected(ctx)
	if err != nil {
		return err
	}
	if protected {
		return errors.New("the leaked key is current or pending again, so it is not revoked: somebody moved a label meanwhile")
	}
	session, err := e.asCurrent(ctx)
	if err == nil {
		_, err = session.Me(ctx)
	}
	if err != nil && !(quilt.Refused(err) && !quilt.RefusesLogin(err)) {
		return hint.With(fmt.Errorf("the current key was not seen to log in, so the leaked one is not revoked: %w", err), "put a key that works in: quilt-rotate recover "+e.secret.Name)
	}
	return nil
}

// elsewhere refuses where another secret in care holds the leaked key as its current or pending one, and where that is not known. A superseded
// version of another secret is no obstacle: two secrets of one key would else wait for each other for ever.
func (e *emergency) elsewhere(ctx context.Context) error {
	if e.options.Anyway {
		return nil
	}
	keepers, err := managed.FindKeepers(ctx, e.Cloud, e.secret.ARN)
	const anyway = "to revoke it nevertheless, add --anyway"
	if err != nil {
		return hint.With(fmt.Errorf("whether another secret holds the leaked key is not known, so it is not revoked: %w", awsclient.Explain(err)), anyway)
	}
	if other, kept := keepers.OfKey(e.leaked); kept {
		return hint.With(fmt.Errorf("the secret %s holds the leaked key too, so it is not revoked yet", other),
			"first: quilt-rotate emergency "+other+"\n"+anyway)
	}
	if len(keepers.Unread) > 0 {
		u := keepers.Unread[0]
		return hint.With(fmt.Errorf("the secret %s cannot be read, and may hold the leaked key too, so it is not revoked: %w", u.Secret, awsclient.Explain(u.Err)),
			"use credentials that may read all secrets in care; "+anyway)
	}
	return nil
}

func (e *emergency) asCurrent(ctx context.Context) (*quilt.Session, error) {
	holder, ok := e.secret.Holder(vault.Current)
	if !ok {
		return nil, errors.New("no version is current")
	}
	value, err := e.secret.Value(ctx, holder.ID)
	if err != nil {
		return nil, err
	}
	return e.options.Registry.WithKey(value.Key()), nil
}

func (e *emergency) asLeaked(context.Context) (*quilt.Session, error) {
	return e.options.Registry.WithKey(e.leaked), nil
}

func (e *emergency) asIssuer(ctx context.Context) (*quilt.Session, error) {
	rules, err := rotationSettings(ctx, e.secret, e.secret.Tags)
	if err != nil {
		return nil, err
	}
	if rules.Issuer == "" {
		return nil, errors.New("there is no issuer")
	}
	value, err := e.Cloud.Vault.ReadCurrent(ctx, rules.Issuer)
	if err != nil {
		return nil, err
	}
	session, err := issuer.LogIn(ctx, e.options.Registry, rules.Issuer, value, e.secret.Secret)
	return session.Session, err
}

// superseded are the versions that hold a key which is neither current nor pending.
func (e *emergency) superseded() []vault.Version {
	return slices.DeleteFunc(e.secret.Sorted(), func(v vault.Version) bool {
		return v.Has(vault.Current) || v.Has(vault.Pending) || len(v.Keys) == 0 && !v.Has(vault.Previous)
	})
}

// tellSpared names the superseded keys that did not leak.
func (e *emergency) tellSpared() {
	for _, v := range e.superseded() {
		if v.ID != e.result.Leaked.VersionID {
			e.Tell.Tell(terminal.Noted, "the key of the version "+short(v.ID)+" is left to its grace", v.Key())
		}
	}
}

// livingElsewhere are the versions whose superseded keys log in too: without a word, any of them may be the one that leaked.
func (e *emergency) livingElsewhere(ctx context.Context) ([]vault.Version, error) {
	var living []vault.Version
	for _, v := range e.superseded() {
		value, err := e.secret.Value(ctx, v.ID)
		if isBlank(err) || isBad(err) || errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) || err == nil && value.Key().Equal(e.leaked) {
			continue // no key to try, or the same one
		}
		if err != nil {
			return nil, err
		}
		state, _, err := tryKey(ctx, e.options.Registry, value.Key())
		if err != nil {
			return nil, err
		}
		if state != KeyRefused {
			e.Tell.Tell(terminal.Warned, "a superseded key may log in too: "+value.Key().Fingerprint(), "version "+short(v.ID))
			living = append(living, v)
		}
	}
	return living, nil
}
