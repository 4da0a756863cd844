package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/terminal/commandline"
)

// sweepsOptions select the sweeps of one secret, or of all secrets of a stack.
type sweepsOptions struct {
	Secret         secretID `arg:"" optional:"" help:"Name or ARN of the secret."`
	All            bool     `help:"Apply to the sweeps of all secrets of a stack. Asks for confirmation."`
	RotateFunction string   `placeholder:"NAME" help:"With --all: rotate function of the stack. Default: the only rotate function in the account and region."`
	jsonOption
	yesOption
}

// all pauses or resumes the sweeps of a whole stack. done is false if the command is for one
// secret.
func (o sweepsOptions) all(ctx context.Context, c *terminal.Console, pause bool) (done bool, _ error) {
	switch {
	case o.All == (o.Secret != ""):
		return true, &usageError{errors.New("give the name of a secret or --all, but not both")}
	case !o.All && o.RotateFunction != "":
		return true, &usageError{errors.New("--rotate-function: requires --all")}
	case !o.All:
		return false, nil
	}
	d, closeOperator, err := openOperator(ctx, c, o.JSON, o.Yes)
	if err != nil {
		return true, err
	}
	s := &openedSecret{Operator: d, close: closeOperator, console: c, json: o.JSON}
	defer s.close()
	sweeps, err := d.SwitchSweeps(ctx, o.RotateFunction, pause)
	return true, s.finish(sweeps, err == nil, err, func() error {
		mark, state, already := terminal.Done, map[bool]string{true: "are paused", false: "run"}[pause], ""
		if sweeps.Before == pause {
			mark, already = terminal.Noted, "this was the case already, so nothing was changed"
		}
		err := c.Print(mark, fmt.Sprintf("all sweeps %s: schedule %s, %s", state, sweeps.Schedule, sweeps.Place),
			already)
		if pause {
			c.Note("scheduled rotations continue; the pause does not end by itself, but a deployment that changes " +
				"the schedule ends it; to end it: quilt-rotate resume --all")
		}
		if pause && strings.Contains(sweeps.Target, ":stateMachine:") {
			c.Note("a run of sweeps that has started continues; to find and stop it: aws stepfunctions " +
				"list-executions --status-filter RUNNING --state-machine-arn " + sweeps.Target +
				"; aws stepfunctions stop-execution --execution-arn ARN")
		}
		return err
	})
}

type pauseCommand struct {
	sweepsOptions
	For    commandline.Period `placeholder:"4h" help:"How long to pause the sweeps of one secret: from 1m to 336h (14 days). Required without --all."`
	Reason string             `help:"Reason for the pause of one secret, for other operators. It is stored in a tag."`
}

// Help describes what a pause stops, and what it does not stop.
func (pauseCommand) Help() string {
	return `While the sweeps of a secret are paused, they revoke no key and mark no key as superseded. Scheduled rotations
continue, and quilt-rotate emergency still revokes a leaked key. The pause of one secret ends after the time that --for
gives. To end it earlier, run quilt-rotate resume SECRET.

With --all, the command disables the schedule that starts the sweeps of all secrets of a stack. Then there are also no
rotations on need. This pause does not end by itself. To end it, run quilt-rotate resume --all. A deployment that
changes the schedule also ends it. --all needs the permissions scheduler:GetSchedule and scheduler:UpdateSchedule, and
iam:PassRole for the role of the schedule.

  quilt-rotate pause prod/pipeline --for 4h
  quilt-rotate pause --all

With --json: an object with secret, arn, pausedUntil, pausedUntilBefore, reason. With --all: an object with account,
alias, region, schedule, paused, pausedBefore, target.`
}

func (o *pauseCommand) Run(ctx context.Context, c *terminal.Console) error {
	if o.All && (o.For != 0 || o.Reason != "") {
		return &usageError{errors.New("--for and --reason: cannot be used with --all, whose pause lasts until " +
			"quilt-rotate resume --all")}
	}
	if done, err := o.all(ctx, c, true); done {
		return err
	}
	if err := operations.CheckPause(time.Duration(o.For)); err != nil {
		return &usageError{fmt.Errorf("--for: %w", err)}
	}
	if err := operations.CheckReason(o.Reason); err != nil {
		return &usageError{fmt.Errorf("--reason: %w", err)}
	}
	d, err := secretArgument{o.Secret}.openSecret(ctx, c, o.jsonOption, yesOption{true})
	if err != nil {
		return err
	}
	paused, err := d.Pause(ctx, d.secret, time.Duration(o.For), o.Reason)
	return d.finish(paused, err == nil, err, func() error {
		before := ""
		if paused.Before != nil {
			before = "they were paused until " + status.Clock(*paused.Before)
		}
		err := c.Print(terminal.Done, fmt.Sprintf("sweeps of %s are paused until %s", d.secret.Name,
			status.Clock(*paused.Until)), before)
		c.Note("rotations and quilt-rotate emergency still work; to end the pause earlier: quilt-rotate resume " +
			d.secret.Name)
		return err
	})
}

type resumeCommand struct{ sweepsOptions }

// Help is the long help.
func (resumeCommand) Help() string {
	return `To see which sweeps are paused, run quilt-rotate status.

  quilt-rotate resume prod/pipeline
  quilt-rotate resume --all

With --json: an object with secret, arn, pausedUntil (null), pausedUntilBefore. With --all: an object with the fields of
quilt-rotate pause --all.`
}

func (o *resumeCommand) Run(ctx context.Context, c *terminal.Console) error {
	if done, err := o.all(ctx, c, false); done {
		return err
	}
	d, err := secretArgument{o.Secret}.openSecret(ctx, c, o.jsonOption, yesOption{true})
	if err != nil {
		return err
	}
	resumed, err := d.Resume(ctx, d.secret)
	return d.finish(resumed, err == nil, err, func() error {
		if resumed.Before == nil {
			return c.Print(terminal.Noted, "sweeps of "+d.secret.Name+" were not paused", "")
		}
		return c.Print(terminal.Done, "sweeps of "+d.secret.Name+" run again", "they were paused until "+
			status.Clock(*resumed.Before))
	})
}
