package rotation

import (
	"context"
	"errors"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/vault"
)

// The four steps, in their order. What each may find, and what it never does, stands above it.

// createSecret makes a new key and stores it as the pending value. It can wake up in these states:
//
//  1. The secret has no key yet. Nothing can be rotated: AWSPENDING is taken off, so that it blocks nothing.
//  2. The pending value is there: this is a retry. It is done, if that key can still become current; a value never changes, so
//     when it cannot, AWSPENDING is taken off, and the next rotation starts afresh.
//  3. The pending value is missing, and nobody has made a key for it. The normal case.
//  4. It is missing, and a key was made: an earlier run died, or its put is still under way. That key's secret is lost to us, so this
//     makes another; the put that lands first wins, and the sweep revokes the other key by its name.
//
// It never revokes a key whose value may have been stored, or may yet land.
func (r *run) createSecret(ctx context.Context) error {
	current, err := r.readCurrent(ctx)
	if err != nil {
		return r.giveUpIfNotBootstrapped(ctx, err)
	}
	if err := r.unmarkCurrent(ctx); err != nil {
		return err
	}
	pending, err := r.Vault.ReadIfAny(ctx, r.secret.ARN, r.Token)
	switch {
	case err == nil:
		return r.checkStored(ctx, current, pending)
	case errors.Is(err, vault.ErrBinary):
		return r.giveUpWithoutKey(ctx, err)
	case !errors.Is(err, vault.ErrNoValue):
		return fault.InValue("AWSPENDING", r.secret, err)
	}
	if err := current.Replaceable(); err != nil {
		return fault.New[fault.KeyNotReplaceable]("the key of %s cannot be rotated, and no key was created: %w", r.secret.ARN, err)
	}
	if err := r.roomForLabels(); err != nil {
		return err
	}
	m, err := r.mint(ctx, current)
	if err != nil {
		return err
	}
	return r.store(ctx, current, m)
}

// setSecret has nothing to set: the registry made the key, so it knows it. It checks that the pending value holds its key where the
// current one does: consumers look there. It never writes.
func (r *run) setSecret(ctx context.Context) error {
	current, err := r.readCurrent(ctx)
	if err != nil {
		return err
	}
	pending, err := r.readPending(ctx)
	if err != nil {
		return err
	}
	if pending.Field() != current.Field() {
		return fault.New[fault.PendingMisplaced]("the pending value of %s holds its key in %s, the current one in %s; "+
			"run: quilt-rotate unstick %s", r.secret.ARN, place(pending), place(current), r.secret.Name)
	}
	return nil
}

func place(v apikey.Value) string {
	if v.Field() == "" {
		return "the value itself"
	}
	return "the field \"" + v.Field() + "\""
}

// testSecret logs in with the pending key, and checks that it is the same user's and lives long enough. Secrets Manager also calls
// this step alone, to test a configuration, on a temporary version that holds a copy of the current value. So it never writes and
// never revokes: the key it looks at may be the live one.
func (r *run) testSecret(ctx context.Context) error {
	current, err := r.readCurrent(ctx)
	if _, blank := errors.AsType[*fault.NotBootstrapped](err); blank {
		r.report.NotBootstrapped = true // a fresh deployment's test run: no false alarm
		return nil
	}
	if err != nil {
		return err
	}
	pending, err := r.readPending(ctx)
	switch {
	case errors.Is(err, vault.ErrNoValue):
		r.Log.WarnContext(ctx, "the pending version has no value: testing the current key instead", "secret", r.secret.ARN, "version", r.Token)
		pending = current
	case err != nil:
		return err
	}
	if pending.Key().Equal(current.Key()) {
		_, err := r.loginSoon(ctx, pending.Key(), "")
		return err
	}
	return r.proveKey(ctx, pending.Key(), current.Key())
}

// finishSecret makes the pending version current. It logs in with the pending key right before the one call that moves AWSCURRENT; that
// call is a compare-and-swap against the version that was compared here, so an edit in between makes it fail.
//
// It does not take AWSPENDING off after success: Secrets Manager does, and may read an early removal as a failure (AWS Secrets
// Manager User Guide, "Rotation by Lambda function").
func (r *run) finishSecret(ctx context.Context) error {
	current, err := r.readCurrent(ctx)
	if err != nil {
		return err
	}
	pending, err := r.readPending(ctx)
	if err != nil {
		return err
	}
	if !pending.SameButKey(current) {
		return r.giveUp(ctx, fault.New[fault.Edited]("the secret %s was edited during its rotation: its current value differs from the pending one "+
			"in more than the key; the edit is kept, start another rotation: quilt-rotate rotate %s", r.secret.ARN, r.secret.Name))
	}
	if _, err := r.loginSoon(ctx, pending.Key(), ""); err != nil {
		return err
	}
	if err := r.Vault.Promote(ctx, r.secret.ARN, r.Token, r.current.ID); err != nil {
		return fault.New[fault.CutOverFailed]("AWSCURRENT of %s could not be moved: %w", r.secret.ARN, err)
	}
	return nil
}
