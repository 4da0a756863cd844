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

// Unstuck is what was found of a rotation that could not finish, and what became of it.
type Unstuck struct {
	Secret    string    `json:"secret"`
	ARN       string    `json:"arn"`
	VersionID string    `json:"versionId,omitempty"` // that had AWSPENDING; "": no rotation was stuck
	Since     time.Time `json:"since,omitzero"`      // when its rotation began
	LastSign  time.Time `json:"lastSign,omitzero"`   // of activity: its start, or the last step in the function's log
	Holds     Held      `json:"holds,omitempty"`
	KeyID     string    `json:"keyId,omitempty"`
	Key       KeyState  `json:"key,omitempty"`
	KeyOwner  string    `json:"keyOwner,omitempty"`
	Edited    bool      `json:"edited,omitempty"` // it differs from the current value in more than the key
	LastError *Step     `json:"lastError,omitempty"`
	Detached  bool      `json:"detached"` // AWSPENDING was removed
	Finished  bool      `json:"finished"` // the rotation ended by itself meanwhile
}

// Held is what the pending version holds.
type Held string

// What it may hold.
const (
	HoldsNothing  Held = "no-value"
	HoldsKey      Held = "key"
	HoldsSameKey  Held = "current-key"
	HoldsNoKey    Held = "no-key" // a value in which no key can be found
	HoldsUnknown  Held = "unreadable"
	stepMargin         = 30 * time.Second // for the service to start a step, and for the network
	longestLambda      = 15 * time.Minute // if the function's own time limit is not known
)

// UnstickOptions are how a rotation is ended.
type UnstickOptions struct {
	Registry *quilt.Client // to try the pending key; nil: it is not tried
	Now      bool          // do not wait for a step that may still run
}

// Unstick ends a rotation that cannot finish: it reports what it finds, and removes AWSPENDING. The
// key that the version may hold keeps its label, and a sweep revokes it. AWSPENDING on the current
// version is not touched: it blocks no rotation, and the service removes it.
//
// First it waits until no step can be running: such a step may still make the version current,
// which is the best outcome, or store a value under AWSPENDING again, and then the rotation is
// stuck as before. A crash at any point leaves AWSPENDING on or off, and the same command
// continues. If the answer is lost, it looks. Two at once: the label is removed from a version by
// its id, so neither can take it from another rotation.
func (d *Operator) Unstick(ctx context.Context, s *managed.Secret, o UnstickOptions) (Unstuck, error) {
	u := Unstuck{Secret: s.Name, ARN: s.ARN}
	pending, stuck := waiting(s)
	if !stuck {
		return u, nil
	}
	u.VersionID, u.KeyID = pending.ID, pending.Key()
	f, err := s.RotateFunction(ctx)
	if err != nil {
		d.Tell.Tell(terminal.Warned, "its rotation function cannot be looked at, so its longest run is assumed",
			awsclient.Explain(err).Error())
		f = awsclient.Function{Timeout: longestLambda}
	}
	d.Tell.Doing("examining the rotation")
	if err := d.examine(ctx, s, f, o.Registry, &u); err != nil {
		return u, left(err, "nothing was changed: the rotation is unchanged")
	}
	d.explain(s, u)
	if o.Now {
		what := fmt.Sprintf("a step of the rotation may still be running (for up to %s)",
			terminal.About(f.Timeout+stepMargin))
		if over := s.Now.Sub(u.LastSign) > f.Timeout+stepMargin; !over {
			if err := d.Confirm(ctx, what, s.Name); err != nil {
				return u, left(err, "nothing was changed: the rotation is unchanged")
			}
		}
	} else if ended, err := d.awaitSteps(ctx, s, u, f.Timeout+stepMargin); err != nil || ended {
		u.Finished = err == nil
		return u, left(err, "nothing was changed: the rotation is unchanged")
	}
	err = d.detachPending(ctx, s, pending.ID)
	if errors.Is(err, errFinished) {
		u.Finished = true
		return u, s.Look(ctx)
	}
	u.Detached = err == nil
	return u, left(err, "see whether AWSPENDING was removed: quilt-rotate status "+s.Name)
}

// waiting is the version that has AWSPENDING and is not current: a rotation is under way, or stuck.
func waiting(s *managed.Secret) (vault.Version, bool) {
	pending, ok := s.Holder(vault.Pending)
	return pending, ok && !pending.Has(vault.Current)
}

// examine finds out what it can. It fails only if something is missing that must be known to
// continue.
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

// lastSign finds out when the rotation began, and when it last showed activity.
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
		d.Tell.Tell(terminal.Warned, "the function's log cannot be read, so its last error is not known",
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
	case err != nil: // the caller may not use the KMS key: AWSPENDING can be removed all the same
		u.Holds = HoldsUnknown
		d.Tell.Tell(terminal.Warned, "its value cannot be read", awsclient.Explain(err).Error())
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
	d.Tell.Tell(terminal.Warned, "AWSPENDING is on the version "+u.VersionID,
		"for "+terminal.About(max(0, s.Now.Sub(u.Since))))
	holds := map[Held]string{
		HoldsNothing: "it has no value: createSecret never stored one",
		HoldsKey:     "it holds a key of its own",
		HoldsSameKey: "it holds the same key as the current version",
		HoldsNoKey:   "it has a value in which no key can be found",
		HoldsUnknown: "what it holds is not known",
	}[u.Holds]
	beside := ""
	if u.KeyID != "" {
		beside = "key " + u.KeyID
	}
	d.Tell.Tell(terminal.Noted, holds, beside)
	switch u.Key {
	case KeyLogsIn:
		d.Tell.Tell(terminal.Noted, "its key logs in", u.KeyOwner)
	case KeyRefused:
		d.Tell.Tell(terminal.Failed, "the registry refuses its key: it may have expired or been revoked", "")
	case KeyUnknown:
		d.Tell.Tell(terminal.Warned, "it is not known whether its key logs in", "the registry gave no answer")
	}
	if u.Edited {
		d.Tell.Tell(terminal.Failed, "it differs from the current value in more than the key",
			"somebody edited the secret meanwhile")
	}
	if u.LastError != nil {
		d.Tell.Tell(terminal.Failed, "last error, of "+u.LastError.Name, strings.TrimSpace(u.LastError.ErrorType+": "+
			u.LastError.Error))
	}
}

// awaitSteps waits until no step can be running, by Secrets Manager's clock. ended reports that the
// rotation ended meanwhile.
func (d *Operator) awaitSteps(ctx context.Context, s *managed.Secret, u Unstuck, longest time.Duration) (ended bool,
	err error) {
	for {
		remaining := longest - s.Now.Sub(u.LastSign)
		if remaining <= 0 {
			return false, nil
		}
		d.Tell.Doing(fmt.Sprintf("a step may still run: waiting until %s",
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

// errFinished says that the rotation ended by itself.
var errFinished = errors.New("the rotation has just finished: its version is current now")

// detachPending removes AWSPENDING from a version, unless it is removed already.
func (d *Operator) detachPending(ctx context.Context, s *managed.Secret, versionID string) error {
	return finish(ctx, func(ctx context.Context) error {
		now, err := d.Cloud.Vault.Describe(ctx, s.ARN)
		if err != nil {
			return err
		}
		version := now.Versions[versionID]
		if version.Has(vault.Current) {
			return terminal.WithHint(errFinished, "see: quilt-rotate status "+s.Name)
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
