package main

import (
	"context"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
)

type unstickCommand struct {
	secretArgument
	registryOptions
	jsonOption
	yesOption
	Now bool `help:"Do not wait for a step that may still be running. Asks for confirmation."`
}

// Help describes a stuck rotation and how the command ends it.
func (unstickCommand) Help() string {
	return `While the staging label AWSPENDING is on a version that is not current, no other rotation can start. The command
shows what it finds and waits until no step of the rotation can still be running, which is at most the time limit of the
rotate function. Then it removes AWSPENDING.

The current key does not change. A sweep revokes the key of the rotation that was ended.

  quilt-rotate unstick prod/pipeline

With --json: an object with secret, arn, versionId, since, lastSign, holds, keyId, key, keyOwner, edited, lastError
{step, durationMs, errorType, error}, detached, finished. It is also printed if the command failed. Unknown values are
left out.`
}

func (o *unstickCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openSecret(ctx, c, o.jsonOption, o.yesOption)
	if err != nil {
		return err
	}
	registry, err := o.ofSecret(ctx, d.secret)
	if err != nil {
		d.Progress.Report(terminal.Warned,
			"the registry is not known, so the command does not log in with the pending key",
			awsclient.Explain(err).Error())
		registry = nil
	}
	unstuck, err := d.Unstick(ctx, d.secret, operations.UnstickOptions{Registry: registry, Now: o.Now})
	return d.finish(unstuck, true, err, func() error {
		switch {
		case unstuck.VersionID == "":
			return c.Print(terminal.Done, "no rotation of "+d.secret.Name+" is stuck", "")
		case unstuck.Finished:
			return c.Print(terminal.Done, "the rotation ended by itself", "to see the result: quilt-rotate status "+
				d.secret.Name)
		}
		next := ""
		if unstuck.KeyID != "" {
			next = "a sweep will revoke its key " + unstuck.KeyID
		}
		err := c.Print(terminal.Done, "AWSPENDING was removed", next)
		c.Note("next: quilt-rotate rotate " + d.secret.Name)
		return err
	})
}
