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
	Reason string             `help:"Why, for whoever finds it: it is kept in a tag."`
}

// Help says what a pause is not.
func (pauseCommand) Help() string {
	return `Sweeps of the secret do nothing until then: no key is revoked, and none is marked as superseded.

Rotations go on, and quilt-rotate emergency still revokes a leaked key. The pause ends by itself, or by: quilt-rotate resume SECRET

With --json: an object with secret, arn, pausedUntil, pausedUntilBefore, reason.`
}

func (o *pauseCommand) Run(ctx context.Context, c *terminal.Console) error {
	if err := operations.CheckPause(time.Duration(o.For)); err != nil {
		return &usageError{fmt.Errorf("--for: %w", err)}
	}
	if err := operations.CheckReason(o.Reason); err != nil {
		return &usageError{fmt.Errorf("--reason: %w", err)}
	}
	d, closeOperator, err := openOperator(ctx, c, true, true)
	if err != nil {
		return err
	}
	defer closeOperator()
	s, err := o.open(ctx, d.Cloud)
	if err != nil {
		return err
	}
	paused, err := d.Pause(ctx, s, time.Duration(o.For), o.Reason)
	closeOperator()
	if err != nil {
		return err
	}
	if o.JSON {
		return c.JSON(paused)
	}
	beside := ""
	if paused.Before != nil {
		beside = "before: until " + status.Clock(*paused.Before)
	}
	_ = c.Tell(terminal.Done, fmt.Sprintf("sweeps of %s are paused until %s", s.Name, status.Clock(*paused.Until)), beside) // an output that is gone is told at the end
	c.Note("rotations go on, and so does quilt-rotate emergency; to end the pause sooner: quilt-rotate resume " + s.Name)
	return nil
}

type resumeCommand struct {
	secretArgument
	jsonOption
}

// Help says what the short help does not.
func (resumeCommand) Help() string {
	return `With --json: an object with secret, arn, pausedUntil (null), pausedUntilBefore.`
}

func (o *resumeCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, closeOperator, err := openOperator(ctx, c, true, true)
	if err != nil {
		return err
	}
	defer closeOperator()
	s, err := o.open(ctx, d.Cloud)
	if err != nil {
		return err
	}
	resumed, err := d.Resume(ctx, s)
	closeOperator()
	if err != nil {
		return err
	}
	if o.JSON {
		return c.JSON(resumed)
	}
	line := terminal.Line(terminal.Noted, "sweeps of "+s.Name+" were not paused", "")
	if resumed.Before != nil {
		line = terminal.Line(terminal.Done, "sweeps of "+s.Name+" go on", "they were paused until "+status.Clock(*resumed.Before))
	}
	_, err = fmt.Fprintln(c.Out, line)
	return err
}
