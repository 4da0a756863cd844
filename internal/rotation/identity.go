package rotation

import (
	"context"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// unmarkCurrent removes the marks of the current version: somebody rolled back to it, so it is no
// longer superseded.
func (r *run) unmarkCurrent(ctx context.Context) error {
	for _, mark := range r.current.Marks {
		if err := r.Vault.Detach(ctx, r.secret.ARN, mark.Label(), r.current.ID); err != nil {
			return err
		}
	}
	return nil
}

// labelCurrent labels the current version before a key is created, so that its key can be found
// when it is superseded. If the registry's list does not show which key it is, this is reported,
// and the key stays valid until it expires.
func (r *run) labelCurrent(ctx context.Context, account quilt.Account) error {
	if r.current.Key() != "" {
		return nil
	}
	id, err := LabelCurrent(ctx, r.Vault, r.secret, r.value, r.settings.Field, account.Keys)
	if err != nil {
		return err
	}
	if r.report.Unidentified = id == ""; id != "" {
		r.current.Keys = []string{id} // if this credential may not create keys, the next one does not label it again
	}
	return nil
}

// Labels has the calls that label a version. [vault.Vault] implements it.
type Labels interface {
	Read(ctx context.Context, secretARN, versionID string) (redact.Text, error)
	Attach(ctx context.Context, secretARN, label, to string) error
	Move(ctx context.Context, secretARN, label, to, from string) error
}

// LabelCurrent attaches the label of its key to the current version, if it has none: somebody
// stored a first key by hand, or edited another field, which created a new version with the same
// key. It returns the key's id, or "" if the list does not show which key it is. current is the
// version's value, field is the field that the tag names, and keys are the keys of its user.
//
// A crash before or after it leaves nothing to clean up, because the label is true.
func LabelCurrent(ctx context.Context, v Labels, secret vault.Secret, current apikey.Value, field string,
	keys []quilt.APIKey) (id string, err error) {
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
	holder, taken := secret.Holder(label)
	if !taken {
		return row.ID, v.Attach(ctx, secret.ARN, label, version.ID)
	}
	// The values decide, not the label or the fingerprint.
	held, err := vault.ReadValue(ctx, v.Read, secret.ARN, holder.ID, field)
	if err != nil && !vault.HoldsNoKey(err) && !vault.Unreadable(err) {
		return "", err
	}
	if !held.Key().Equal(current.Key()) { // the fingerprint fits two keys, or the other version cannot be read
		return "", nil
	}
	return row.ID, v.Move(ctx, secret.ARN, label, version.ID, holder.ID)
}
