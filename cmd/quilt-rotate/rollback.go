package main

import (
	"context"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
)

type rollbackCommand struct {
	secretOptions
	NewOwner bool   `help:"Allow a key that belongs to another registry user than the current key. Asks for confirmation."`
	To       string `placeholder:"VERSION" help:"Version to move back to: its id, or the start of its id. Default: the version that was current before (AWSPREVIOUS)."`
}

// Help is the long help.
func (rollbackCommand) Help() string {
	return `The command logs in with the key of the older version first. If the registry refuses that key, nothing is moved. The
key that was current becomes superseded, and a sweep revokes it after its grace period.

  quilt-rotate rollback prod/pipeline
  quilt-rotate rollback prod/pipeline --to 7c6f1f0a

With --json: an object with secret, arn, fromVersionId, toVersionId, key {keyId, keyName, fingerprint, owner, status,
createdAt, expiresAt, lastUsedAt}, replacedFingerprint, differentFields, moved, rotation {on, next}. It is also printed
if the command failed after it found the version. Unknown values are left out.`
}

func (o *rollbackCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openOperator(ctx, c)
	if err != nil {
		return err
	}
	done, err := d.Rollback(ctx, d.secret, operations.RollbackOptions{Registry: d.registry, To: o.To,
		NewOwner: o.NewOwner})
	return d.finish(done, done.Secret != "", err, func() error {
		if done.Replaced != "" && done.Replaced != done.Key.Fingerprint {
			c.Note("the key " + done.Replaced + " is superseded: a sweep revokes it after its grace period")
		}
		return nil
	})
}
