package rotation

import (
	"context"
	"errors"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// unmarkCurrent takes marks off the current version: somebody rolled back to it, so it is superseded no more.
func (r *run) unmarkCurrent(ctx context.Context) error {
	for _, mark := range r.current.Marks {
		if err := r.detach(ctx, mark.Label(), r.current.ID); err != nil {
			return err
		}
	}
	return nil
}

// labelCurrent gives the current version the label of its key, where it has none: a first key that somebody put in by hand, or an edit of
// another field, which made a new version with the same key. It is done before a key is made, so that the key can be found when it is
// superseded. A key that cannot be told from others is reported, and left to expire.
//
// A crash before or after leaves nothing to clean up: the label says what is true.
func (r *run) labelCurrent(ctx context.Context, account quilt.Account, current apikey.Value) error {
	if r.current.Key() != "" {
		return nil
	}
	id, ok := onlyFit(account.Keys, current.Key())
	if !ok || vault.CheckLabel(id) != nil {
		r.report.Unidentified = true
		return nil
	}
	label := vault.KeyLabel(id)
	holder, held := r.secret.Holder(label)
	if !held {
		return r.labelled(id, r.Vault.Attach(ctx, r.secret.ARN, label, r.current.ID))
	}
	same, err := r.holdsKey(ctx, holder.ID, current.Key())
	if err != nil {
		return err
	}
	if !same { // the fingerprint fits two keys, and this one is the other version's
		r.report.Unidentified = true
		return nil
	}
	return r.labelled(id, r.Vault.Move(ctx, r.secret.ARN, label, r.current.ID, holder.ID))
}

// labelled remembers that the label is on: when this maker may not make keys after all, the next one finds it done.
func (r *run) labelled(id string, err error) error {
	if err == nil {
		r.current.Keys = []string{id}
	}
	return err
}

// onlyFit is the id of the only key in the list that has the key's fingerprint.
func onlyFit(keys []quilt.APIKey, key apikey.Key) (id string, ok bool) {
	n := 0
	for _, k := range keys {
		if key.Fits(k.Fingerprint) {
			id, n = k.ID, n+1
		}
	}
	return id, n == 1
}

// holdsKey compares by value, byte for byte: labels and fingerprints only lead here. A version whose value holds no key does not hold this one.
func (r *run) holdsKey(ctx context.Context, versionID string, key apikey.Key) (bool, error) {
	raw, err := r.Vault.Read(ctx, r.secret.ARN, versionID)
	if errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	value, err := apikey.ParseValue(raw, r.settings.Field)
	return err == nil && value.Key().Equal(key), nil
}
