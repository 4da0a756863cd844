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

// openOperator opens what an operation works with. confirmed answers each question with yes. The caller closes it before it prints a result.
func openOperator(ctx context.Context, c *terminal.Console, resultIsJSON, confirmed bool) (*operations.Operator, func(), error) {
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	progress := c.Progress(resultIsJSON)
	d := &operations.Operator{Cloud: aws, Tell: progress}
	d.Confirm = func(ctx context.Context, what, word string) error {
		progress.Doing("") // it would draw over the question
		place := aws.Place(ctx).String()
		if d.Place != "" {
			place = d.Place + ", " + place
		}
		return c.Confirm(ctx, place+"\n"+what, word)
	}
	if confirmed {
		d.Confirm = func(context.Context, string, string) error { return nil }
	}
	return d, sync.OnceFunc(progress.Close), nil
}

// secretOptions are those of a command that works on one secret, and at the registry of its keys.
type secretOptions struct {
	secretArgument
	registryOptions
	jsonOption
	yesOption
}

// An openedSecret is a secret, the registry of its keys, and what it takes to work on them.
type openedSecret struct {
	*operations.Operator
	close    func() // for the caller, before it prints a result; a second call does nothing
	secret   *managed.Secret
	registry *quilt.Client
}

// openOperator opens the secret and finds its registry.
func (o secretOptions) openOperator(ctx context.Context, c *terminal.Console) (*openedSecret, error) {
	d, err := o.openSecret(ctx, c, o.jsonOption, o.yesOption)
	if err != nil {
		return nil, err
	}
	return d, d.find(ctx, o.registryOptions)
}

// openSecret opens the secret, for a command that may do without its registry.
func (o secretArgument) openSecret(ctx context.Context, c *terminal.Console, result jsonOption, confirmed yesOption) (_ *openedSecret, err error) {
	d := &openedSecret{}
	if d.Operator, d.close, err = openOperator(ctx, c, result.JSON, confirmed.Yes); err != nil {
		return nil, err
	}
	if d.secret, err = o.open(ctx, d.Cloud); err != nil {
		d.close()
		return nil, err
	}
	d.Place = placeOf(d.secret, nil)
	return d, nil
}

// find finds the registry of the secret's keys. If there is none, the operator is closed.
func (d *openedSecret) find(ctx context.Context, o registryOptions) (err error) {
	if d.registry, err = o.ofSecret(ctx, d.secret); err != nil {
		d.close()
		return err
	}
	d.Place = placeOf(d.secret, d.registry)
	return nil
}

// placeOf names the secret and its registry above each question, beside the account and the region: secrets have the same names in many places.
func placeOf(s *managed.Secret, registry *quilt.Client) string {
	if registry == nil {
		return "secret " + s.Name
	}
	return "secret " + s.Name + ", registry " + registry.Host()
}
