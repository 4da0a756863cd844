package main

import (
	"context"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
)

type rollbackCommand struct {
	secretOptions
	NewOwner bool   `help:"The version's key may be another registry user's than the current one; you are asked to confirm it."`
	To       string `placeholder:"VERSION" help:"Version to move back to: its id, or the beginning of it. Default: the one that was current last (AWSPREVIOUS)."`
}

// Help says what the short help does not.
func (rollbackCommand) Help() string {
	return `The key of the version must log in. The key that was current is superseded: sweeps revoke it after its grace period.

  quilt-rotate rollback prod/pipeline
  quilt-rotate rollback prod/pipeline --to 7c6f1f0a

With --json: an object with secret, arn, fromVersionId, toVersionId, key {keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}, replacedFingerprint, differentFields, moved, rotation {on, next}. It is printed too where the move failed. What is not known is left out.`
}

func (o *rollbackCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openOperator(ctx, c)
	if err != nil {
		return err
	}
	defer d.close()
	done, err := d.Rollback(ctx, d.secret, operations.RollbackOptions{Registry: d.registry, To: o.To, NewOwner: o.NewOwner})
	d.close()
	if o.JSON && done.Secret != "" { // also where it failed: what was moved is told
		if jsonErr := c.JSON(done); jsonErr != nil {
			return jsonErr
		}
	}
	if err != nil || o.JSON {
		return err
	}
	printRollback(c, done)
	return nil
}

// printRollback says what follows for the key that was current.
func printRollback(c *terminal.Console, done operations.RolledBack) {
	if done.Replaced != "" && done.Replaced != done.Key.Fingerprint {
		c.Note("the key " + done.Replaced + " is superseded: it is revoked after its grace period")
	}
}
