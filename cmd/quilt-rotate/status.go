package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/terminal/commandline"
)

type statusCommand struct {
	Secrets []secretID `arg:"" optional:"" name:"secret" help:"Names or ARNs of secrets. Default: all managed secrets."`
	sweeperOption
	jsonOption
}

// Help describes the output, and the JSON fields that programs can rely on.
func (statusCommand) Help() string {
	return `The command changes nothing. To show what the next sweep will do, it asks the revoke function for a plan.

✗ marks a severe problem, and ! marks a warning. The line below says what to do.

A secret is managed if one of our rotate functions rotates it, or if it has a tag or a label of quilt-rotate. Managed
secrets that are marked for deletion are listed too.

For one secret, the command also shows its last five rotations. It reads them from the same sources as report.

  quilt-rotate status
  quilt-rotate status prod/pipeline

With --json: an array with one object for each secret, in the order of the arguments. Its fields: secret, arn, time,
registry, rotation {on, function, last, next, overdue, underWay, underWaySince, lastOnNeed, onNeedOff}, pausedUntil,
pauseReason, allSweepsPaused, replicas, versions [{versionId, stages, value, supersededSince, sameKeyAs, keyId, keyName,
fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}], sweep {outcome, actions, notes, wouldFail {errorType,
error}, health, registry}, history {rotations, unseen}, problems [{severe, text, hint}], error, hint. Unknown values are
left out.

Exit status 1: a secret could not be read, or only a part of it. A problem of a secret does not change the exit status.`
}

func (o *statusCommand) Run(ctx context.Context, c *terminal.Console) error {
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return err
	}
	progress := c.Progress(o.JSON)
	scope, list, err := o.look(ctx, aws, reading(progress))
	if err == nil && len(o.Secrets) == 1 {
		err = list[0].AddHistory(ctx, aws, progress.Doing)
	}
	progress.Close()
	if err != nil {
		return err
	}
	paused, unknown := status.AllPaused(ctx, aws, list)
	if unknown != nil {
		scope += "; could not check whether all sweeps are paused: " + awsclient.Explain(unknown).Error()
	}
	if o.JSON {
		fmt.Fprintln(c.Err, scope)
		err = c.JSON(list)
	} else {
		err = o.print(c, scope, paused, list)
	}
	if err == nil && slices.ContainsFunc(list, func(s status.Status) bool { return s.Error != "" }) {
		err = commandline.ErrReported
	}
	return err
}

// look reads the state of the secrets. scope describes where they are and how many of them were
// read.
func (o *statusCommand) look(ctx context.Context, aws *awsclient.Cloud, progress func(done, total int)) (scope string,
	list []status.Status, err error) {
	var names []string
	for _, name := range o.Secrets {
		names = append(names, string(name))
	}
	kind, unknown := "secrets read", ""
	if len(names) == 0 {
		found, err := managed.ListSecrets(ctx, aws)
		if err != nil {
			return "", nil, err
		}
		for _, s := range found.Secrets {
			names = append(names, s.Name)
		}
		kind = fmt.Sprintf("managed secrets read, %d secrets in total", found.Total)
		if n := len(found.Unknown); n > 0 {
			unknown = fmt.Sprintf("; %d more secrets may be managed: %s", n, awsclient.Explain(found.Unknown[0].Err))
		}
	}
	list, err = status.All(ctx, aws, o.RevokeFunction, names, progress)
	read := 0
	for _, s := range list {
		if s.Error == "" {
			read++
		}
	}
	return fmt.Sprintf("%s: %d of %d %s%s", aws.Place(ctx), read, len(list), kind, unknown), list, err
}

func (o *statusCommand) print(c *terminal.Console, scope string, paused []string, list []status.Status) error {
	lines := []string{terminal.Faint.Render(terminal.Legible(scope))}
	for _, schedule := range paused {
		lines = append(lines, terminal.Line(terminal.Warned, "all sweeps are paused: the schedule "+schedule+
			" is disabled", "to resume them: quilt-rotate resume --all"))
	}
	for _, s := range list {
		lines = append(append(lines, ""), statusLines(s, c.Watched(), c.Width())...)
	}
	_, err := fmt.Fprintln(c.Out, strings.Join(lines, "\n"))
	if len(list) == 0 && err == nil {
		_, err = fmt.Fprintln(c.Err, "check AWS_REGION and AWS_PROFILE; to manage a secret that holds a key: "+
			"quilt-rotate adopt SECRET --registry URL --schedule 'rate(30 days)'; to create the first key of a "+
			"secret: quilt-rotate bootstrap SECRET")
	}
	return err
}
