package main

import (
	"context"
	"sync"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// openDesk gives a procedure what it works with. confirmed says that questions are answered with yes. The caller ends it before it prints a result.
func openDesk(ctx context.Context, c *terminal.Console, resultIsJSON, confirmed bool) (*operations.Desk, func(), error) {
	aws, err := awsclient.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	progress := c.Progress(resultIsJSON)
	confirm := func(ctx context.Context, what, word string) error {
		progress.Doing("") // it would draw over the question
		return c.Confirm(ctx, what, word)
	}
	if confirmed {
		confirm = func(context.Context, string, string) error { return nil }
	}
	return &operations.Desk{Cloud: aws, Tell: progress, Confirm: confirm}, sync.OnceFunc(progress.Close), nil
}

// deskOptions are those of a command that works on one secret and asks its registry.
type deskOptions struct {
	secretArgument
	registryOptions
	jsonOption
	yesOption
}

// A secretDesk is a desk with a secret on it, and the registry of the secret's keys at hand.
type secretDesk struct {
	*operations.Desk
	close    func() // for the caller, before it prints a result; a second time does nothing
	secret   *managed.Secret
	registry *quilt.Client
}

// openDesk opens the secret and reaches its registry.
func (o deskOptions) openDesk(ctx context.Context, c *terminal.Console) (_ *secretDesk, err error) {
	d := &secretDesk{}
	if d.Desk, d.close, err = openDesk(ctx, c, o.JSON, o.Yes); err != nil {
		return nil, err
	}
	if d.secret, err = o.open(ctx, d.Cloud); err == nil {
		d.registry, err = o.ofSecret(ctx, d.secret)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}
