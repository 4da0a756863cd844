package rotation

import (
	"cmp"
	"context"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/retry"
)

// defaultNewKeyWait is the time in which a registry must accept a new key. AWS's own templates also
// wait (aws-secrets-manager-rotation-lambdas, pull request 142).
const defaultNewKeyWait = 20 * time.Second

func (r *Rotator) waits() retry.Waits {
	return retry.Waits{First: 200 * time.Millisecond, Longest: 3 * time.Second,
		AtMost: cmp.Or(r.NewKeyWait, defaultNewKeyWait)}
}

// loginSoon logs in with a key. If the registry refuses it, it tries again for a while. If id is
// set, the same request asks for the key with that id. The result has no key if the registry does
// not let the key look itself up.
func (r *run) loginSoon(ctx context.Context, key apikey.Key, id string) (quilt.Login, error) {
	ctx, cancel := retry.WithShare(ctx, 0.9) // leaves time to report a failure
	defer cancel()
	session := r.Registry.WithKey(key)
	var refusal error
	l, err := retry.While(ctx, r.waits(), quilt.RefusesLogin, func() (quilt.Login, error) {
		l, err := r.logIn(ctx, session, id)
		if quilt.RefusesLogin(err) {
			refusal = err
		}
		return l, err
	})
	if err != nil && refusal != nil {
		return quilt.Login{}, fault.New[fault.PendingKeyRefused](
			"the key %s of the version %s of %s does not log in: %w", key, r.Token, r.secret.ARN, refusal)
	}
	return l, err
}

func (r *run) logIn(ctx context.Context, session *quilt.Session, id string) (quilt.Login, error) {
	if id != "" {
		l, err := session.Login(ctx, id)
		switch {
		case err == nil && l.Key == nil:
			return quilt.Login{}, fault.New[fault.PendingKeyRefused]("the pending key of %s logs in, "+
				"but its user has no key with the id in its label, %s; run: quilt-rotate unstick %s",
				r.secret.ARN, id, r.secret.Name)
		case err == nil || !quilt.Refused(err) || quilt.RefusesLogin(err):
			return l, err
		}
		// The registry may let this key log in but not read keys.
	}
	me, err := session.Me(ctx)
	return quilt.Login{Identity: me}, err
}

// proveKey logs in with the pending key. The key must belong to the current key's user and have at
// least half of its lifetime left.
func (r *run) proveKey(ctx context.Context, pending apikey.Key) error {
	proven, err := r.loginSoon(ctx, pending, r.secret.Versions[r.Token].Key())
	if err != nil {
		return err
	}
	if err := r.checkLife(proven); err != nil {
		return err
	}
	owner, err := r.ownerOfCurrent(ctx)
	if err != nil {
		return err
	}
	if owner != "" && !quilt.SameUser(owner, proven.Email) {
		return fault.New[fault.OwnerChanged]("the pending key of %s belongs to %s, the current one to %s; "+
			"run: quilt-rotate unstick %s", r.secret.ARN, proven.Email, owner, r.secret.Name)
	}
	r.report.Owner = proven.Email
	return nil
}

// ownerOfCurrent returns the user of the current key. If that key is refused, it returns the user
// that the tag names, or "" if there is no tag.
func (r *run) ownerOfCurrent(ctx context.Context) (string, error) {
	me, err := r.Registry.WithKey(r.value.Key()).Me(ctx)
	switch {
	case err == nil:
		return me.Email, nil
	case quilt.Refused(err):
		return r.settings.Owner, nil
	}
	return "", err
}

// checkLife fails if the key is not active or has less than half of its lifetime left. It passes a
// login without a record of the key.
func (r *run) checkLife(l quilt.Login) error {
	switch {
	case l.Key == nil:
	case l.Key.Status != quilt.Active:
		return fault.New[fault.PendingKeyRefused]("the pending key of %s has the status %s; "+
			"run: quilt-rotate unstick %s", r.secret.ARN, l.Key.Status, r.secret.Name)
	case l.Key.Old(l.RegistryTime):
		return fault.New[fault.PendingKeyOld]("the pending key of %s has less than half of its lifetime left "+
			"(until %s); run: quilt-rotate unstick %s",
			r.secret.ARN, l.Key.ExpiresAt.Format(time.RFC3339), r.secret.Name)
	}
	return nil
}
