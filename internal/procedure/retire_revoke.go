package procedure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/care"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
	"quilt-rotate/internal/wording"
)

// sweep has the function revoke the superseded keys and orphans, by its own rules. Where another secret needs one of them, it is not asked: it knows
// nothing of other secrets. Where no function is deployed, all are revoked one by one.
func (r *retirement) sweep(ctx context.Context) error {
	if !r.secret.Deployed() && r.secret.RevokeFunction == "" || r.current.IsZero() || slices.ContainsFunc(r.result.Keys, func(k RetiredKey) bool { return k.KeptBy != "" && !k.Current }) {
		return nil
	}
	r.Tell.Doing("the function sweeps")
	result, err := r.secret.Sweep(ctx, care.Forced)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, a := range result.Actions {
		if a.Done {
			l := wording.Happened(a, time.Now())
			r.Tell.Tell(l.Mark, l.Text, l.Beside)
		}
	}
	if err != nil { // what it left is revoked below, one by one
		r.Tell.Tell(terminal.Noted, "the sweep left some to be revoked one by one", "")
	}
	return nil
}

// revokeOthers revokes what is left to die, but the current key.
func (r *retirement) revokeOthers(ctx context.Context) error {
	for i := range r.result.Keys {
		k := &r.result.Keys[i]
		if k.Fate != FateToDie || k.Current {
			continue
		}
		dead, err := r.isDead(ctx, k)
		if err != nil {
			return err
		}
		if !dead {
			r.Tell.Doing("revoking " + k.Fingerprint)
			if err := r.revoke(ctx, k); err != nil {
				return err
			}
			r.Tell.Tell(terminal.Done, "revoked "+k.Fingerprint, "")
		}
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
		if askErr == nil {
			return l.Key == nil, nil
		}
		err = askErr
	}
	return false, err
}

// revoke revokes a key, and sees that it is dead. Right before, it looks whether another secret needs it: somebody may have copied it meanwhile.
func (r *retirement) revoke(ctx context.Context, k *RetiredKey) error {
	keepers, err := care.FindKeepers(ctx, r.Cloud, r.secret.ARN)
	if err != nil {
		return err
	}
	key, err := r.key(ctx, k)
	if err != nil {
		return err
	}
	other, kept := keepers.Of(quilt.APIKey{ID: k.KeyID, Fingerprint: k.Fingerprint})
	if !kept && !key.IsZero() {
		other, kept = keepers.OfKey(key)
	}
	if kept {
		k.Fate, k.KeptBy = FateLeft, other
		return hint.With(fmt.Errorf("the secret %s holds the key %s now", other, k.Fingerprint), "rotate that one first, then run this again")
	}
	return finish(ctx, func(ctx context.Context) error {
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

func (r *retirement) revokeCurrent(ctx context.Context) error {
	for i := range r.result.Keys {
		k := &r.result.Keys[i]
		if !k.Current || k.Fate != FateToDie {
			continue
		}
		r.Tell.Doing("revoking the current key")
		if err := r.stillCurrent(ctx, k); err != nil {
			return err
		}
		if err := r.revoke(ctx, k); err != nil {
			return err
		}
		k.Fate, r.current = FateRevoked, apikey.Key{}
		r.Tell.Tell(terminal.Done, "revoked the current key "+k.Fingerprint, "it is refused")
	}
	return nil
}

// stillCurrent refuses where somebody gave the secret another value meanwhile: so it is used.
func (r *retirement) stillCurrent(ctx context.Context, k *RetiredKey) error {
	if err := r.secret.Look(ctx); err != nil {
		return err
	}
	if holder, ok := r.secret.Holder(vault.Current); !ok || holder.ID != k.version {
		return hint.With(fmt.Errorf("AWSCURRENT of %s has moved meanwhile: somebody uses the secret", r.secret.Name), "see who, then run this again: quilt-rotate retire "+r.secret.Name)
	}
	return nil
}
