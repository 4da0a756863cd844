package rotation

import (
	"context"
	"errors"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/vault"
)

// createSecret creates a key and stores it as the pending value. It may find one of these states:
//
//  1. The secret has no key yet. Nothing can be rotated. AWSPENDING is removed, so that it blocks
//     nothing.
//  2. The pending value exists: this is a retry. If that value can still become current, there is
//     nothing to do. If not, AWSPENDING is removed, because a value never changes, and the next
//     rotation creates a new version.
//  3. The pending value is missing, and no key was created for it. This is the normal case.
//  4. It is missing, and a key was created: an earlier run crashed, or its put has not arrived yet.
//     The text of that key is lost, so this run creates another key. The put that arrives first
//     wins. The sweep finds the other key by its name and revokes it.
//
// It never revokes a key whose value may have been stored, or may still be stored.
func (r *run) createSecret(ctx context.Context) error {
	if err := r.unmarkCurrent(ctx); err != nil {
		return err
	}
	pending, err := vault.ReadValue(ctx, r.Vault.ReadIfAny, r.secret.ARN, r.Token, r.settings.Field)
	switch {
	case errors.Is(err, vault.ErrNoValue):
		return r.create(ctx)
	case vault.HoldsNoKey(err):
		return r.giveUp(ctx, fault.New[fault.PendingKeyDead]("the pending version %s of %s holds no key: %w; "+
			"AWSPENDING was removed, start another rotation: quilt-rotate rotate %s",
			r.Token, r.secret.ARN, err, r.secret.Name))
	case err != nil:
		return fault.InValue("AWSPENDING", r.secret, err)
	}
	r.report.Key = pending.Key()
	if err := r.compare(pending); err != nil {
		return r.giveUp(ctx, err)
	}
	return r.checkStored(ctx, pending.Key())
}

// create checks everything that can be checked without a new key, creates one, and stores it.
func (r *run) create(ctx context.Context) error {
	if err := r.value.Replaceable(); err != nil {
		return fault.New[fault.KeyNotReplaceable]("the key of %s cannot be rotated, and no key was created: %w",
			r.secret.ARN, err)
	}
	if err := r.checkFreeLabels(); err != nil {
		return err
	}
	c, err := r.createKey(ctx)
	if err != nil {
		return err
	}
	return r.store(ctx, c)
}

// compare requires that the pending value is the current value with another key in every place of
// the key. If the pending value still held the current key, that key would become current again,
// together with a new one, and could never be revoked.
func (r *run) compare(pending apikey.Value) error {
	if pending.Contains(r.value.Key()) {
		return fault.New[fault.PendingHoldsCurrent]("the pending value of %s holds the current key, "+
			"so it cannot become current; if AWSPENDING is still on its version, run: quilt-rotate unstick %s; "+
			"then start another rotation: quilt-rotate rotate %s",
			r.secret.ARN, r.secret.Name, r.secret.Name)
	}
	if !pending.SameButKey(r.value) {
		return fault.New[fault.Edited]("the secret %s was edited during its rotation: "+
			"its current value differs from the pending one in more than the key; "+
			"the edit is kept, start another rotation: quilt-rotate rotate %s", r.secret.ARN, r.secret.Name)
	}
	return nil
}

// setSecret has nothing to set, because the registry created the key. It checks that the pending
// and the current value differ only in the key, and that the key is in the same places, because
// consumers look there. It never writes.
func (r *run) setSecret(ctx context.Context) error {
	pending, err := r.readPending(ctx)
	if err != nil {
		return err
	}
	return r.compare(pending)
}

// testSecret logs in with the pending key, and checks that it belongs to the same user and is valid
// for long enough. Secrets Manager also calls this step alone to test a configuration, on a
// temporary version that holds a copy of the current value. So it accepts the current key, which no
// other step does. It never writes and never revokes.
func (r *run) testSecret(ctx context.Context) error {
	pending, err := r.readPending(ctx)
	switch {
	case errors.Is(err, vault.ErrNoValue):
		r.Log.WarnContext(ctx, "the pending version has no value: testing the current key instead",
			"secret", r.secret.ARN, "version", r.Token)
		pending = r.value
	case err != nil:
		return err
	}
	if pending.Key().Equal(r.value.Key()) {
		_, err := r.loginSoon(ctx, pending.Key(), "")
		return err
	}
	return r.proveKey(ctx, pending.Key())
}

// finishSecret makes the pending version current. It logs in with the pending key right before the
// only call that moves AWSCURRENT. That call is a compare-and-swap against the version that was
// compared here, so it fails if somebody edits the secret in between.
//
// It never removes AWSPENDING after success. Secrets Manager removes it, and may treat an early
// removal as a failure (AWS Secrets Manager User Guide, "Rotation by Lambda function").
func (r *run) finishSecret(ctx context.Context) error {
	pending, err := r.readPending(ctx)
	if err != nil {
		return err
	}
	if err := r.compare(pending); err != nil {
		return r.giveUp(ctx, err)
	}
	if _, err := r.loginSoon(ctx, pending.Key(), ""); err != nil {
		return err
	}
	if err := r.Vault.Promote(ctx, r.secret.ARN, r.Token, r.current.ID); err != nil {
		return fault.New[fault.CutOverFailed]("AWSCURRENT of %s could not be moved: %w", r.secret.ARN, err)
	}
	r.report.Replaced, r.report.ReplacedKeyID = r.current.ID, r.current.Key()
	return nil
}
