package main

import (
	"context"
	"fmt"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
)

type retireCommand struct {
	secretOptions
	loginOptions
	Anyway bool `help:"Retire the secret even if it is not known whether other managed secrets hold its keys, or if a key is left that may be valid."`
}

// Help says what is revoked, and what stays.
func (retireCommand) Help() string {
	return `For a secret that nobody needs any more. Shows each key of the secret with its last use, and asks. Then it turns rotation off, revokes the keys that it has shown, the current one last, and removes the labels and tags of quilt-rotate. The secret itself stays.

It leaves keys of other users, and keys that another managed secret holds. It stops if the secret changes after the keys were shown. If it is interrupted, the same command continues. If the current key does not log in and there is no issuing credential, it asks you to log in as the keys' user or as an administrator.

  quilt-rotate retire prod/pipeline

With --json: an object with secret, arn, rotationOff, keys [{keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt, current, fate (to-be-revoked, revoked, invalid-already or left), heldBy, why}], complete; it is also printed if the command failed. Unknown values are left out.`
}

func (o *retireCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openOperator(ctx, c)
	if err != nil {
		return err
	}
	defer d.close()
	retired, err := d.Retire(ctx, d.secret, operations.RetireOptions{Registry: d.registry, LogIn: o.logIn(c),
		Anyway: o.Anyway})
	return d.finish(retired, true, err, func() error {
		// a closed output is reported at the end
		_ = c.Tell(terminal.Done, d.secret.Name+" is retired", "nothing of quilt-rotate is left on it")
		_, err := fmt.Fprintf(c.Err,
			"left to do:\n  if a stack's YAML file has it: move its entry from keys to retired, and deploy\n  if "+
				"nobody needs the rest of its value: aws secretsmanager delete-secret --secret-id %s\n", d.secret.Name)
		return err
	})
}
