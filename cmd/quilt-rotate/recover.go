package main

import (
	"context"

	"quilt-rotate/internal/procedure"
	"quilt-rotate/internal/terminal"
)

type recoverCommand struct {
	secretArgument
	registryOptions
	loginOptions
	yesOption
	jsonOption
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
	d, closeDesk, err := openDesk(ctx, c, o.JSON, o.Yes)
	if err != nil {
		return err
	}
	defer closeDesk()
	s, err := o.open(ctx, d.Cloud)
	if err != nil {
		return err
	}
	registry, err := o.ofSecret(ctx, s)
	if err != nil {
		return err
	}
	done, err := d.Recover(ctx, procedure.Recovery{Secret: s, Registry: registry, NewOwner: o.NewOwner, Replace: o.Replace, LogIn: o.logIn(c)})
	closeDesk()
	return printKeyIn(c, o.jsonOption, done, err)
}
