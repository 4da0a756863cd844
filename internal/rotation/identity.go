package rotation

import (
	"context"
	"errors"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// unmarkCurrent takes marks off the current version: somebody rolled back to it, so it is superseded no more.
func (r *run) unmarkCurrent(ctx context.Context) error {
	for _, mark := range r.current.Marks {
		if err := r.Vault.Detach(ctx, r.secret.ARN, mark.Label(), r.current.ID); err != nil {
			return err
		}
	}
	return nil
}

// labelCurrent labels the current version before a key is made, so that its key can be found when it is superseded. A key that cannot be told
// from others is reported, and left to expire.
func (r *run) labelCurrent(ctx context.Context, account quilt.Account, current apikey.Value) error {
	if r.current.Key() != "" {
		return nil
	}
	id, err := LabelCurrent(ctx, r.Vault, r.secret, current, r.settings.Field, account.Keys)
	if err != nil {
		return err
	}
	if id == "" {
		r.report.Unidentified = true
		return nil
	}
	r.current.Keys = []string{id} // when this maker may not make keys after all, the next one finds it done
	return nil
}

// Labels is what it takes to label a version. [vault.Vault] is it.
type Labels interface {
	Read(ctx context.Context, secretARN, versionID string) (redact.Text, error)
	Attach(ctx context.Context, secretARN, label, to string) error
	Move(ctx context.Context, secretARN, label, to, from string) error
}

// LabelCurrent gives the current version the label of its key, where it has none: a first key that somebody put in by hand, or an edit of
// another field, which made a new version with the same key. It gives the key's id; "" where the key cannot be told from others. current is the
// version's value, field the one that the tag names, and keys are those of its user.
//
// A crash before or after leaves nothing to clean up: the label says what is true.
func LabelCurrent(ctx context.Context, v Labels, secret vault.Secret, current apikey.Value, field string, keys []quilt.APIKey) (id string, err error) {
	version, ok := secret.Holder(vault.Current)
	if !ok {
		return "", nil
	}
	if version.Key() != "" {
		return version.Key(), nil
	}
	row, ok := quilt.OnlyFit(keys, current.Key())
	if !ok || vault.CheckLabel(row.ID) != nil {
		return "", nil
	}
	label := vault.KeyLabel(row.ID)
	holder, held := secret.Holder(label)
	if !held {
		return row.ID, v.Attach(ctx, secret.ARN, label, version.ID)
	}
	same, err := holdsKey(ctx, v, secret.ARN, holder.ID, field, current.Key())
	if err != nil || !same { // the fingerprint fits two keys, and this one is the other version's
		return "", err
	}
	return row.ID, v.Move(ctx, secret.ARN, label, version.ID, holder.ID)
}

// holdsKey compares by value, byte for byte: labels and fingerprints only lead here. A version whose value holds no key does not hold this one.
func holdsKey(ctx context.Context, v Labels, secretARN, versionID, field string, key apikey.Key) (bool, error) {
	raw, err := v.Read(ctx, secretARN, versionID)
	if errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	value, err := apikey.ParseValue(raw, field)
	return err == nil && value.Key().Equal(key), nil
}
