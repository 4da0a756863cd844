package main

import (
	"context"
	"fmt"
	"strings"
	"time"

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
	DryRun bool `help:"Show what a sweep would do. Change nothing."`
}

// Help describes when the command asks, and the output for programs.
func (revokeCommand) Help() string {
	return `Runs the revoke function for one secret now, as the hourly schedule does. The function revokes superseded keys
whose grace period is over and that nobody uses. For a leaked key, use quilt-rotate emergency instead.

On a terminal, the command shows the plan and asks for confirmation first. In a pipe, the sweep runs at once.

  quilt-rotate revoke prod/pipeline --dry-run
  quilt-rotate revoke prod/pipeline

With --json: an object with secret, arn, dryRun, outcome, pausedUntil, actions [{action, reason, versionId, keyId,
fingerprint, owner, until, lastUsedAt, done, error}], health, notes, failed {errorType, error}. A plan also has
versions, keys, registry, wouldFail. Unknown values are left out.

Exit status 1: the sweep failed, or a key that it had to revoke is still valid.`
}

func (o *revokeCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openSecret(ctx, c, o.jsonOption, o.yesOption)
	if err != nil {
		return err
	}
	d.secret.RevokeFunction = o.RevokeFunction
	revoked, err := d.Revoke(ctx, d.secret, operations.RevokeOptions{
		DryRun: o.DryRun, Ask: !o.DryRun && !o.Yes && c.Interactive(),
		Show: func(plan revocation.Result) {
			if !o.JSON || !o.DryRun {
				d.Progress.Print(sweepLines(plan, status.Planned, "the sweep has nothing to do")...)
			}
		},
	})
	return d.finish(revoked, revoked.Secret != "", err, func() error {
		if !o.DryRun && !revoked.Planned { // otherwise the plan was shown
			for _, line := range sweepLines(revoked.Result, status.Done, "the sweep had nothing to do") {
				fmt.Fprintln(c.Out, strings.Join(fitting(line, c.Watched(), c.Width()), "\n"))
			}
		}
		if !o.DryRun && revoked.Outcome == revocation.Paused {
			c.Note("to resume sweeps: quilt-rotate resume " + d.secret.Name)
		}
		return nil
	})
}

// sweepLines returns the lines that describe what a sweep did or would do. nothing is the text if
// it had nothing to do.
func sweepLines(r revocation.Result, say func(revocation.Taken, time.Time) status.Line, nothing string) []string {
	now := time.Now()
	if r.Registry != nil { // dates of the registry are compared with its clock
		now = r.Registry.Time
	}
	var lines []string
	if text := status.Outcome(r); text != "" {
		lines = append(lines, terminal.Line(terminal.Warned, text, ""))
	}
	for _, a := range r.Actions {
		l := say(a, now)
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
