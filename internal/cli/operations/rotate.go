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
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Step is one step of a rotation that ended.
type Step struct {
	Name       string `json:"step"`
	DurationMs int64  `json:"durationMs"`
	ErrorType  string `json:"errorType,omitempty"`
	Error      string `json:"error,omitempty"`
}

// Rotated tells how a rotation went.
type Rotated struct {
	Secret    string `json:"secret"`
	ARN       string `json:"arn"`
	VersionID string `json:"versionId"`
	KeyID     string `json:"keyId,omitempty"` // of the new key
	Complete  bool   `json:"complete"`        // AWSCURRENT is on the new version
	Steps     []Step `json:"steps"`
}

// Patience is how long a rotation is waited for.
type Patience struct {
	Whole time.Duration // from its start
	Retry time.Duration // for the service to try again, after a step failed
}

// Rotate starts a rotation and follows it to its end.
//
// A crash or a Ctrl-C at any point leaves the rotation to Secrets Manager, which goes on alone: that is what it says then. A lost answer of RotateSecret is
// sent again by the SDK with the same token, which makes no second rotation.
func (d *Operator) Rotate(ctx context.Context, s *managed.Secret, patience Patience) (Rotated, error) {
	f, err := s.RotateFunction(ctx)
	if err != nil {
		return Rotated{}, left(err, "nothing was done")
	}
	if !s.Rotation.Enabled {
		return Rotated{}, hint.With(fmt.Errorf("rotation of %s is switched off", s.Name), "deploy its stack again, or switch it on: aws secretsmanager rotate-secret --secret-id "+s.Name+" --rotation-lambda-arn …")
	}
	if err := underWay(s); err != nil {
		return Rotated{}, err
	}
	r := Rotated{Secret: s.Name, ARN: s.ARN, VersionID: uuid.NewString(), Steps: []Step{}}
	d.Tell.Doing("starting a rotation")
	began := time.Now()
	if _, err := d.Cloud.Rotate(ctx, s.ARN, r.VersionID); err != nil {
		if errors.Is(err, awsclient.ErrRotationUnderWay) {
			err = stuck(s)
		}
		return r, left(err, "see whether the rotation started: quilt-rotate status "+s.Name)
	}
	follower := &follower{Operator: d, secret: s, function: f, began: began, patience: patience, result: &r}
	err = follower.follow(ctx)
	return r, left(err, fmt.Sprintf("the rotation goes on at AWS without this command; see how it ends: quilt-rotate status %s", s.Name))
}

// underWay refuses where AWSPENDING sits on a version that is not current.
func underWay(s *managed.Secret) error {
	pending, ok := s.Holder(vault.Pending)
	if !ok || pending.Has(vault.Current) {
		return nil
	}
	return stuck(s)
}

func stuck(s *managed.Secret) error {
	return hint.With(fmt.Errorf("another rotation of %s is under way, or stuck", s.Name),
		fmt.Sprintf("see it with `quilt-rotate status %[1]s`; when it goes on no more: quilt-rotate unstick %[1]s", s.Name))
}

// follower looks at a rotation until it has ended: at the labels, which tell the truth, and at the function's log, which tells the steps and comes late.
type follower struct {
	*Operator
	secret   *managed.Secret
	function awsclient.Function
	began    time.Time
	patience Patience
	result   *Rotated

	failed  time.Time // when a step was last seen to fail; zero: not since the last that did not
	moved   time.Time // when AWSCURRENT was first seen on the new version; zero: not yet
	deaf    bool      // the log cannot be read
	told    int       // records of the log
	stepped []string  // names of the steps that were told
}

// logLag is how long the last lines of the log are waited for, once the rotation is over: CloudWatch shows them some seconds late, and they are only told.
const logLag = 5 * time.Second

var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

func (f *follower) follow(ctx context.Context) error {
	for {
		f.Tell.Doing(f.next())
		if err := f.secret.Look(ctx); err != nil {
			return err
		}
		f.hear(ctx)
		ended, err := f.ended()
		if ended || err != nil {
			return err
		}
		if err := f.sleep(ctx); err != nil {
			return err
		}
	}
}

// next is what the rotation is at, as far as is known.
func (f *follower) next() string {
	if !f.moved.IsZero() {
		return "waiting for the function's log"
	}
	if !f.failed.IsZero() {
		return "waiting whether Secrets Manager tries again"
	}
	for _, step := range steps {
		if !slices.Contains(f.stepped, step) {
			return step
		}
	}
	return "waiting for the end"
}

// hear tells what the function's log has new.
func (f *follower) hear(ctx context.Context) {
	if f.deaf {
		return
	}
	records, err := f.Cloud.RotationLog(ctx, f.function, f.result.VersionID, f.began.Add(-time.Minute))
	if err != nil {
		if ctx.Err() == nil {
			f.deaf = true
			f.Tell.Tell(terminal.Warned, "the function's log cannot be read, so its steps are not shown", awsclient.Explain(err).Error())
		}
		return
	}
	for _, r := range records[min(f.told, len(records)):] {
		f.tell(r)
	}
	f.told = max(f.told, len(records))
}

func (f *follower) tell(r awsclient.LogRecord) {
	step := Step{Name: r.Step, DurationMs: r.Took.Milliseconds(), ErrorType: r.ErrorType, Error: r.Error}
	f.result.Steps = append(f.result.Steps, step)
	name, took := fmt.Sprintf("%-12s", r.Step), fmt.Sprintf("%4d ms", step.DurationMs)
	if r.ErrorType != "" {
		f.failed = time.Now()
		f.Tell.Tell(terminal.Failed, name, fmt.Sprintf("%s: %s", r.ErrorType, r.Error))
		return
	}
	f.failed = time.Time{}
	f.stepped = append(f.stepped, r.Step)
	f.Tell.Tell(terminal.Done, name, took)
}

// ended tells whether the rotation is over, and fails where it did.
func (f *follower) ended() (bool, error) {
	version := f.secret.Versions[f.result.VersionID]
	f.result.KeyID = version.Key()
	switch {
	case version.Has(vault.Current):
		f.result.Complete = true
		if f.moved.IsZero() {
			f.moved = time.Now()
		}
		return f.deaf || len(f.stepped) >= len(steps) || time.Since(f.moved) > logLag, nil
	case time.Since(f.began) > f.patience.Whole:
		return true, hint.With(fmt.Errorf("the rotation of %s has not ended after %s", f.secret.Name, terminal.About(f.patience.Whole)), "it may still end; see: quilt-rotate status "+f.secret.Name)
	case !version.Has(vault.Pending) && time.Since(f.began) > vault.DefaultMaxLag:
		return true, f.abandoned()
	case !f.failed.IsZero() && time.Since(f.failed) > f.patience.Retry:
		return true, hint.With(fmt.Errorf("the rotation of %s failed; the current key is as it was", f.secret.Name),
			fmt.Sprintf("Secrets Manager may try again within its rotation window; to end it: quilt-rotate unstick %s", f.secret.Name))
	}
	return false, nil
}

// abandoned is a rotation whose version has AWSPENDING no more: the function gave it up, or somebody edited the secret meanwhile.
func (f *follower) abandoned() error {
	return hint.With(fmt.Errorf("the rotation of %s was given up; the current key is as it was", f.secret.Name), "mend what the step's error names, then run: quilt-rotate rotate "+f.secret.Name)
}
