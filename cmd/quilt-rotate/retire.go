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
	Anyway bool `help:"Continue even if it is not known whether other managed secrets hold the keys, or if a key that may be valid is left."`
}

// Help describes what is revoked and what stays.
func (retireCommand) Help() string {
	return `Use this command if nobody needs the secret any more. It shows each key of the secret with its last use, and asks
for confirmation. Then it turns rotation off, revokes the keys that it has shown (the current key last), and removes the
labels and tags of quilt-rotate. The secret itself and its value stay.

The command does not revoke keys of other users, or keys that another managed secret holds. It stops if the secret
changes after the keys were shown. If it is interrupted, run it again to continue.

If the current key does not log in and there is no issuing credential, you must log in as the user that the keys belong
to, or as an administrator.

  quilt-rotate retire prod/pipeline

With --json: an object with secret, arn, rotationOff, keys [{keyId, keyName, fingerprint, owner, status, createdAt,
expiresAt, lastUsedAt, current, fate (to-be-revoked, revoked, invalid-already or left), heldBy, why}], complete. It is
also printed if the command failed. Unknown values are left out.`
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
		_ = c.Print(terminal.Done, d.secret.Name+" is retired", "it has no rotation, label or tag of quilt-rotate")
		_, err := fmt.Fprintf(c.Err,
			"next:\n  if the secret is in the configuration file of a stack, move its entry from keys to retired, and "+
				"deploy\n  if nobody needs the rest of its value: aws secretsmanager delete-secret --secret-id %s\n",
			d.secret.Name)
		return err
	})
}
