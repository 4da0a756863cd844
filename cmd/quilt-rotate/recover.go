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

// Help says what the short help does not.
func (recoverCommand) Help() string {
	return `If the registry refuses the current key, this stores an older key of the secret that still logs in, else one that the issuing credential creates, else one that you log in for. If the current key logs in, nothing is done, unless --replace is given.

  quilt-rotate recover prod/pipeline

With --json: an object like that of quilt-rotate bootstrap.`
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
