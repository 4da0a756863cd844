package rotation

import (
	"context"
	"errors"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/retry"
	"quilt-rotate/internal/vault"
)

// labelsNeeded is how many labels a rotation and what may follow it need at most: the keys of the
// new and the current version, AWSPREVIOUS if there was none, the mark of the superseded version,
// and a pause.
const labelsNeeded = 5

// The registry gets the first share of the time that a step has left, each put a share of what is
// left then, and the read-back the rest. So a registry that hangs does not use the time that is
// needed to store the key.
const (
	createShare = 0.6
	putShare    = 0.6
)

// checkFreeLabels fails if a new key could not be labelled.
func (r *run) checkFreeLabels() error {
	if free := vault.LabelQuota - r.secret.Labels(); free < labelsNeeded {
		return fault.New[fault.LabelQuota]("the secret %[1]s has %[2]d of its %[3]d staging labels free, "+
			"but a rotation needs %[4]d; first end this rotation: quilt-rotate unstick %[5]s; "+
			"then revoke the keys whose grace period is over: quilt-rotate revoke %[5]s; "+
			"then start another rotation: quilt-rotate rotate %[5]s; "+
			"to revoke a key in its grace period that nobody needs, run: quilt-rotate emergency %[5]s --version ID",
			r.secret.ARN, max(free, 0), vault.LabelQuota, labelsNeeded, r.secret.Name)
	}
	return nil
}

// withCreator calls use with the first credential that may create keys: see [issuer.Candidates].
func (r *run) withCreator(ctx context.Context, use func(context.Context, issuer.Creator) error) error {
	candidates := issuer.Candidates{Values: r.Vault, Registry: r.Registry, Secret: r.secret, Current: r.value.Key(),
		Settings: r.settings}
	return candidates.Use(ctx, func(ctx context.Context, c issuer.Creator) error {
		r.report.Owner = c.Account.Email
		return use(ctx, c)
	})
}

// created is a new key, and the session that created it.
type created struct {
	key     quilt.CreatedKey
	session *quilt.Session
}

// createKey creates the new key. The registry returns the text of a key once, and a repeated
// request creates another key. So nothing is tried again if the request may have been carried out.
// A crash between this call and the put leaves an orphan with the secret's mark in its name.
func (r *run) createKey(ctx context.Context) (created, error) {
	ctx, cancel := retry.WithShare(ctx, createShare)
	defer cancel()
	var result created
	err := r.withCreator(ctx, func(ctx context.Context, c issuer.Creator) error {
		if err := r.labelCurrent(ctx, c.Account); err != nil {
			return err
		}
		name := r.settings.NameOfKey(r.secret.Name, r.secret.ARN, c.Account.RegistryTime)
		key, err := c.Session.CreateKey(ctx, name, r.settings.ExpiresInDays)
		if err != nil {
			return err
		}
		result = created{key, c.Session}
		return r.checkCreated(ctx, result, c.Account.Email)
	})
	return result, err
}

// checkCreated compares the new key with the request, and revokes a key that must not be stored. If
// only the name or the lifetime differs, that is reported and the key is used: it works, and its
// label leads to it when it is stored. (Without the secret's mark in its name, a sweep does not
// find it if a crash leaves it behind.) A key that the current value already holds is not new,
// whatever the answer says, so it is neither stored nor revoked.
func (r *run) checkCreated(ctx context.Context, c created, owner string) error {
	if r.value.Contains(c.key.Secret) {
		return fault.New[fault.BadNewKey]("the registry answered apiKeyCreate for %s with a key that the current "+
			"value already holds; nothing was stored or revoked: check which system answers instead of the registry",
			r.secret.ARN)
	}
	if !quilt.SameUser(c.key.UserEmail, owner) {
		r.revokeOwn(ctx, c, "it belongs to another user")
		return fault.New[fault.OwnerChanged]("the registry created the new key of %s for the user %s, "+
			"but %s asked for it", r.secret.ARN, c.key.UserEmail, owner)
	}
	if err := vault.CheckLabel(c.key.ID); err != nil {
		r.revokeOwn(ctx, c, "its id is too long for a label")
		return fault.New[fault.BadNewKey]("the new key of %s cannot be stored: %w", r.secret.ARN, err)
	}
	r.report.Differs = strings.Join(c.key.Differs, "; ")
	return nil
}

// store writes the new key as the pending value.
//
// A crash before the put leaves an orphan, which the sweep finds by its name. If the put fails for
// any reason, the version is read back: a value never changes, so it shows which run was first. If
// there is no value yet, the put is repeated once with the same token, because the key would be an
// orphan otherwise. If both puts arrive, the second changes nothing. If the version holds another
// key, ours will never be stored, and only then it is revoked.
func (r *run) store(ctx context.Context, c created) error {
	value, err := r.value.WithKey(c.key.Secret)
	if err != nil {
		r.revokeOwn(ctx, c, "it does not fit into the value")
		return fault.New[fault.BadNewKey]("the new key cannot be stored in %s: %w", r.secret.ARN, err)
	}
	r.report.Key, r.report.KeyID = c.key.Secret, c.key.ID
	stored, putErr, readErr := r.putAndRead(ctx, value, c.key.ID)
	if putErr != nil && errors.Is(readErr, vault.ErrNoValue) && ctx.Err() == nil {
		stored, putErr, readErr = r.putAndRead(ctx, value, c.key.ID)
	}
	switch {
	case putErr == nil:
		return nil
	case readErr != nil: // the put may still arrive
		return fault.New[fault.StoreFailed]("the new key could not be stored in %s: %w; "+
			"if no version holds it, a sweep revokes it", r.secret.ARN, putErr)
	case stored.Equal(value):
		return r.Vault.Attach(ctx, r.secret.ARN, vault.KeyLabel(c.key.ID), r.Token)
	}
	r.revokeOwn(ctx, c, "another run of this step stored its key first")
	r.report.Key, r.report.KeyID = apikey.Key{}, ""
	return nil
}

// putAndRead puts the value, and reads the version back if that fails.
func (r *run) putAndRead(ctx context.Context, value redact.Text, keyID string) (
	stored redact.Text, putErr, readErr error) {
	limited, cancel := retry.WithShare(ctx, putShare)
	defer cancel()
	putErr = r.Vault.PutPending(limited, vault.NewValue{
		SecretARN: r.secret.ARN, VersionID: r.Token, RotationToken: r.RotationToken, Value: value, KeyID: keyID,
	})
	if putErr != nil {
		stored, readErr = r.Vault.Read(ctx, r.secret.ARN, r.Token)
	}
	return stored, putErr, readErr
}

// revokeOwn revokes the key that this run created, when it is certain that it is not stored. It
// sends the key's text and not its id, because a wrong id in the registry's answer would revoke
// another key. If the request fails, the sweep finds the key by its name.
func (r *run) revokeOwn(ctx context.Context, c created, why string) {
	err := c.session.RevokeKeyBySecret(ctx, c.key.Secret)
	if err != nil {
		r.Log.WarnContext(ctx, "the key that this run created could not be revoked; a sweep will revoke it",
			"why", why, "keyId", c.key.ID, "error", err)
		return
	}
	r.Log.InfoContext(ctx, "revoked the key that this run created", "why", why, "keyId", c.key.ID)
}
