package main

import (
	"context"
	"fmt"
	"time"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/commandline"
	"quilt-rotate/internal/terminal"
)

type pauseCommand struct {
	secretArgument
	jsonOption
	For    commandline.Period `required:"" placeholder:"4h" help:"How long: from 1m to 336h (14 days)."`
	Reason string             `help:"Reason for the pause, for other operators: it is stored in a tag."`
}

// Help says what a pause does not stop.
func (pauseCommand) Help() string {
	return `Until then, sweeps of the secret do nothing: they revoke no key and mark none as superseded.

Rotations continue, and quilt-rotate emergency still revokes a leaked key. The pause ends by itself. To end it earlier: quilt-rotate resume SECRET

With --json: an object with secret, arn, pausedUntil, pausedUntilBefore, reason.`
}

func (o *pauseCommand) Run(ctx context.Context, c *terminal.Console) error {
	if err := operations.CheckPause(time.Duration(o.For)); err != nil {
		return &usageError{fmt.Errorf("--for: %w", err)}
	}
	if err := operations.CheckReason(o.Reason); err != nil {
		return &usageError{fmt.Errorf("--reason: %w", err)}
	}
	d, err := o.openSecret(ctx, c, o.jsonOption, yesOption{true})
	if err != nil {
		return err
	}
	paused, err := d.Pause(ctx, d.secret, time.Duration(o.For), o.Reason)
	return d.finish(paused, err == nil, err, func() error {
		before := ""
		if paused.Before != nil {
			before = "before: until " + status.Clock(*paused.Before)
		}
		err := c.Tell(terminal.Done, fmt.Sprintf("sweeps of %s are paused until %s", d.secret.Name, status.Clock(*paused.Until)), before)
		c.Note("rotations and quilt-rotate emergency still work; to end the pause earlier: quilt-rotate resume " + d.secret.Name)
		return err
	})
}

type resumeCommand struct {
	secretArgument
	jsonOption
}

// Help is the long help.
func (resumeCommand) Help() string {
	return `With --json: an object with secret, arn, pausedUntil (null), pausedUntilBefore.`
}

func (o *resumeCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openSecret(ctx, c, o.jsonOption, yesOption{true})
	if err != nil {
		return err
	}
	resumed, err := d.Resume(ctx, d.secret)
	return d.finish(resumed, err == nil, err, func() error {
		if resumed.Before == nil {
			return c.Tell(terminal.Noted, "sweeps of "+d.secret.Name+" were not paused", "")
		}
		return c.Tell(terminal.Done, "sweeps of "+d.secret.Name+" run again", "they were paused until "+status.Clock(*resumed.Before))
	})
}
