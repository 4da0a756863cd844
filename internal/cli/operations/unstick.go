package operations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Unstuck is the result of [Operator.Unstick].
type Unstuck struct {
	Secret    string    `json:"secret"`
	ARN       string    `json:"arn"`
	VersionID string    `json:"versionId,omitempty"` // version that had AWSPENDING; "": no rotation was stuck
	Since     time.Time `json:"since,omitzero"`      // start of the rotation
	LastSign  time.Time `json:"lastSign,omitzero"`   // last activity: the start, or the last step in the log
	Holds     Held      `json:"holds,omitempty"`
	KeyID     string    `json:"keyId,omitempty"`
	Key       KeyState  `json:"key,omitempty"`
	KeyOwner  string    `json:"keyOwner,omitempty"`
	Edited    bool      `json:"edited,omitempty"` // the value differs from the current value in more than the key
	LastError *Step     `json:"lastError,omitempty"`
	Detached  bool      `json:"detached"` // AWSPENDING was removed
	Finished  bool      `json:"finished"` // the rotation ended by itself
}

// Held is what the pending version holds.
type Held string

// The values of Held, and limits of a step.
const (
	HoldsNothing  Held = "no-value"
	HoldsKey      Held = "key"
	HoldsSameKey  Held = "current-key"
	HoldsNoKey    Held = "no-key" // a value without a key
	HoldsUnknown  Held = "unreadable"
	stepMargin         = 30 * time.Second // for the service to start a step, and for the network
	longestLambda      = 15 * time.Minute // assumed if the time limit of the function is not known
)

// UnstickOptions are the options of [Operator.Unstick].
type UnstickOptions struct {
	Registry *quilt.Client // registry for a login with the pending key; nil: no login
	Now      bool          // do not wait for a step that may still be running
}

// Unstick ends a rotation that cannot finish: it reports what it finds and removes AWSPENDING. If
// the version holds a key, the key keeps its label, and a sweep revokes it. AWSPENDING on the
// current version stays: it blocks no rotation, and the service removes it.
//
// First, Unstick waits until no step of the rotation can be running. A running step may still make
// the version current, which is the best result. Or it may store a value with AWSPENDING again, so
// that the rotation is stuck as before.
//
// After a crash, AWSPENDING is there or not, and the same command continues. If an answer is lost,
// Unstick reads the labels. If two commands run at the same time, neither can end another rotation,
// because the label is removed from a version by its id.
func (d *Operator) Unstick(ctx context.Context, s *managed.Secret, o UnstickOptions) (Unstuck, error) {
	u := Unstuck{Secret: s.Name, ARN: s.ARN}
	pending, stuck := waiting(s)
	if !stuck {
		return u, nil
	}
	u.VersionID, u.KeyID = pending.ID, pending.Key()
	f, err := s.RotateFunction(ctx)
	if err != nil {
		d.Progress.Report(terminal.Warned, "the rotation function cannot be read, so its time limit is assumed to be "+
			terminal.About(longestLambda), awsclient.Explain(err).Error())
		f = awsclient.Function{Timeout: longestLambda}
	}
	d.Progress.Doing("examining the rotation")
	if err := d.examine(ctx, s, f, o.Registry, &u); err != nil {
		return u, left(err, "nothing was changed")
	}
	d.explain(s, u)
	if o.Now {
		what := fmt.Sprintf("a step of the rotation may still be running (for up to %s)",
			terminal.About(f.Timeout+stepMargin))
		if over := s.Now.Sub(u.LastSign) > f.Timeout+stepMargin; !over {
			if err := d.Confirm(ctx, what, s.Name); err != nil {
				return u, left(err, "nothing was changed")
			}
		}
	} else if ended, err := d.awaitSteps(ctx, s, u, f.Timeout+stepMargin); err != nil || ended {
		u.Finished = err == nil
		return u, left(err, "nothing was changed")
	}
	err = d.detachPending(ctx, s, pending.ID)
	if errors.Is(err, errFinished) {
		u.Finished = true
		return u, s.Look(ctx)
	}
	u.Detached = err == nil
	return u, left(err, "to see whether AWSPENDING was removed: quilt-rotate status "+s.Name)
}

// waiting returns the version that has AWSPENDING and is not current. If there is one, a rotation
// is under way or stuck.
func waiting(s *managed.Secret) (vault.Version, bool) {
	pending, ok := s.Holder(vault.Pending)
	return pending, ok && !pending.Has(vault.Current)
}

// examine collects what is known about the rotation. It fails only if it cannot find out something
// that is needed to continue.
func (d *Operator) examine(ctx context.Context, s *managed.Secret, f awsclient.Function, registry *quilt.Client,
	u *Unstuck) error {
	if err := d.lastSign(ctx, s, f, u); err != nil {
		return err
	}
	key, err := d.comparePending(ctx, s, u)
	if err != nil {
		return err
	}
	if registry != nil && !key.IsZero() {
		u.Key, u.KeyOwner, err = tryKey(ctx, registry, key)
	}
	return err
}

// lastSign finds the start of the rotation and its last activity.
func (d *Operator) lastSign(ctx context.Context, s *managed.Secret, f awsclient.Function, u *Unstuck) error {
	created, err := d.Cloud.Vault.VersionCreated(ctx, s.ARN, u.VersionID)
	if err != nil {
		return err
	}
	if created.IsZero() { // its label was removed a moment ago
		created = s.Now
	}
	u.Since, u.LastSign = created, created
	if f.LogGroup != "" {
		d.readLog(ctx, f, u)
	}
	return nil
}

