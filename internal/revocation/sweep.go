package revocation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// sweep is one sweep under way: its request, the state that it read, and the session in which it
// acts.
type sweep struct {
	*Sweeper
	Request
	Snapshot
	secret   vault.Secret
	policy   Policy
	result   *Result
	session  *quilt.Session // of the current key, or of the issuing credential if keys may not manage keys
	byIssuer bool           // it is a session of the issuing credential
}

// Sweep reads the state of both services, plans, and acts. A dry run does not act. Sweep does
// everything that can be done, and then returns an error that names the rest. If it fails, the
// result contains what was known or done before that. A dry run fails only if it cannot read; an
// error that follows from the plan is in [Result].WouldFail.
func (s *Sweeper) Sweep(ctx context.Context, req Request) (Result, error) {
	result, _, err := s.sweep(ctx, req)
	return result, err
}

// extras is what a sweep of a run needs for its [Answer] in addition to its [Result].
type extras struct {
	secret  vault.Secret
	need    *Need
	expires bool // see [sweep.need]
}

func (s *Sweeper) sweep(ctx context.Context, req Request) (result Result, extra extras, err error) {
	result = Result{Secret: req.SecretID, Outcome: Swept, Actions: []Taken{}}
	secret, err := s.Vault.Describe(ctx, req.SecretID)
	if err != nil {
		return result, extra, err
	}
	result.Secret, extra.secret = secret.ARN, secret
	if secret.Deleted {
		result.Outcome = Deleted
		return result, extra, nil
	}
	policy, err := s.Settings.ForSecret(secret.Tags)
	if err != nil {
		return result, extra, err
	}
	if err := fault.InPlace(secret, policy.Registry, s.Settings.RegistryURL); err != nil {
		return result, extra, err
	}
	if until := secret.PausedUntil(policy.PauseUntil).UTC(); secret.Now.Before(until) {
		result.PausedUntil, result.Outcome = &until, Paused
		result.PauseReason = secret.Tags[settings.TagPauseReason]
		if !req.DryRun { // a dry run shows what a paused sweep would do
			return result, extra, nil
		}
	}
	run := &sweep{Sweeper: s, Request: req, secret: secret, policy: policy, result: &result}
	err = run.run(ctx)
	if req.Run != "" {
		extra.need, extra.expires = run.need(ctx, err)
	}
	return result, extra, err
}

// endPauses removes the labels of pauses that are over. A crash before or after it does no harm,
// because such a label has no effect. It runs last, so that the gate compares labels that this
// sweep did not change. A pause that begins in the meantime has its own label, and the gate sees
// it.
func (s *sweep) endPauses(ctx context.Context) error {
	for id, version := range s.secret.Versions {
		for _, until := range version.Pauses { // all pauses are over; otherwise the sweep has stopped
			if err := s.Vault.Detach(ctx, s.secret.ARN, vault.PauseLabel(until), id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sweep) run(ctx context.Context) error {
	err := s.read(ctx)
	if err == nil {
		err = s.act(ctx, Plan(s.Snapshot, s.policy))
		s.result.Health = s.health()
		if s.DryRun {
			s.result.WouldFail, err = newFailure(err), nil
		} else if err == nil {
			err = s.endPauses(ctx)
		}
	}
	if s.DryRun {
		s.show(ctx)
	}
	if errors.Is(err, errNotBootstrapped) {
		if err = nil; s.result.Outcome == Swept { // not paused
			s.result.Outcome = NotBootstrapped
		}
	}
	return err
}

// act carries out the plan. If an action fails, the others are still carried out, and the error
// says what is left for the next sweep. In a dry run, act only reports the plan: everything that
// writes or revokes is in carryOut.
func (s *sweep) act(ctx context.Context, plan []Action) error {
	var failed []error
	for _, a := range plan {
		taken := s.newTaken(a)
		if !s.DryRun {
			reason, err := s.carryOut(ctx, a)
			if reason != "" {
				taken.Action, taken.Reason = Report, reason
			}
			if err = fault.Named(err); err != nil {
				taken.Error = err.Error()
				failed = append(failed, fmt.Errorf("%s of the key %s: %w", a.Kind, a.KeyID, err))
			}
			taken.Done = err == nil && reason == "" && a.Kind != Hold && a.Kind != Report
		}
		s.result.Actions = append(s.result.Actions, taken)
	}
	return s.incomplete(plan, failed)
}

// incomplete returns one error for everything that failed, and for what stops every sweep until
// somebody acts.
func (s *sweep) incomplete(plan []Action, failed []error) error {
	for _, a := range plan {
		switch a.Reason {
		case UnknownLabel:
			return fault.New[fault.UnknownLabel]("the version %s of %s has a label that this release does not know, "+
				"so nothing was changed; deploy the release that wrote it", a.Version, s.secret.ARN)
		case NoReference:
			failed = append(failed, fault.New[fault.BadValue]("the value of the version %s of %s holds no key that "+
				"can be read", a.Version, s.secret.ARN))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	if typed, ok := errors.AsType[*fault.StillLogsIn](failed[0]); ok && len(failed) == 1 {
		return typed
	}
	lines := strings.ReplaceAll(errors.Join(failed...).Error(), "\n", "; ")
	return fault.New[fault.SweepIncomplete]("the sweep of %s left %d of %d actions to the next one: %s", s.secret.ARN,
		len(failed), len(plan), lines)
}

func (s *sweep) newTaken(a Action) Taken {
	t := Taken{Action: a.Kind, Reason: a.Reason, Version: a.Version, KeyID: a.KeyID, Code: a.Code}
	if a.Key != nil {
		t.Fingerprint, t.Owner, t.LastUsedAt = a.Key.Fingerprint, a.Key.UserEmail, a.Key.LastUsedAt
	}
	if key := s.heldKey(a.Version); t.Fingerprint == "" && !key.IsZero() {
		t.Fingerprint = key.Fingerprint()
	}
	if !a.Until.IsZero() {
		until := a.Until.UTC().Truncate(time.Second)
		t.Until = &until
	}
	return t
}

// OverdueAfter is how long after its date a rotation counts as overdue. A rotation that starts late
// in its window is on time.
const OverdueAfter = time.Hour

func (s *sweep) health() *Health {
	rotation := s.secret.Rotation
	h := &Health{
		FreeLabels: vault.LabelQuota - s.secret.Labels(), RotationUnderWay: s.underWay(),
		RotationOff:     !rotation.Enabled,
		RotationOverdue: rotation.Enabled && !rotation.Next.IsZero() && s.Now.Sub(rotation.Next) > OverdueAfter,
	}
	if row, ok := s.currentKey(); ok {
		h.CurrentKeyID = row.ID
		h.CurrentKeyExpiresIn, h.CurrentKeyAge = &Span{row.ExpiresAt.Sub(s.RegistryNow)},
			&Span{s.RegistryNow.Sub(row.CreatedAt)}
	}
	for _, version := range s.Versions {
		ended := slices.ContainsFunc(s.result.Actions, func(t Taken) bool {
			return t.Version == version.ID && t.Done && (t.Action == Revoke || t.Action == Unlabel)
		})
		if len(version.Marks) == 0 || version.Has(vault.Current) || ended {
			continue
		}
		if age := s.Now.Sub(lastMark(version)); h.OldestSuperseded == nil || age > h.OldestSuperseded.Duration {
			h.OldestSuperseded = &Span{age}
		}
	}
	return h
}
