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
	Now bool `help:"Do not wait until no step of the rotation can be running any more: asks first."`
}

// Help says what a stuck rotation is.
func (unstickCommand) Help() string {
	return `AWSPENDING on a version that is not current blocks every later rotation. The command tells what it sees, waits until no step can be running (the rotate function's time limit), and takes AWSPENDING off.

The current key is not touched. The key of the rotation that is given up is left to the sweep, which revokes it.

With --json: an object with secret, arn, versionId, since, lastSign, holds, keyId, key, keyOwner, edited, lastError {step, durationMs, errorType, error}, detached, finished; it is printed too where the command failed. What is not known is left out.`
}

func (o *unstickCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, closeOperator, err := openOperator(ctx, c, o.JSON, o.Yes)
	if err != nil {
		return err
	}
	defer closeOperator()
	s, err := o.open(ctx, d.Cloud)
	if err != nil {
		return err
	}
	registry, err := o.ofSecret(ctx, s)
	if err != nil {
		d.Tell.Tell(terminal.Warned, "the registry is not known, so the key is not tried", awsclient.Explain(err).Error())
		registry = nil
	}
	unstuck, err := d.Unstick(ctx, s, operations.UnstickOptions{Registry: registry, Now: o.Now})
	closeOperator()
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
		beside = "its key " + u.KeyID + " is left to the sweep"
	}
	_ = c.Tell(terminal.Done, "AWSPENDING was taken off", beside) // an output that is gone is told at the end
	_, err := fmt.Fprintln(c.Err, "next: quilt-rotate rotate "+s.Name)
	return err
}
