package revocation

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/retry"
	"quilt-rotate/internal/vault"
)

// carryOut does one action. A reason instead of an error says that the action was not taken, and
// why.
//
// The order of writes: while a key can be used, its marks come off before its label. A crash in
// between leaves a key with its label, which the next sweep finds.
func (s *sweep) carryOut(ctx context.Context, a Action) (Reason, error) {
	switch a.Kind {
	case Mark:
		return s.mark(ctx, a)
	case Unmark:
		return "", s.removeMarks(ctx, a.Version)
	case Relabel:
		if err := s.removeMarks(ctx, a.From); err != nil {
			return "", err
		}
		return "", s.Vault.Move(ctx, s.secret.ARN, vault.KeyLabel(a.KeyID), a.Version, a.From)
	case Unlabel:
		return "", s.removeLabels(ctx, a)
	case Revoke, RevokeOrphan:
		return s.revoke(ctx, a)
	}
	return "", nil
}

// mark records when a version was found to be superseded. It describes the secret right before,
// because a sweep that stalled must not write a time at which the version may have been current. (A
// stall in the very last request still can, by Lambda's limit of fifteen minutes at most.) After a
// crash before it, the grace period starts later. If two sweeps do it at once, there are two marks,
// and the later one counts.
func (s *sweep) mark(ctx context.Context, a Action) (Reason, error) {
	now, reason, err := s.lookAgain(ctx, a)
	if reason != "" || err != nil {
		return reason, err
	}
	return "", s.Vault.Attach(ctx, s.secret.ARN, vault.NewMark(a.Version, now.Now).Promising(s.policy.Grace).Label(),
		a.Version)
}

// revoke revokes a superseded key by its own text, so that a label that a person moved cannot lead
// to another key. Its labels come off when the key is refused and the registry no longer knows the
// id in the label. The refusal is believed because our session still works after it. Nobody has the
// text of an orphan, so it is revoked by its id, and only that shows that it no longer exists.
//
// A crash before the revocation leaves everything as it was. A crash after it, or a lost answer,
// leaves a labelled version whose key no longer exists: the next sweep removes the labels.
func (s *sweep) revoke(ctx context.Context, a Action) (Reason, error) {
	if reason, err := s.revokeBehindGate(ctx, a); reason != "" || err != nil {
		return reason, err
	}
	orphan := a.Kind == RevokeOrphan
	if !orphan {
		if err := s.seeRefused(ctx, a); err != nil {
			return "", err
		}
	}
	l, err := s.session.Login(ctx, a.KeyID)
	switch {
	case err != nil, orphan && l.Key == nil:
		return "", err
	case orphan:
		return "", fault.New[fault.StillLogsIn]("the registry still knows the key %s after its revocation", a.KeyID)
	case l.Key == nil:
		return "", s.removeLabels(ctx, a)
	case a.Reason == Expired && l.Key.Status == quilt.Expired:
		return NotRevoked, s.removeLabels(ctx, a)
	}
	return Mislabelled, nil // the label named another key
}

// A revocation is tried again a few times, and each attempt is short: what the gate saw must still
// be true when the registry acts.
const (
	maxRevokeAttempts = 3
	maxRevokeTime     = 5 * time.Second
)

// revokeBehindGate passes the gate before every single attempt. A registry may ask for a longer
// wait than is left here: then the next sweep tries.
func (s *sweep) revokeBehindGate(ctx context.Context, a Action) (Reason, error) {
	again := func(err error) bool {
		down, busy := errors.AsType[*quilt.UnavailableError](err)
		return errors.Is(err, errAskIssuer) || busy && down.RetryAfter <= maxRevokeTime
	}
	waits := retry.Waits{
		First: cmp.Or(s.RetryInterval, 400*time.Millisecond), Longest: maxRevokeTime, AtMost: time.Minute,
		Attempts: maxRevokeAttempts}
	return retry.While(ctx, waits, again, func() (Reason, error) {
		reason, err := s.gate(ctx, a)
		if reason == "" && err == nil {
			err = s.revokeOnce(ctx, a)
		}
		return reason, err
	})
}

// errAskIssuer says that the issuing credential's session is open now, to pass the gate and revoke.
var errAskIssuer = errors.New("the current key may not revoke keys")

// revokeOnce sends one revocation. It counts as done if the key no longer exists: a twin was
// faster, or an answer was lost. A registry may let a key list keys and not revoke them: then the
// issuing credential tries next, if there is one.
func (s *sweep) revokeOnce(ctx context.Context, a Action) error {
	short, cancel := context.WithTimeout(ctx, maxRevokeTime)
	defer cancel()
	var err error
	if a.Kind == Revoke {
		err = s.session.RevokeKeyBySecret(short, s.holding(a.Version))
	} else {
		err = s.session.RevokeKey(short, a.KeyID)
	}
	if !quilt.Refused(err) {
		return err
	}
	exists, askErr := s.exists(ctx, a)
	switch {
	case askErr == nil && !exists:
		return nil
	case askErr != nil || s.byIssuer || s.policy.Issuer == "":
		return err
	}
	if err := s.continueAsIssuer(ctx, s.Owner, err, func(session *quilt.Session) (quilt.Identity,
		error) {
		return session.Me(ctx)
	}); err != nil {
		return err
	}
	return errAskIssuer
}

