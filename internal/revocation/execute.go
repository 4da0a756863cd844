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

// carryOut carries out one action. If the action was not taken, it returns the reason.
//
// The order of writes: while a key can be used, its marks are removed before its label. A crash in
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

// mark records when a version was found to be superseded. It describes the secret again immediately
// before it writes the mark. Otherwise a sweep that stalled could record a time at which the
// version was still current. If the write itself stalls, the recorded time can be wrong by at most
// 15 minutes, Lambda's limit. After a crash before the mark, the grace period starts later. If two
// sweeps mark a version at the same time, there are two marks, and the later one counts.
func (s *sweep) mark(ctx context.Context, a Action) (Reason, error) {
	now, reason, err := s.describeAgain(ctx, a)
	if reason != "" || err != nil {
		return reason, err
	}
	return "", s.Vault.Attach(ctx, s.secret.ARN, vault.NewMark(a.Version, now.Now).Promising(s.policy.Grace).Label(),
		a.Version)
}

// revoke revokes a superseded key by its text, because a person may have moved the label of another
// key to this version. The labels are removed when the registry refuses the key and no longer knows
// the id in the label. The refusal counts as proof because the sweep's own session still works
// after it, so the registry does not refuse every key. No version holds the text of an orphan, so
// it is revoked by its id, and only the id shows that it no longer exists.
//
// A crash before the revocation changes nothing. A crash after it, or a lost answer, leaves a
// labelled version whose key no longer exists. The next sweep removes the labels.
func (s *sweep) revoke(ctx context.Context, a Action) (Reason, error) {
	if reason, err := s.revokeBehindGate(ctx, a); reason != "" || err != nil {
		return reason, err
	}
	orphan := a.Kind == RevokeOrphan
	if !orphan {
		if err := s.awaitRefusal(ctx, a); err != nil {
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

// A revocation is tried a few times. Each attempt is short, because what the gate saw must still be
// true when the registry revokes the key.
const (
	maxRevokeAttempts = 3
	maxRevokeTime     = 5 * time.Second
)

// revokeBehindGate checks the gate before each attempt. If the registry asks for a longer wait than
// maxRevokeTime, the next sweep tries again.
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

// errAskIssuer says that the sweep now has a session of the issuing credential, with which it must
// pass the gate and revoke again.
var errAskIssuer = errors.New("the current key may not revoke keys")

// revokeOnce sends one revocation. If it is refused but the key no longer exists, it counts as
// done: another sweep was faster, or an answer was lost. If the registry lets keys list keys but
// not revoke them, the issuing credential tries next, if there is one.
func (s *sweep) revokeOnce(ctx context.Context, a Action) error {
	short, cancel := context.WithTimeout(ctx, maxRevokeTime)
	defer cancel()
	var err error
	if a.Kind == Revoke {
		err = s.session.RevokeKeyBySecret(short, s.heldKey(a.Version))
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
	me := func(session *quilt.Session) (quilt.Identity, error) { return session.Me(ctx) }
	if err := s.continueAsIssuer(ctx, s.Owner, err, me); err != nil {
		return err
	}
	return errAskIssuer
}

// exists reports whether a key whose revocation was refused can still be used. A login counts as a
// use, which would delay the revocation of a superseded key. Therefore it logs in with the key only
// if the answer about the id is not enough.
func (s *sweep) exists(ctx context.Context, a Action) (bool, error) {
	l, err := s.session.Login(ctx, a.KeyID)
	if err != nil || a.Kind == RevokeOrphan || l.Key != nil && s.heldKey(a.Version).Fits(l.Key.Fingerprint) &&
		l.Key.Status != quilt.Expired {
		return l.Key != nil, err
	}
	return s.logsIn(ctx, s.heldKey(a.Version))
}

// gate reads labels and protected values again, immediately before each revocation. (The first gate
// is the login with the current key.) The value of a version never changes, so the values that were
// read are still known. Only two things may have changed: which versions are protected, and whether
// a version that had no value has one now.
func (s *sweep) gate(ctx context.Context, a Action) (Reason, error) {
	now, reason, err := s.describeAgain(ctx, a)
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

// describeAgain describes the secret again and compares it with the one that the plan is based on.
func (s *sweep) describeAgain(ctx context.Context, a Action) (now vault.Secret, reason Reason, err error) {
	if now, err = s.Vault.Describe(ctx, s.secret.ARN); err != nil {
		return now, "", err
	}
	if now.Deleted || !slices.Equal(compared(s.secret, a.Version), compared(now, a.Version)) {
		reason = WorldChanged
	}
	return now, reason, nil
}

// compared returns what must not have changed since the plan was made: the versions that have
// AWSCURRENT, AWSPENDING and AWSPREVIOUS, and all labels of the action's version. These include its
// marks, because a removed or added mark starts another grace period.
func compared(secret vault.Secret, versionID string) []string {
	facts := slices.Sorted(slices.Values(secret.Versions[versionID].Stages))
	for _, stage := range []string{vault.Current, vault.Pending, vault.Previous} {
		holder, _ := secret.Holder(stage)
		facts = append(facts, holder.ID)
	}
	return facts
}

// heldKey returns the key that a version holds.
func (s *sweep) heldKey(versionID string) apikey.Key {
	if i := slices.IndexFunc(s.Versions, func(x Version) bool { return x.ID == versionID }); i >= 0 {
		return s.Versions[i].Holds.Key
	}
	return apikey.Key{}
}

// awaitRefusal logs in with the revoked key until it is refused.
func (s *sweep) awaitRefusal(ctx context.Context, a Action) error {
	stillLogsIn := fault.New[fault.StillLogsIn]("the key %s of the version %s of %s still logs in after its revocation",
		a.KeyID, a.Version, s.secret.ARN)
	waits := retry.Waits{First: 100 * time.Millisecond, Longest: 2 * time.Second,
		AtMost: cmp.Or(s.RefusalWait, 10*time.Second)}
	_, err := retry.While(ctx, waits, func(err error) bool { return errors.Is(err, stillLogsIn) },
		func() (bool, error) {
			logsIn, err := s.logsIn(ctx, s.heldKey(a.Version))
			if logsIn {
				err = stillLogsIn
			}
			return logsIn, err
		})
	return err
}

// removeLabels removes the labels of a key that nobody can use. It removes the key label first: a
// mark without a key label means nothing, and the next sweep removes it. In the other order, a
// crash could leave a key label without a mark. The mark shows whose key it was.
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
