package main

import (
	"context"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
)

type recoverCommand struct {
	secretOptions
	loginOptions
	Replace  bool `help:"Put a new key in although the current one logs in: it has leaked, and no rotation can replace it."`
	NewOwner bool `help:"The new key may be another registry user's than the old one was; you are asked to confirm it."`
}

// Help says what the short help does not.
func (recoverCommand) Help() string {
	return `Where the current key has died: takes an older key of the secret that still logs in, else one that its issuer makes, else one that you log in for.

  quilt-rotate recover prod/pipeline

With --json: an object as that of quilt-rotate bootstrap.`
}

func (o *recoverCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openOperator(ctx, c)
	if err != nil {
		return err
	}
	defer d.close()
	done, err := d.Recover(ctx, operations.Recovery{Secret: d.secret, Registry: d.registry, NewOwner: o.NewOwner, Replace: o.Replace, LogIn: o.logIn(c)})
	d.close()
	return printKeyIn(c, o.jsonOption, done, err)
}
