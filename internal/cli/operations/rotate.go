package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Step is one finished step of a rotation.
type Step struct {
	Name       string `json:"step"`
	DurationMs int64  `json:"durationMs"`
	ErrorType  string `json:"errorType,omitempty"`
	Error      string `json:"error,omitempty"`
}

// Rotated is the result of [Operator.Rotate].
type Rotated struct {
	Secret    string `json:"secret"`
	ARN       string `json:"arn"`
	VersionID string `json:"versionId"`
	KeyID     string `json:"keyId,omitempty"`    // id of the new key
	Complete  bool   `json:"complete"`           // AWSCURRENT moved to the new version
	Replaced  bool   `json:"replaced,omitempty"` // another rotation has moved AWSCURRENT again
	Steps     []Step `json:"steps"`
}

// Patience is how long to wait for a rotation.
type Patience struct {
	Whole time.Duration // for the whole rotation
	Retry time.Duration // for a retry by the service after a step failed
}

// Rotate starts a rotation and follows it to its end. If another rotation is under way and active,
// it follows that rotation.
//
// After a crash or Ctrl-C, Secrets Manager completes the rotation, and the error says so. If the
// answer of RotateSecret is lost, the SDK sends the request again with the same token, which starts
// no second rotation.
func (d *Operator) Rotate(ctx context.Context, s *managed.Secret, patience Patience) (Rotated, error) {
	r, err := d.rotate(ctx, s, patience)
	if !errors.Is(err, awsclient.ErrRotationUnderWay) {
		return r, err
	}
	return d.followOther(ctx, s, patience, err)
}

// followOther follows a rotation that somebody else started. It returns refused if no step of that
// rotation can be running.
func (d *Operator) followOther(ctx context.Context, s *managed.Secret, patience Patience, refused error) (Rotated,
	error) {
	if err := s.Look(ctx); err != nil {
		return Rotated{}, left(err, "nothing was changed")
	}
	pending, underWay := waiting(s)
	if !underWay {
		return Rotated{}, refused
	}
	f, err := s.RotateFunction(ctx)
	if err != nil {
		f = awsclient.Function{Timeout: longestLambda}
	}
	u := Unstuck{VersionID: pending.ID}
	if err := d.lastSign(ctx, s, f, &u); err != nil {
		return Rotated{}, left(err, "nothing was changed")
	}
	if s.Now.Sub(u.LastSign) > f.Timeout+stepMargin {
		return Rotated{}, refused
	}
	d.Progress.Report(terminal.Noted, "another rotation is under way: following it; no second rotation was started",
		"version "+pending.ID)
	other := &follower{since: u.Since, lastSign: u.LastSign, longest: f.Timeout + stepMargin}
	return d.follow(ctx, s, f, patience, other, Rotated{Secret: s.Name, ARN: s.ARN, VersionID: pending.ID,
		Steps: []Step{}})
}

// rotate starts a rotation and follows it. It fails with [awsclient.ErrRotationUnderWay] if another
// rotation is under way or stuck.
func (d *Operator) rotate(ctx context.Context, s *managed.Secret, patience Patience) (Rotated, error) {
	f, err := s.RotateFunction(ctx)
	if unseen, ok := errors.AsType[*managed.UnseenFunctionError](err); ok && !unseen.Deleted {
		err = nil // the rotation works without this; only the log is not read
	}
	if err != nil {
		return Rotated{}, left(err, "nothing was changed")
	}
	if !s.Rotation.Enabled {
		return Rotated{}, terminal.WithHint(fmt.Errorf("rotation of %s is off", s.Name), managed.NotRotated(s.Name))
	}
	if _, underWay := waiting(s); underWay {
		return Rotated{}, underWayError(s)
	}
	if s.Labels() >= vault.LabelQuota { // Secrets Manager could not attach AWSPENDING
		return Rotated{},
			terminal.WithHint(fmt.Errorf("all %d staging labels of %s are in use, so no rotation can start",
				vault.LabelQuota, s.Name),
				status.FreeLabels(s.Name, status.FromLabels(s.Secret), false))
	}
	r := Rotated{Secret: s.Name, ARN: s.ARN, VersionID: uuid.NewString(), Steps: []Step{}}
	d.Progress.Doing("starting a rotation")
	began := time.Now()
	if _, err := d.Cloud.Rotate(ctx, s.ARN, r.VersionID); err != nil {
		if errors.Is(err, awsclient.ErrRotationUnderWay) {
			err = underWayError(s)
		}
		return r, left(err, "see whether the rotation started: quilt-rotate status "+s.Name)
	}
	return d.follow(ctx, s, f, patience, &follower{since: began}, r)
}

func (d *Operator) follow(ctx context.Context, s *managed.Secret, f awsclient.Function, patience Patience, w *follower,
	r Rotated) (Rotated, error) {
	w.Operator, w.secret, w.function, w.began, w.patience, w.result = d, s, f, time.Now(), patience, &r
	err := w.follow(ctx)
	return r, left(err, fmt.Sprintf("the rotation continues at AWS without this command; see how it ends: "+
		"quilt-rotate status %s", s.Name))
}

// otherRotationError is [awsclient.ErrRotationUnderWay] with the name of the secret.
type otherRotationError string

func (e otherRotationError) Error() string {
	return "another rotation of " + string(e) + " is under way or stuck"
}

func (e otherRotationError) Unwrap() error { return awsclient.ErrRotationUnderWay }

