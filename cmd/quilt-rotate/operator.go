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

// openOperator gives a procedure what it works with. confirmed says that questions are answered with yes. The caller ends it before it prints a result.
func openOperator(ctx context.Context, c *terminal.Console, resultIsJSON, confirmed bool) (*operations.Operator, func(), error) {
	aws, err := awsclient.Open(ctx, c)
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
	return &operations.Operator{Cloud: aws, Tell: progress, Confirm: confirm}, sync.OnceFunc(progress.Close), nil
}

// secretOptions are those of a command that works on one secret and asks its registry.
type secretOptions struct {
	secretArgument
	registryOptions
	jsonOption
	yesOption
}

// A openedSecret is a operator with a secret on it, and the registry of the secret's keys at hand.
type openedSecret struct {
	*operations.Operator
	close    func() // for the caller, before it prints a result; a second time does nothing
	secret   *managed.Secret
	registry *quilt.Client
}

// openOperator opens the secret and reaches its registry.
func (o secretOptions) openOperator(ctx context.Context, c *terminal.Console) (_ *openedSecret, err error) {
	d := &openedSecret{}
	if d.Operator, d.close, err = openOperator(ctx, c, o.JSON, o.Yes); err != nil {
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
