package main

import (
	"context"
	"fmt"

	"quilt-rotate/internal/procedure"
	"quilt-rotate/internal/terminal"
)

type rollbackCommand struct {
	secretArgument
	registryOptions
	yesOption
	jsonOption
	NewOwner bool   `help:"The version's key may be another registry user's than the current one; you are asked to confirm it."`
	To       string `placeholder:"VERSION" help:"Version to move back to: its id, or the beginning of it. Default: the one that was current last (AWSPREVIOUS)."`
}

func (o *rollbackCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, closeDesk, err := openDesk(ctx, c, o.JSON, o.Yes)
	if err != nil {
		return err
	}
	defer closeDesk()
	s, err := o.open(ctx, d.Cloud)
	if err != nil {
		return err
	}
	registry, err := o.orAlone(ctx, s)
	if err != nil {
		return err
	}
	done, err := d.Rollback(ctx, s, procedure.RollbackOptions{Registry: registry, To: o.To, NewOwner: o.NewOwner})
	closeDesk()
	if o.JSON && (err == nil || done.To != "") { // what was moved is told, although something failed after it
		if jsonErr := c.JSON(done); jsonErr != nil {
			return jsonErr
		}
		return err
	}
	if err != nil {
		return err
	}
	return printRollback(c, done)
}

// printRollback says what follows for the key that was current.
func printRollback(c *terminal.Console, done procedure.RolledBack) error {
	if done.Replaced == "" || done.Replaced == done.Key.Fingerprint {
		return nil
	}
	_, err := fmt.Fprintf(c.Out, "\nthe key %s is superseded: it is revoked after its grace period\n", done.Replaced)
	return err
}
