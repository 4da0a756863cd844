package main

import (
	"context"
	"fmt"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
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
	defer d.close()
	s := d.secret
	registry, err := o.ofSecret(ctx, s)
	if err != nil {
		d.Tell.Tell(terminal.Warned, "the registry is not known, so the pending key is not tried", awsclient.Explain(err).Error())
		registry = nil
	}
	unstuck, err := d.Unstick(ctx, s, operations.UnstickOptions{Registry: registry, Now: o.Now})
	d.close()
	if o.JSON {
		if jsonErr := c.JSON(unstuck); jsonErr != nil {
			return jsonErr
		}
	}
	if err != nil || o.JSON {
		return err
	}
	return o.print(c, s, unstuck)
}

func (o *unstickCommand) print(c *terminal.Console, s *managed.Secret, u operations.Unstuck) error {
	switch {
	case u.VersionID == "":
		return c.Tell(terminal.Done, "no rotation of "+s.Name+" is stuck", "")
	case u.Finished:
		return c.Tell(terminal.Done, "the rotation ended by itself", "see: quilt-rotate status "+s.Name)
	}
	beside := ""
	if u.KeyID != "" {
		beside = "a sweep will revoke its key " + u.KeyID
	}
	_ = c.Tell(terminal.Done, "AWSPENDING was removed", beside) // a closed output is reported at the end
	_, err := fmt.Fprintln(c.Err, "next: quilt-rotate rotate "+s.Name)
	return err
}