func (d *Operator) readLog(ctx context.Context, f awsclient.Function, u *Unstuck) {
	records, err := d.Cloud.RotationLog(ctx, f, u.VersionID, u.Since.Add(-time.Minute))
	if err != nil {
		d.Progress.Report(terminal.Warned, "the function's log cannot be read, so its last error is not known",
			awsclient.Explain(err).Error())
		return
	}
	for _, r := range records {
		if r.Time.After(u.LastSign) {
			u.LastSign = r.Time
		}
		if r.ErrorType != "" {
			u.LastError = &Step{Name: r.Step, DurationMs: r.Took.Milliseconds(), ErrorType: r.ErrorType, Error: r.Error}
		}
	}
}

// comparePending compares the pending value with the current one.
func (d *Operator) comparePending(ctx context.Context, s *managed.Secret, u *Unstuck) (apikey.Key, error) {
	raw, err := d.Cloud.Vault.ReadIfAny(ctx, s.ARN, u.VersionID)
	switch {
	case errors.Is(err, vault.ErrNoValue):
		u.Holds = HoldsNothing
		return apikey.Key{}, nil
	case errors.Is(err, vault.ErrBinary):
		u.Holds = HoldsNoKey
		return apikey.Key{}, nil
	case err != nil && ctx.Err() != nil:
		return apikey.Key{}, err
	case err != nil: // the caller may not use the KMS key; AWSPENDING can still be removed
		u.Holds = HoldsUnknown
		d.Progress.Report(terminal.Warned, "the pending value cannot be read", awsclient.Explain(err).Error())
		return apikey.Key{}, nil
	}
	pending, err := apikey.ParseValue(raw, s.Tags[apikey.FieldTag])
	if err != nil {
		u.Holds = HoldsNoKey
		return apikey.Key{}, nil
	}
	u.Holds = HoldsKey
	if holder, ok := s.Holder(vault.Current); ok {
		if current, err := s.Value(ctx, holder.ID); err == nil {
			u.Edited = !current.SameButKey(pending)
			if current.Key().Equal(pending.Key()) {
				u.Holds = HoldsSameKey
			}
		}
	}
	return pending.Key(), ctx.Err()
}

// explain reports what was found.
func (d *Operator) explain(s *managed.Secret, u Unstuck) {
	d.Progress.Report(terminal.Warned, "AWSPENDING is on the version "+u.VersionID,
		"for "+terminal.About(max(0, s.Now.Sub(u.Since))))
	holds := map[Held]string{
		HoldsNothing: "the version has no value: createSecret stored none",
		HoldsKey:     "the version holds a new key",
		HoldsSameKey: "the version holds the same key as the current version",
		HoldsNoKey:   "the value of the version holds no key",
		HoldsUnknown: "it is not known what the version holds",
	}[u.Holds]
	detail := ""
	if u.KeyID != "" {
		detail = "key " + u.KeyID
	}
	d.Progress.Report(terminal.Noted, holds, detail)
	switch u.Key {
	case KeyLogsIn:
		d.Progress.Report(terminal.Noted, "its key logs in", u.KeyOwner)
	case KeyRefused:
		d.Progress.Report(terminal.Failed, "the registry refuses its key: it may have expired or been revoked", "")
	case KeyUnknown:
		d.Progress.Report(terminal.Warned, "it is not known whether its key logs in", "the registry gave no answer")
	}
	if u.Edited {
		d.Progress.Report(terminal.Failed, "the pending value differs from the current value in more than the key",
			"somebody edited the secret during the rotation")
	}
	if u.LastError != nil {
		d.Progress.Report(terminal.Failed,
			"last error, in "+u.LastError.Name, strings.TrimSpace(u.LastError.ErrorType+": "+u.LastError.Error))
	}
}

// awaitSteps waits until no step can be running, by Secrets Manager's clock. ended is true if the
// rotation ended in that time.
func (d *Operator) awaitSteps(ctx context.Context, s *managed.Secret, u Unstuck, longest time.Duration) (ended bool,
	err error) {
	for {
		remaining := longest - s.Now.Sub(u.LastSign)
		if remaining <= 0 {
			return false, nil
		}
		d.Progress.Doing(fmt.Sprintf("a step may still run: waiting until %s",
			s.Now.Add(remaining).UTC().Format("15:04:05 UTC")))
		if err := d.sleep(ctx); err != nil {
			return false, err
		}
		if err := s.Look(ctx); err != nil {
			return false, err
		}
		if now, stuck := waiting(s); !stuck || now.ID != u.VersionID {
			return true, nil
		}
	}
}

// errFinished reports that the rotation ended by itself.
var errFinished = errors.New("the rotation has just finished: its version is now current")

// detachPending removes AWSPENDING from a version, unless it was already removed.
func (d *Operator) detachPending(ctx context.Context, s *managed.Secret, versionID string) error {
	return finish(ctx, func(ctx context.Context) error {
		now, err := d.Cloud.Vault.Describe(ctx, s.ARN)
		if err != nil {
			return err
		}
		version := now.Versions[versionID]
		if version.Has(vault.Current) {
			return terminal.WithHint(errFinished, "to see the result: quilt-rotate status "+s.Name)
		}
		if !version.Has(vault.Pending) {
			return s.Look(ctx)
		}
		failed := d.Cloud.Vault.Detach(ctx, s.ARN, vault.Pending, versionID)
		if err := s.Look(ctx); err != nil {
			return errors.Join(failed, err)
		}
		if s.Versions[versionID].Has(vault.Pending) {
			return failed
		}
		return nil
	})
}
