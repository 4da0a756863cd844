package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Emergency is the result of [Operator.Emergency].
type Emergency struct {
	Secret        string    `json:"secret"`
	ARN           string    `json:"arn"`
	Leaked        LeakedKey `json:"leaked"`
	NewVersionID  string    `json:"newVersionId,omitempty"` // "": the leaked key was not current
	NewKeyID      string    `json:"newKeyId,omitempty"`
	LeakedRefused bool      `json:"leakedKeyRefused"` // it is verified that the key no longer works
	// keys of the same user that no managed secret holds, newest first
	Untracked      []UntrackedKey `json:"untrackedKeys"`
	UntrackedKnown bool           `json:"untrackedKnown"` // false: the keys could not be listed
	Timeline       []Moment       `json:"timeline"`
}

// LeakedKey is the key that leaked.
type LeakedKey struct {
	VersionID   string `json:"versionId"`
	KeyID       string `json:"keyId,omitempty"`
	Fingerprint string `json:"fingerprint"`
}

// EmergencyOptions are the options of [Operator.Emergency].
type EmergencyOptions struct {
	Registry    *quilt.Client
	Version     string     // version of the leaked key: its id, or the start of its id; "": the current version
	Leaked      apikey.Key // the leaked key; zero: the key of the version
	Patience    Patience
	Scanned     *managed.Holders // all managed secrets, if the caller has just read them
	Anyway      bool             // revoke the key even if another secret holds it, or if that is not known
	Unasked     bool             // there is nobody to ask which key leaked
	SkipRestart bool
	RestartTime time.Duration // how long to wait for services
	LogIn       Login         // login that creates the new key if no function can
	// LogIn is a login of an administrator, which shows whether the key exists if a refusal does
	// not
	Admin bool
}

// Emergency replaces a leaked key and then revokes it.
//
// Consumers get a new key before the leaked key is revoked, so that the emergency causes no outage.
// Services that read the key only at their start are restarted in between. If a restart fails, the
// key is revoked without delay, because the leak is worse than an outage.
//
// After a crash or Ctrl-C, the leaked key may still be valid. The same command with --version
// continues. It replaces the current key only if the current key is the leaked key. If another
// rotation is under way and active, Emergency follows it and does not end it, because that rotation
// also replaces the leaked key. Only one of two rotations moves AWSCURRENT.
func (d *Operator) Emergency(ctx context.Context, s *managed.Secret, o EmergencyOptions) (Emergency, error) {
	line := &timeline{Progress: d.Progress, began: time.Now()}
	operator := *d
	operator.Progress = line
	e := &emergency{Operator: &operator, secret: s, options: o, result: Emergency{Secret: s.Name, ARN: s.ARN,
		Untracked: []UntrackedKey{}}}
	err := e.run(ctx)
	e.result.Timeline = line.moments
	return e.result, err
}

type emergency struct {
	*Operator
	secret  *managed.Secret
	options EmergencyOptions
	result  Emergency
	scan    *scan // scan of all managed secrets

	leaked apikey.Key
	isOwn  bool   // it is the key of the version, and not a text in another part of the value
	owner  string // owner of the leaked key; "": not known
	state  KeyState
}

func (e *emergency) run(ctx context.Context) error {
	scanning, stop := context.WithCancel(ctx)
	defer stop()
	if e.scan = e.options.scanned(); e.scan == nil {
		e.scan = e.startScan(scanning) // in the background, because it takes a while if there are many secrets
	}
	if err := e.identify(ctx); err != nil {
		state := "THE LEAKED KEY IS STILL VALID, as far as this command knows"
		if e.state == KeyRefused {
			state = "the registry refuses the leaked key, which does not prove that it was revoked"
		}
		return stateOf(err, state, "")
	}
	again := fmt.Sprintf("to continue: quilt-rotate emergency %s --version %s", e.secret.Name,
		e.result.Leaked.VersionID)
	for _, stage := range []struct {
		do    func(context.Context) error
		state string
	}{
		{e.replace, "THE LEAKED KEY IS STILL VALID; if a rotation has started, it continues at AWS without this " +
			"command"},
		{e.restart, "THE LEAKED KEY IS STILL VALID; it is no longer current, and services may be restarting"},
		{e.revoke, "THE LEAKED KEY MAY STILL BE VALID; it is no longer current"},
		{e.listUntracked, "the registry refuses the leaked key; the other keys of its user were not listed"},
	} {
		if err := ctx.Err(); err != nil {
			return terminal.WithHint(err, stage.state+"\n"+again)
		}
		if err := stage.do(ctx); err != nil {
			return stateOf(err, stage.state, again)
		}
	}
	return nil
}

// stateOf adds the state of the leaked key and how to continue to the hint of an error.
func stateOf(err error, state, again string) error {
	err = awsclient.Explain(err)
	lines := slices.DeleteFunc([]string{state, terminal.Hint(err), again}, func(line string) bool { return line == "" })
	return terminal.WithHint(err, strings.Join(lines, "\n"))
}

