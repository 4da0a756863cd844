package main

import (
	"context"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
)

type recoverCommand struct {
	secretOptions
	loginOptions
	Replace  bool `help:"Store a new key although the current one logs in: it leaked, and no rotation can replace it."`
	NewOwner bool `help:"Allow a key of another registry user than before. Asks first."`
}

// Help is the long help.
func (recoverCommand) Help() string {
	return `If the registry refuses the current key, this command stores another one: an older key of the secret that still logs in, or a key that the issuing credential creates, or a key that it creates after you log in. If the current key logs in, nothing is done, unless --replace is given.

  quilt-rotate recover prod/pipeline

With --json: an object like that of quilt-rotate bootstrap.`
}

func (o *recoverCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openOperator(ctx, c)
	if err != nil {
		return err
	}
	defer d.close()
	done, err := d.Recover(ctx, operations.Recovery{Secret: d.secret, Registry: d.registry, NewOwner: o.NewOwner,
		Replace: o.Replace, LogIn: o.logIn(c)})
	d.close()
	return printKeyIn(c, o.jsonOption, done, err)
}
