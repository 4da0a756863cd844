package operations

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// revokeOthers revokes what is left to die, but the current key.
func (r *retirement) revokeOthers(ctx context.Context) error {
	for i := range r.result.Keys {
		k := &r.result.Keys[i]
		if k.Fate != FateToDie || k.Current {
			continue
		}
		r.Tell.Doing("revoking " + k.Fingerprint)
		if err := r.revoke(ctx, k); err != nil {
			return err
		}
		r.Tell.Tell(terminal.Done, "revoked "+k.Fingerprint, "")
		k.Fate = FateRevoked
	}
	return nil
}

// key is the key that a version holds; zero for an orphan.
func (r *retirement) key(ctx context.Context, k *RetiredKey) (apikey.Key, error) {
	if k.version == "" {
		return apikey.Key{}, nil
	}
	value, err := r.secret.Value(ctx, k.version)
	return value.Key(), err
}

// sessions are those that may ask for and revoke the key, in the order in which they are tried. A key may revoke itself.
func (r *retirement) sessions(key apikey.Key) []*quilt.Session {
	var list []*quilt.Session
	if !r.current.IsZero() && !r.current.Equal(key) {
		list = append(list, r.options.Registry.WithKey(r.current))
	}
	if r.watcher != nil {
		list = append(list, r.watcher)
	}
	if !key.IsZero() {
		list = append(list, r.options.Registry.WithKey(key))
	}
	return list
}

// isDead tells whether a key is gone: by a login with it, else, for an orphan, by its id.
func (r *retirement) isDead(ctx context.Context, k *RetiredKey) (bool, error) {
	key, err := r.key(ctx, k)
	if err != nil {
		return false, err
	}
	if !key.IsZero() {
		state, _, err := tryKey(ctx, r.options.Registry, key)
		if err == nil && state == KeyUnknown {
			err = hint.With(fmt.Errorf("whether the key %s is dead is not known: the registry gave no answer", k.Fingerprint), "run this again when it does")
		}
		return state == KeyRefused, err
	}
	for _, session := range r.sessions(key) {
		l, askErr := session.Login(ctx, k.KeyID)
		if askErr == nil && l.Key == nil && k.Owner != "" && !quilt.SameUser(l.Email, k.Owner) { // another user's login knows nothing of it
			askErr = fmt.Errorf("whether the key %s is dead is not known: it is %s's, and the login is %s", k.Fingerprint, k.Owner, l.Email)
		}
		if askErr == nil {
			return l.Key == nil, nil
		}
		err = askErr
	}
	return false, err
}

// revoke revokes a key, and sees that it is dead. Right before, it passes the gate: somebody may have copied the key, or made it current, meanwhile. Of the
// function's forced sweep nothing is asked: it passes a gate of its own, but knows neither other secrets nor which keys were shown to the person.
func (r *retirement) revoke(ctx context.Context, k *RetiredKey) error {
	key, err := r.key(ctx, k)
	if err != nil {
		return err
	}
	d := doomed{quilt.APIKey{ID: k.KeyID, Fingerprint: k.Fingerprint}, key, k.Current}
	other, err := r.gate.keeper(ctx, d)
	if err != nil {
		return err
	}
	if other != "" {
		k.Fate, k.KeptBy = FateLeft, other
		return hint.With(fmt.Errorf("the secret %s holds the key %s now", other, k.Fingerprint), "rotate that one first")
	}
	return finish(ctx, func(ctx context.Context) error {
		if err := r.gate.pass(ctx, d); err != nil {
			return err
		}
		failed := r.revokeBy(ctx, k, key)
		return r.seeDead(ctx, k, failed)
	})
}

func (r *retirement) revokeBy(ctx context.Context, k *RetiredKey, key apikey.Key) (failed error) {
	for _, session := range r.sessions(key) {
		if !key.IsZero() { // byte for byte that one, whatever labels say
			failed = session.RevokeKeyBySecret(ctx, key)
		} else {
			failed = session.RevokeKey(ctx, k.KeyID)
		}
		if failed == nil {
			return nil
		}
	}
	return failed
}

// refusalWait allows for a registry that keeps a revoked key alive for a moment.
const refusalWait = 10 * time.Second

func (r *retirement) seeDead(ctx context.Context, k *RetiredKey, failed error) error {
	for began := time.Now(); ; {
		dead, err := r.isDead(ctx, k)
		switch {
		case err == nil && dead:
			return nil
		case failed != nil:
			return fmt.Errorf("the key %s was not revoked: %w", k.Fingerprint, failed)
		case err != nil:
			return err
		case time.Since(began) > refusalWait:
			return hint.With(fmt.Errorf("the key %s still logs in after its revocation", k.Fingerprint), "run this again; if it goes on, have an administrator of the registry revoke it, by its id "+k.KeyID)
		}
		if err := r.sleep(ctx); err != nil {
			return err
		}
	}
}

// refuseNew refuses where a rotation that was cut off made a key after the look: once the current key is dead, nobody may be there to list it.
func (r *retirement) refuseNew(ctx context.Context) error {
	sessions := r.sessions(apikey.Key{})
	if len(sessions) == 0 {
		return nil
	}
	var account quilt.Account
	var err error
	for _, session := range sessions {
		if account, err = session.Account(ctx); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	for _, k := range account.Keys {
		mark, ours := apikey.MarkOf(k.Name)
		known := slices.ContainsFunc(r.result.Keys, func(have RetiredKey) bool { return have.KeyID == k.ID })
		if ours && mark == apikey.SecretMark(r.secret.ARN) && !known && k.Status != quilt.Expired {
			return hint.With(fmt.Errorf("the key %s was made for %s meanwhile", k.Fingerprint, r.secret.Name), "run this again: quilt-rotate retire "+r.secret.Name)
		}
	}
	return nil
}

func (r *retirement) revokeCurrent(ctx context.Context) error {
	for i := range r.result.Keys {
		k := &r.result.Keys[i]
		if !k.Current || k.Fate != FateToDie {
			continue
		}
		r.Tell.Doing("revoking the current key")
		if err := r.revoke(ctx, k); err != nil {
			return err
		}
		k.Fate, r.current = FateRevoked, apikey.Key{}
		r.Tell.Tell(terminal.Done, "revoked the current key "+k.Fingerprint, "it is refused")
	}
	return nil
}
