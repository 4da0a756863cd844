package rotation

import (
	"context"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/deadline"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// labelsNeeded is how many labels a rotation, and what may come after it, need at most: the new version's key, the current version's key,
// AWSPREVIOUS if there was none, the mark of the version that it supersedes, and a pause.
const labelsNeeded = 5

// Of the time that a step has left, the registry gets until the first share, the put until the second, and the read-back the
// rest: a registry that hangs must not leave a key that there is no time to store.
const (
	mintShare = 0.6
	putShare  = 0.6 // of what minting left
)

// roomForLabels refuses to make a key that could then not be labelled.
func (r *run) roomForLabels() error {
	if free := vault.LabelQuota - r.secret.Labels(); free < labelsNeeded {
		return fault.New[fault.LabelQuota]("the secret %s has %d of its %d staging labels free, a rotation needs %d; run: quilt-rotate revoke %s, "+
			"or remove labels that nobody needs", r.secret.ARN, max(free, 0), vault.LabelQuota, labelsNeeded, r.secret.Name)
	}
	return nil
}

// made is a new key, and the session that made it.
type made struct {
	key     quilt.CreatedKey
	session *quilt.Session
}

// mint makes the new key. The registry gives each key out once, and knows no idempotency: so nothing here is tried again once the
// request may have been carried out. A crash from there to the put leaves an orphan, with the secret's mark in its name.
func (r *run) mint(ctx context.Context, current apikey.Value) (made, error) {
	ctx, cancel := deadline.WithShare(ctx, mintShare)
	defer cancel()
	var result made
	err := r.withMaker(ctx, current, func(ctx context.Context, m maker) error {
		if err := r.labelCurrent(ctx, m.account, current); err != nil {
			return err
		}
		key, err := m.session.CreateKey(ctx, r.settings.NameOfKey(r.secret.Name, r.secret.ARN, m.account.RegistryTime), r.settings.ExpiresInDays)
		result = made{key, m.session}
		if err != nil {
			return err
		}
		return r.checkMade(ctx, result, m.account.Email)
	})
	return result, err
}

// checkMade revokes a new key that must not be stored.
func (r *run) checkMade(ctx context.Context, m made, owner string) error {
	if !quilt.SameUser(m.key.UserEmail, owner) {
		r.revokeOwn(ctx, m, "it belongs to another user")
		return fault.New[fault.OwnerChanged]("the registry made a key of %s for %s, asked by %s", r.secret.ARN, m.key.UserEmail, owner)
	}
	if err := vault.CheckLabel(m.key.ID); err != nil {
		r.revokeOwn(ctx, m, "its id is too long for a label")
		return fault.New[fault.BadNewKey]("the new key of %s cannot be stored: %w", r.secret.ARN, err)
	}
	return nil
}

// store writes the new key as the pending value.
//
// A crash before the put leaves an orphan, which the sweep finds by its name. Whatever goes wrong with the put, the version is read
// back: a value is immutable, so what stands there tells how the race ended. Only when another key stands there is it sure that ours
// never will, and only then is ours revoked.
func (r *run) store(ctx context.Context, current apikey.Value, m made) error {
	value, err := current.WithKey(m.key.Secret)
	if err != nil {
		r.revokeOwn(ctx, m, "it does not fit into the value")
		return fault.New[fault.BadNewKey]("the new key cannot be stored in %s: %w", r.secret.ARN, err)
	}
	r.report.Key, r.report.KeyID = m.key.Secret, m.key.ID
	if err := r.put(ctx, value, m.key.ID); err != nil {
		return r.readBack(ctx, value, m, err)
	}
	return nil
}

func (r *run) put(ctx context.Context, value redact.Text, keyID string) error {
	ctx, cancel := deadline.WithShare(ctx, putShare)
	defer cancel()
	return r.Vault.PutPending(ctx, vault.PendingValue{
		SecretARN: r.secret.ARN, VersionID: r.Token, RotationToken: r.RotationToken, Value: value, KeyID: keyID,
	})
}

func (r *run) readBack(ctx context.Context, ours redact.Text, m made, putErr error) error {
	stored, err := r.Vault.Read(ctx, r.secret.ARN, r.Token)
	switch {
	case err != nil: // it may yet land
		return fault.New[fault.StoreFailed]("the new key could not be stored in %s: %w; a key that was left over is found and revoked by the sweep", r.secret.ARN, putErr)
	case stored.Equal(ours):
		return r.Vault.Attach(ctx, r.secret.ARN, vault.KeyLabel(m.key.ID), r.Token)
	default:
		r.revokeOwn(ctx, m, "another run of this step stored its key first")
		r.report.Key, r.report.KeyID = apikey.Key{}, ""
		return nil
	}
}

// revokeOwn revokes the key that this run made, once it is sure that it was not stored. When that fails, the sweep finds the key by
// its name.
func (r *run) revokeOwn(ctx context.Context, m made, why string) {
	err := m.session.RevokeKey(ctx, m.key.ID)
	if err != nil {
		r.Log.WarnContext(ctx, "the key that this run made could not be revoked again: the sweep will", "why", why, "keyId", m.key.ID, "error", err)
		return
	}
	r.Log.InfoContext(ctx, "revoked the key that this run made", "why", why, "keyId", m.key.ID)
}
