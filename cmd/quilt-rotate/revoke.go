package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
)

type revokeCommand struct {
	secretArgument
	sweeperOption
	jsonOption
	yesOption
	DryRun bool `help:"Show what a sweep would do, and change nothing."`
}

// Help says what is asked, and when.
func (revokeCommand) Help() string {
	return `Runs the revoke function for the secret now, as its schedule does: it revokes superseded keys whose grace period is over and that nobody uses. For a leaked key, use quilt-rotate emergency.

On a terminal the plan is shown first, and nothing is done without a confirmation. In a pipe the sweep runs at once. Exit status 1: the sweep failed, or a key that it had to revoke is still valid.

With --json: an object with secret, arn, dryRun, outcome, pausedUntil, actions [{action, reason, versionId, keyId, fingerprint, owner, until, lastUsedAt, done, error}], health, notes, failed {errorType, error}; and of a plan also versions, keys, registry, wouldFail. Unknown values are left out.`
}

func (o *revokeCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openSecret(ctx, c, o.jsonOption, o.yesOption)
	if err != nil {
		return err
	}
	defer d.close()
	s := d.secret
	s.RevokeFunction = o.RevokeFunction
	revoked, err := d.Revoke(ctx, s, operations.RevokeOptions{
		DryRun: o.DryRun, Ask: !o.DryRun && !o.Yes && c.Interactive(),
		Show: func(plan revocation.Result) {
			if !o.JSON || !o.DryRun {
				d.Tell.Say(planLines(plan, time.Now())...)
			}
		},
	})
	d.close()
	if o.JSON && revoked.Secret != "" {
		if jsonErr := c.JSON(revoked); jsonErr != nil {
			return jsonErr
		}
	}
	if err != nil || o.JSON || o.DryRun {
		return err
	}
	return o.print(c, s, revoked)
}

func (o *revokeCommand) print(c *terminal.Console, s *managed.Secret, r operations.Revoked) error {
	if !r.Planned { // else it was shown
		for _, line := range sweptLines(r.Result, time.Now()) {
			fmt.Fprintln(c.Out, strings.Join(fitting(line, c.Watched(), c.Width()), "\n"))
		}
	}
	if r.Outcome == revocation.Paused {
		_, err := fmt.Fprintln(c.Err, "to resume sweeps: quilt-rotate resume "+s.Name)
		return err
	}
	return nil
}

// planLines say what a sweep would do, one thing a line.
func planLines(plan revocation.Result, now time.Time) []string {
	if plan.Registry != nil { // its dates are compared with its own clock
		now = plan.Registry.Time
	}
	return sweepLines(plan, func(t revocation.Taken) status.Line { return status.Planned(t, now) }, "there is nothing to do")
}

// sweptLines say what a sweep did.
func sweptLines(done revocation.Result, now time.Time) []string {
	return sweepLines(done, func(t revocation.Taken) status.Line { return status.Done(t, now) }, "there was nothing to do")
}

func sweepLines(r revocation.Result, say func(revocation.Taken) status.Line, nothing string) []string {
	var lines []string
	if text := status.Outcome(r); text != "" {
		lines = append(lines, terminal.Line(terminal.Warned, text, ""))
	}
	for _, a := range r.Actions {
		l := say(a)
		lines = append(lines, terminal.Line(l.Mark, l.Text, l.Detail))
	}
	for _, note := range r.Notes {
		lines = append(lines, terminal.Line(terminal.Warned, note, ""))
	}
	if len(lines) == 0 && r.WouldFail == nil {
		lines = append(lines, terminal.Line(terminal.Done, nothing, ""))
	}
	return lines
}
