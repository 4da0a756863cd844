package main

import (
	"context"
	"fmt"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/commandline"
	"quilt-rotate/internal/terminal"
)

type statusCommand struct {
	Secrets []secretID `arg:"" optional:"" name:"secret" help:"Names or ARNs of secrets. Default: all managed secrets."`
	sweeperOption
	jsonOption
}

// Help describes the output, and the fields that programs can rely on.
func (statusCommand) Help() string {
	return `Shows each secret with its versions and their keys, its rotation, and what the next sweep will do: the revoke function plans it, and does nothing. A ✗
or a ! marks a problem. A managed secret is one that our rotate function rotates, or that has a tag or a label of quilt-rotate. Secrets that are marked for
deletion are listed, too.

With --json: an array with an object for each secret, in the order asked for. Its fields: secret, arn, time, registry, rotation {on, function, last, next, overdue, underWay, underWaySince}, pausedUntil, pauseReason, replicas, versions [{versionId, stages, value, supersededSince, sameKeyAs, keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}], sweep {outcome, actions, notes, wouldFail {errorType, error}, health, registry}, problems [{severe, text, hint}], error, hint. What is not known is left out.

Exit status 1: a secret could not be looked at, or only in part. A problem of a secret does not change the exit status.`
}

func (o *statusCommand) Run(ctx context.Context, c *terminal.Console) error {
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return err
	}
	progress := c.Progress(o.JSON)
	found, err := o.look(ctx, aws, reading(progress))
	progress.Close()
	if err != nil {
		return err
	}
	if o.JSON {
		if err := c.JSON(found.list); err != nil {
			return err
		}
	} else {
		o.print(c, found)
	}
	for _, s := range found.list {
		if s.Error != "" {
			return commandline.ErrReported
		}
	}
	return nil
}

// report is the state of several secrets, and where they are.
type report struct {
	scope string
	list  []status.Status
}

func (o *statusCommand) look(ctx context.Context, aws *awsclient.Cloud, progress func(done, total int)) (report, error) {
	var names []string
	for _, name := range o.Secrets {
		names = append(names, string(name))
	}
	var scope string
	if len(names) == 0 {
		managed, err := managed.ListSecrets(ctx, aws)
		if err != nil {
			return report{}, err
		}
		for _, s := range managed.Secrets {
			names = append(names, s.Name)
		}
		scope = fmt.Sprintf("%s: %d managed secrets, of %d secrets", managed.Place, len(names), managed.Total)
		if n := len(managed.Unknown); n > 0 {
			scope += fmt.Sprintf("; %d more may be managed: %s", n, awsclient.Explain(managed.Unknown[0].Err))
		}
	} else {
		scope = aws.Place(ctx).String()
	}
	list, err := status.All(ctx, aws, o.RevokeFunction, names, progress)
	return report{scope, list}, err
}

func (o *statusCommand) print(c *terminal.Console, found report) {
	fmt.Fprintln(c.Out, terminal.Faint.Render(found.scope))
	if len(found.list) == 0 {
		fmt.Fprintln(c.Err, "a secret becomes managed through a stack (infra/README.md), or by: quilt-rotate adopt SECRET")
	}
	for _, s := range found.list {
		fmt.Fprintln(c.Out)
		for _, line := range statusLines(s, c.Watched(), c.Width()) {
			fmt.Fprintln(c.Out, line)
		}
	}
}
