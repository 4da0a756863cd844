package rotation

import (
	"context"
	"errors"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// Self-healing. A stored value is immutable, so a pending version can become one that never passes, and AWSPENDING on it blocks every later
// rotation, and every change of the schedule. Taking AWSPENDING off ends that rotation; the version keeps its key's label, so that
// the sweep revokes the key.

// giveUp takes AWSPENDING off this rotation's version and fails with the reason. A crash before it leaves the state that led here.
// A stalled twin may still put or promote: that is why the sweep waits for the orphan age before it revokes such a key.
func (r *run) giveUp(ctx context.Context, reason error) error {
	if err := r.Vault.Detach(ctx, r.secret.ARN, vault.Pending, r.Token); err != nil {
		return fault.New[fault.SecretsManagerFailed]("the version %s of %s can never become current (%s), but AWSPENDING could not be taken off it: %w; run: quilt-rotate unstick %s",
			r.Token, r.secret.ARN, fault.TypeName(reason), err, r.secret.Name)
	}
	r.report.SelfHealed = true
	return reason
}

func (r *run) giveUpIfNotBootstrapped(ctx context.Context, err error) error {
	if _, blank := errors.AsType[*fault.NotBootstrapped](err); !blank {
		return err
	}
	r.report.NotBootstrapped = true
	return r.giveUp(ctx, err)
}

// checkStored decides whether a pending value that is already there can still become current.
func (r *run) checkStored(ctx context.Context, current apikey.Value, raw redact.Text) error {
	pending, err := apikey.ParseValue(raw, r.settings.Field)
	if err != nil {
		return r.giveUpWithoutKey(ctx, err)
	}
	r.report.Key = pending.Key()
	if pending.Key().Equal(current.Key()) {
		return nil
	}
	found, err := r.askPending(ctx, pending.Key(), current)
	switch {
	case err != nil:
		return err
	case found.gone:
		return r.giveUp(ctx, fault.New[fault.PendingKeyDead]("the pending key of %s is gone or expired; AWSPENDING was taken off, start another rotation: quilt-rotate rotate %s", r.secret.ARN, r.secret.Name))
	case found.old:
		return r.giveUp(ctx, fault.New[fault.PendingKeyOld]("the pending key of %s has less than half its life left; AWSPENDING was taken off, start another rotation: quilt-rotate rotate %s", r.secret.ARN, r.secret.Name))
	}
	return nil
}

func (r *run) giveUpWithoutKey(ctx context.Context, err error) error {
	return r.giveUp(ctx, fault.New[fault.PendingKeyDead]("the pending version %s of %s holds no key: %w; AWSPENDING was taken off, start another rotation: quilt-rotate rotate %s",
		r.Token, r.secret.ARN, err, r.secret.Name))
}

// finding is what the registry has against a key: nothing, or one of these.
type finding struct{ gone, old bool }

// askPending asks the registry for the pending key. The key itself is asked first: it may be the only one that still logs in. When it is
// refused, that is no evidence, since a new key may take a moment: then its owner's other credentials are asked for it.
func (r *run) askPending(ctx context.Context, pending apikey.Key, current apikey.Value) (found finding, err error) {
	session := r.Registry.WithKey(pending)
	account, err := session.Account(ctx)
	switch {
	case err == nil:
		return r.lookUp(ctx, maker{session, account}, pending)
	case quilt.RefusesLogin(err):
		err = r.withMaker(ctx, current, func(ctx context.Context, m maker) error {
			found, err = r.lookUp(ctx, m, pending)
			return err
		})
		return found, err
	case quilt.Refused(err): // it logs in, perhaps, and may not look at keys: testSecret will tell
		return finding{}, nil
	}
	return finding{}, err
}

// lookUp finds the pending key by the id in its label: in the list, or, since a list may lack keys, by asking for the id. Without a label
// (it did not stick, and the run that stored it died) the fingerprint leads to it, and the label is attached.
func (r *run) lookUp(ctx context.Context, m maker, pending apikey.Key) (finding, error) {
	id := r.secret.Versions[r.Token].Key()
	if id == "" {
		fit, ok := quilt.OnlyFit(m.account.Keys, pending)
		if !ok {
			return finding{}, nil
		}
		if err := r.Vault.Attach(ctx, r.secret.ARN, vault.KeyLabel(fit.ID), r.Token); err != nil {
			return finding{}, err
		}
		id = fit.ID
	}
	r.report.KeyID = id
	for _, k := range m.account.Keys {
		if k.ID == id {
			return against(&k, m.account.RegistryTime), nil
		}
	}
	l, err := m.session.Login(ctx, id)
	return against(l.Key, l.RegistryTime), err
}

func against(k *quilt.APIKey, now time.Time) finding {
	if k == nil || k.Status != quilt.Active {
		return finding{gone: true}
	}
	return finding{old: k.Old(now)}
}
