package operations

import (
	"context"
	"fmt"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// AllSweeps is the result of [Operator.SwitchSweeps].
type AllSweeps struct {
	awsclient.Place
	Schedule string `json:"schedule"`
	Paused   bool   `json:"paused"`
	Before   bool   `json:"pausedBefore"`
	Target   string `json:"target,omitempty"` // ARN of the state machine that the schedule starts
}

// SwitchSweeps pauses or resumes the sweeps of all secrets of a stack: it disables or enables the
// schedule that starts them. function is the rotate function of the stack, or "" for the only one.
//
// The schedule is read again right before the write, because UpdateSchedule replaces the whole
// schedule and the answer to the question may take hours. If the answer of AWS is lost, the
// schedule is read. If two commands run at the same time, the last one counts.
func (d *Operator) SwitchSweeps(ctx context.Context, function string, pause bool) (AllSweeps, error) {
	f, err := managed.FindRotateFunction(ctx, d.Cloud, function, "")
	if err != nil {
		return AllSweeps{}, err
	}
	s, named, err := managed.SweepSchedule(ctx, d.Cloud, f)
	if err == nil && !named {
		err = terminal.WithHint(fmt.Errorf("the function %s has no tag %s, so its schedule of sweeps is not known",
			f.Name, settings.TagSchedule), "deploy the stack again")
	}
	if err != nil {
		return AllSweeps{}, err
	}
	all := AllSweeps{d.Cloud.Place(ctx), s.Name, pause, !s.Enabled, s.Target}
	if all.Before == pause {
		return all, nil
	}
	what, word := "sweeps of all secrets of this stack run again", "resume"
	if pause {
		what, word = "until somebody resumes them, no sweeps of this stack run: no superseded key is revoked, and no "+
			"refused key is replaced", "pause"
	}
	d.Place = "schedule " + s.Name + ", rotate function " + f.Name
	if err := d.Confirm(ctx, what, word); err != nil {
		return all, left(err, "nothing was changed")
	}
	err = finish(ctx, func(ctx context.Context) error {
		if s, err = d.Cloud.Schedule(ctx, s.Name); err != nil || s.Enabled != pause {
			return err
		}
		if err := d.Cloud.SwitchSchedule(ctx, s, !pause); err != nil {
			if now, lookErr := d.Cloud.Schedule(ctx, s.Name); lookErr != nil || now.Enabled == pause {
				return err
			}
		}
		return nil
	})
	return all, left(err, "to see whether all sweeps are paused: quilt-rotate status")
}