// isProtected reports whether the value of AWSCURRENT or AWSPENDING contains the leaked key. Then
// the key must be replaced before it can be revoked.
func (e *emergency) isProtected(ctx context.Context) (bool, error) {
	for _, stage := range []string{vault.Current, vault.Pending} {
		if holder, ok := e.secret.Holder(stage); ok {
			if held, err := e.contains(ctx, holder.ID); held || err != nil {
				return held, err
			}
		}
	}
	return false, nil
}

// contains reports whether a version's value contains the leaked key. It returns true for a binary
// value.
func (e *emergency) contains(ctx context.Context, version string) (bool, error) {
	raw, err := e.Cloud.Vault.ReadIfAny(ctx, e.secret.ARN, version)
	switch {
	case errors.Is(err, vault.ErrNoValue):
		return false, nil
	case errors.Is(err, vault.ErrBinary):
		return true, nil
	}
	return err == nil && apikey.Contains(raw, e.leaked), err
}

// replace replaces the leaked key if the current or pending value of the secret contains it. It
// uses a rotation, or, if no function can rotate the secret, a key that the issuing credential or a
// person creates.
func (e *emergency) replace(ctx context.Context) error {
	for range 3 { // repeated if another command started a rotation first
		protected, err := e.isProtected(ctx)
		if err != nil {
			return err
		}
		if !protected {
			if e.result.NewVersionID == "" {
				e.Progress.Report(terminal.Noted,
					"the leaked key is no longer current, so it is not replaced again", "")
			}
			return nil
		}
		if again, err := e.awaitOther(ctx); err != nil {
			return err
		} else if again {
			continue
		}
		if !e.rotatable(ctx) {
			return e.recover(ctx)
		}
		rotated, err := e.rotate(ctx, e.secret, e.options.Patience)
		if errors.Is(err, awsclient.ErrRotationUnderWay) {
			if err := e.secret.Look(ctx); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			e.replaced(rotated)
			return e.secret.Look(ctx)
		}
		return e.notReplaced(err)
	}
	return e.notReplaced(underWayError(e.secret))
}

func (e *emergency) replaced(r Rotated) {
	e.result.NewVersionID, e.result.NewKeyID = r.VersionID, r.KeyID
	e.Progress.Report(terminal.Done, "replaced: AWSCURRENT is the new version "+r.VersionID, "key "+r.KeyID)
}

func (e *emergency) notReplaced(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	e.Progress.Report(terminal.Failed, "the leaked key was not replaced: IT IS STILL VALID", "")
	err = awsclient.Explain(err)
	next := fmt.Sprintf("to replace it without a rotation: quilt-rotate unstick %[1]s --now; then: quilt-rotate "+
		"recover %[1]s --replace", e.secret.Name)
	if first := terminal.Hint(err); first != "" {
		next = first + "\n" + next
	}
	return terminal.WithHint(err, next)
}

// rotatable reports whether Secrets Manager can rotate the secret now.
func (e *emergency) rotatable(ctx context.Context) bool {
	if !e.secret.Deployed() || !e.secret.Rotation.Enabled {
		return false
	}
	_, err := e.secret.RotateFunction(ctx)
	unseen, ok := errors.AsType[*managed.UnseenFunctionError](err)
	return !ok || !unseen.Deleted
}

// awaitOther waits for another rotation that is under way, because that rotation also replaces the
// leaked key. It ends the rotation if none of its steps can still be running, or at once if the
// pending value contains the leaked key. again is true if the secret has changed.
func (e *emergency) awaitOther(ctx context.Context) (again bool, err error) {
	pending, underWay := waiting(e.secret)
	if !underWay {
		return false, nil
	}
	leaked, err := e.contains(ctx, pending.ID)
	if err != nil {
		return false, err
	}
	if !leaked {
		e.Progress.Report(terminal.Noted,
			"another rotation is under way: following it, because it also replaces the leaked key",
			"version "+pending.ID)
	}
	operator := *e.Operator
	operator.Confirm = func(context.Context, string, string) error { return nil } // the emergency was confirmed
	unstuck, err := operator.Unstick(ctx, e.secret, UnstickOptions{Registry: e.options.Registry, Now: leaked})
	switch version := e.secret.Versions[pending.ID]; {
	case unstuck.Detached:
		e.Progress.Report(terminal.Done, "ended another rotation that was under way: AWSPENDING was removed", "")
	case unstuck.Finished && version.Has(vault.Current):
		e.replaced(Rotated{VersionID: pending.ID, KeyID: version.Key()})
	}
	return true, err
}

// recover replaces the leaked key if Secrets Manager cannot rotate the secret, as `quilt-rotate
// recover --replace` does.
func (e *emergency) recover(ctx context.Context) error {
	e.Progress.Report(terminal.Noted, "no function can rotate the secret, so this command creates the new key", "")
	done, err := e.Recover(ctx, Recovery{Secret: e.secret, Registry: e.options.Registry, Replace: true,
		LogIn: e.options.LogIn, confirmed: true, knownOwner: e.owner})
	if err != nil {
		e.Progress.Report(terminal.Failed, "the leaked key was not replaced: IT IS STILL VALID", "")
		return err
	}
	e.replaced(Rotated{VersionID: done.VersionID, KeyID: done.Key.KeyID})
	return nil
}