func underWayError(s *managed.Secret) error {
	return terminal.WithHint(otherRotationError(s.Name),
		fmt.Sprintf(
			"to see its progress: quilt-rotate status %[1]s; if it is stuck, end it: quilt-rotate unstick %[1]s",
			s.Name))
}

// follower follows a rotation to its end. The labels show whether it has ended. The function's log
// shows the steps, some seconds late.
type follower struct {
	*Operator
	secret   *managed.Secret
	function awsclient.Function
	since    time.Time     // start of the rotation
	lastSign time.Time     // last activity of a rotation that somebody else started, by the service's clock
	longest  time.Duration // how long such a rotation may show no activity; 0: this command started it
	began    time.Time     // when this command began to follow
	patience Patience
	result   *Rotated

	failed  time.Time // when the failure of a step was seen; zero: no failure, or a later step succeeded
	moved   time.Time // when AWSCURRENT was first seen on the new version; zero: not yet
	noLog   bool      // the log cannot be read
	shown   int       // number of log records that were shown
	stepped []string  // names of the steps that succeeded
}

// logLag is how long to wait for the last lines of the log after the rotation is complete.
// CloudWatch returns them some seconds late, and they are only shown.
const logLag = 5 * time.Second

var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

func (f *follower) follow(ctx context.Context) error {
	for {
		f.Progress.Doing(f.next())
		f.readLog(ctx) // first, so that the labels are at least as new as the log
		if err := f.secret.Look(ctx); err != nil {
			return err
		}
		ended, err := f.ended()
		if ended || err != nil {
			return err
		}
		if err := f.sleep(ctx); err != nil {
			return err
		}
	}
}

// next returns the text for what the rotation is doing at the moment.
func (f *follower) next() string {
	if !f.moved.IsZero() {
		return "waiting for the function's log"
	}
	if !f.failed.IsZero() {
		return "waiting to see whether Secrets Manager tries again"
	}
	for _, step := range steps {
		if !slices.Contains(f.stepped, step) {
			return step
		}
	}
	return "waiting until the rotation ends"
}

// readLog shows new records of the function's log.
func (f *follower) readLog(ctx context.Context) {
	if f.function.LogGroup == "" {
		f.noLog = true
	}
	if f.noLog {
		return
	}
	records, err := f.Cloud.RotationLog(ctx, f.function, f.result.VersionID, f.since.Add(-time.Minute))
	if err != nil {
		if ctx.Err() == nil {
			f.noLog = true
			f.Progress.Report(terminal.Warned, "the function's log cannot be read, so its steps are not shown",
				awsclient.Explain(err).Error())
		}
		return
	}
	for _, r := range records[min(f.shown, len(records)):] {
		f.show(r)
	}
	f.shown = max(f.shown, len(records))
}

func (f *follower) show(r awsclient.LogRecord) {
	step := Step{Name: r.Step, DurationMs: r.Took.Milliseconds(), ErrorType: r.ErrorType, Error: r.Error}
	f.result.Steps = append(f.result.Steps, step)
	f.lastSign = r.Time
	name, took := fmt.Sprintf("%-12s", r.Step), fmt.Sprintf("%4d ms", step.DurationMs)
	if r.ErrorType != "" {
		f.failed = time.Now()
		f.Progress.Report(terminal.Failed, name, fmt.Sprintf("%s: %s", r.ErrorType, r.Error))
		return
	}
	f.failed = time.Time{}
	f.stepped = append(f.stepped, r.Step)
	f.Progress.Report(terminal.Done, name, took)
}

// errNotEnded reports that the time to wait for a rotation is over.
var errNotEnded = errors.New("has not ended")

// ended reports whether the rotation has ended, and returns an error if it failed. If the version
// was current and now has neither AWSCURRENT nor AWSPENDING, another rotation replaced it. Labels
// with AWSPENDING may be older than the record of finishSecret in the log.
func (f *follower) ended() (bool, error) {
	version := f.secret.Versions[f.result.VersionID]
	f.result.KeyID = version.Key()
	f.result.Replaced = !version.Has(vault.Current) && !version.Has(vault.Pending) &&
		(version.Has(vault.Previous) || !f.moved.IsZero() || slices.Contains(f.stepped, "finishSecret"))
	switch name := f.secret.Name; {
	case version.Has(vault.Current), f.result.Replaced:
		f.result.Complete = true
		if f.moved.IsZero() {
			f.moved = time.Now()
		}
		return f.noLog || len(f.stepped) >= len(steps) || time.Since(f.moved) > logLag, nil
	case time.Since(f.began) > f.patience.Whole:
		return true, terminal.WithHint(fmt.Errorf("the rotation of %s %w after %s", name, errNotEnded,
			terminal.About(f.patience.Whole)), "it may still end; to see the result: quilt-rotate status "+name)
	case f.longest > 0 && f.secret.Now.Sub(f.lastSign) > f.longest:
		return true, underWayError(f.secret)
	// the function abandoned the rotation, or somebody edited the secret
	case !version.Has(vault.Pending) && time.Since(f.began) > vault.DefaultMaxLag:
		return true, terminal.WithHint(fmt.Errorf("the rotation of %s was abandoned; the current key is unchanged",
			name), "fix the error of the step, then run: quilt-rotate rotate "+name)
	case !f.failed.IsZero() && time.Since(f.failed) > f.patience.Retry:
		return true, terminal.WithHint(fmt.Errorf("the rotation of %s failed; the current key is unchanged", name),
			fmt.Sprintf("Secrets Manager may try again within its rotation window; to end it now: quilt-rotate "+
				"unstick %s", name))
	}
	return false, nil
}
