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
	Now bool `help:"Do not wait until no step of the rotation can be running. Asks first."`
}

// Help says what a stuck rotation is.
func (unstickCommand) Help() string {
	return `AWSPENDING on a version that is not current blocks every later rotation. The command shows what it finds, waits until no step of the rotation can be running (the time limit of the rotate function), and removes AWSPENDING.

The current key is not touched. A sweep revokes the key of the rotation that was ended.

With --json: an object with secret, arn, versionId, since, lastSign, holds, keyId, key, keyOwner, edited, lastError {step, durationMs, errorType, error}, detached, finished; it is also printed if the command failed. Unknown values are left out.`
}

func (o *unstickCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openSecret(ctx, c, o.jsonOption, o.yesOption)
	if err != nil {
		return err
	}
	registry, err := o.ofSecret(ctx, d.secret)
	if err != nil {
		d.Tell.Tell(terminal.Warned, "the registry is not known, so the pending key is not tried",
			awsclient.Explain(err).Error())
		registry = nil
	}
	unstuck, err := d.Unstick(ctx, d.secret, operations.UnstickOptions{Registry: registry, Now: o.Now})
	return d.finish(unstuck, true, err, func() error {
		switch {
		case unstuck.VersionID == "":
			return c.Tell(terminal.Done, "no rotation of "+d.secret.Name+" is stuck", "")
		case unstuck.Finished:
			return c.Tell(terminal.Done, "the rotation ended by itself", "see: quilt-rotate status "+d.secret.Name)
		}
		next := ""
		if unstuck.KeyID != "" {
			next = "a sweep will revoke its key " + unstuck.KeyID
		}
		err := c.Tell(terminal.Done, "AWSPENDING was removed", next)
		c.Note("next: quilt-rotate rotate " + d.secret.Name)
		return err
	})
}
