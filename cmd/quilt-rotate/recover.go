package main

import (
	"context"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
)

type recoverCommand struct {
	secretOptions
	loginOptions
	Replace  bool `help:"Store a new key even if the current key logs in. For a leaked key that no rotation can replace."`
	NewOwner bool `help:"Allow a key that belongs to another registry user than the current key. Asks for confirmation."`
}

// Help is the long help.
func (recoverCommand) Help() string {
	return `If the registry refuses the current key, the command uses the first of these keys that it can get:

  1. An older key of the secret that still logs in.
  2. A new key that the issuing credential creates, if the secret has one.
  3. A new key that the command creates after you log in.

If the current key logs in, nothing is changed, unless --replace is given.

  quilt-rotate recover prod/pipeline

With --json: an object with the fields of quilt-rotate bootstrap.`
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
