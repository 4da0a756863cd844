package rotation

import (
	"context"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// giveUp ends a rotation whose pending version can never become current: it removes AWSPENDING and
// returns the reason. A stored value is immutable, so AWSPENDING would otherwise block every later
// rotation and every change of the schedule. The version keeps the label of its key, so that the
// sweep revokes the key.
//
// A crash before the call changes nothing. A concurrent run that stalled may still put or promote,
// so the sweep waits for the orphan age before it revokes such a key.
func (r *run) giveUp(ctx context.Context, reason error) error {
	if err := r.Vault.Detach(ctx, r.secret.ARN, vault.Pending, r.Token); err != nil {
		return fault.New[fault.SecretsManagerFailed]("the version %s of %s can never become current (%s), "+
			"but AWSPENDING could not be removed from it: %w; run: quilt-rotate unstick %s",
			r.Token, r.secret.ARN, fault.TypeName(reason), err, r.secret.Name)
	}
	r.report.SelfHealed = true
	return reason
}

// checkStored decides whether a pending key that is already stored can still become current.
func (r *run) checkStored(ctx context.Context, pending apikey.Key) error {
	found, err := r.findPending(ctx, pending)
	switch {
	case err != nil:
		return err
	case found.gone:
		return r.giveUp(ctx, fault.New[fault.PendingKeyDead]("the pending key of %s no longer exists or is expired; "+
			"AWSPENDING was removed, start another rotation: quilt-rotate rotate %s", r.secret.ARN, r.secret.Name))
	case found.old:
		return r.giveUp(ctx, fault.New[fault.PendingKeyOld]("the pending key of %s has less than half of its lifetime "+
			"left; AWSPENDING was removed, start another rotation: quilt-rotate rotate %s",
			r.secret.ARN, r.secret.Name))
	}
	return nil
}

// finding says why a key can never become current. The zero finding means that it can.
type finding struct{ gone, old bool }

// findPending asks the registry for the pending key, first with the key itself, which may be the
// only key that still logs in. A refusal is not evidence, because a new key may not work at once.
// After a refusal, another credential of the owner asks for the key.
func (r *run) findPending(ctx context.Context, pending apikey.Key) (found finding, err error) {
	session := r.Registry.WithKey(pending)
	account, err := session.Account(ctx)
	switch {
	case err == nil:
		return r.lookUp(ctx, issuer.Creator{Session: session, Account: account}, pending)
	case quilt.RefusesLogin(err):
		err = r.withCreator(ctx, func(ctx context.Context, c issuer.Creator) error {
			found, err = r.lookUp(ctx, c, pending)
			return err
		})
		return found, err
	case quilt.Refused(err): // the key logs in, but may not look at keys; testSecret checks it
		return finding{}, nil
	}
	return finding{}, err
}

// lookUp finds the pending key by the id in its label: in the list, or with a request for the id,
// because a list may be incomplete. If the version has no label, because the put did not attach it
// and the run died, the key is found by its fingerprint, and the label is attached.
func (r *run) lookUp(ctx context.Context, c issuer.Creator, pending apikey.Key) (finding, error) {
	id := r.secret.Versions[r.Token].Key()
	if id == "" {
		fit, ok := quilt.OnlyFit(c.Account.Keys, pending)
		if !ok {
			return finding{}, nil
		}
		if err := r.Vault.Attach(ctx, r.secret.ARN, vault.KeyLabel(fit.ID), r.Token); err != nil {
			return finding{}, err
		}
		id = fit.ID
	}
	r.report.KeyID = id
	for _, k := range c.Account.Keys {
		if k.ID == id {
			return check(&k, c.Account.RegistryTime), nil
		}
	}
	l, err := c.Session.Login(ctx, id)
	return check(l.Key, l.RegistryTime), err
}

// check returns what the registry's record says against a pending key. k is nil if there is none.
func check(k *quilt.APIKey, now time.Time) finding {
	if k == nil || k.Status != quilt.Active {
		return finding{gone: true}
	}
	return finding{old: k.Old(now)}
}