// exists reports whether a key whose revocation was refused can still be used. A login is a use,
// which would keep a superseded key from being revoked later: so the key itself is only asked if
// the id does not decide it.
func (s *sweep) exists(ctx context.Context, a Action) (bool, error) {
	l, err := s.session.Login(ctx, a.KeyID)
	if err != nil || a.Kind == RevokeOrphan || l.Key != nil && s.holding(a.Version).Fits(l.Key.Fingerprint) &&
		l.Key.Status != quilt.Expired {
		return l.Key != nil, err
	}
	return s.logsIn(ctx, s.holding(a.Version))
}

// gate is the second gate: labels and protected values are read again, right before each
// revocation. Values never change, so those of versions that were read are known; what may have
// changed is which versions are protected, and what a version without a value holds now.
func (s *sweep) gate(ctx context.Context, a Action) (Reason, error) {
	now, reason, err := s.lookAgain(ctx, a)
	if reason != "" || err != nil {
		return reason, err
	}
	policy, err := s.Settings.ForSecret(now.Tags)
	if err != nil {
		return "", err
	}
	_, labelled := now.Holder(vault.KeyLabel(a.KeyID))
	if now.Now.Before(now.PausedUntil(policy.PauseUntil)) || a.Kind == RevokeOrphan && labelled {
		return WorldChanged, nil
	}
	if pending, ok := s.find(vault.Pending); ok && pending.Holds.State == NoValue {
		if holding, err := s.readValue(ctx, pending.ID); err != nil || holding.State != NoValue {
			return WorldChanged, err
		}
	}
	return "", nil
}

// lookAgain describes the secret, and compares it with what the plan was made from.
func (s *sweep) lookAgain(ctx context.Context, a Action) (now vault.Secret, reason Reason, err error) {
	if now, err = s.Vault.Describe(ctx, s.secret.ARN); err != nil {
		return now, "", err
	}
	if now.Deleted || !slices.Equal(compared(s.secret, a.Version), compared(now, a.Version)) {
		reason = WorldChanged
	}
	return now, reason, nil
}

// compared is what must be as it was: the versions that have the service's own labels, and the
// labels of the action's version. A mark that was removed or added starts another grace period.
func compared(secret vault.Secret, versionID string) []string {
	facts := slices.Sorted(slices.Values(secret.Versions[versionID].Stages))
	for _, stage := range []string{vault.Current, vault.Pending, vault.Previous} {
		holder, _ := secret.Holder(stage)
		facts = append(facts, holder.ID)
	}
	return facts
}

// holding is the key that a version holds.
func (s *sweep) holding(versionID string) apikey.Key {
	if i := slices.IndexFunc(s.Versions, func(x Version) bool { return x.ID == versionID }); i >= 0 {
		return s.Versions[i].Holds.Key
	}
	return apikey.Key{}
}

// seeRefused logs in with the revoked key until it is refused.
func (s *sweep) seeRefused(ctx context.Context, a Action) error {
	stillLogsIn := fault.New[fault.StillLogsIn]("the key %s of the version %s of %s still logs in after its revocation",
		a.KeyID, a.Version, s.secret.ARN)
	waits := retry.Waits{First: 100 * time.Millisecond, Longest: 2 * time.Second,
		AtMost: cmp.Or(s.RefusalWait, 10*time.Second)}
	_, err := retry.While(ctx, waits, func(err error) bool { return errors.Is(err, stillLogsIn) },
		func() (bool, error) {
			logsIn, err := s.logsIn(ctx, s.holding(a.Version))
			if logsIn {
				err = stillLogsIn
			}
			return logsIn, err
		})
	return err
}

// removeLabels removes the labels of a key that nobody can use. The key label comes off first: a
// mark without it means nothing, and the next sweep removes it. The other order could leave a key
// label without a mark, and so without the evidence whose key that was.
func (s *sweep) removeLabels(ctx context.Context, a Action) error {
	if err := s.Vault.Detach(ctx, s.secret.ARN, vault.KeyLabel(a.KeyID), a.Version); err != nil ||
		len(s.secret.Versions[a.Version].Keys) > 1 {
		return err
	}
	return s.removeMarks(ctx, a.Version)
}

func (s *sweep) removeMarks(ctx context.Context, versionID string) error {
	for _, mark := range s.secret.Versions[versionID].Marks {
		if err := s.Vault.Detach(ctx, s.secret.ARN, mark.Label(), versionID); err != nil {
			return err
		}
	}
	return nil
}
