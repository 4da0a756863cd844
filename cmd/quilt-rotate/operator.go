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

// openOperator opens the operator that carries out an operation. If confirmed is true, no question
// is asked. The caller calls the returned function before it prints a result.
func openOperator(ctx context.Context, c *terminal.Console, resultIsJSON, confirmed bool) (*operations.Operator, func(),
	error) {
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	progress := c.Progress(resultIsJSON)
	d := &operations.Operator{Cloud: aws, Progress: progress}
	d.Confirm = func(ctx context.Context, what, word string) error {
		progress.Doing("") // the progress line would overwrite the question
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

// secretOptions are the options of a command that works on one secret and at the registry of its
// keys.
type secretOptions struct {
	secretArgument
	registryOptions
	jsonOption
	yesOption
}

// An openedSecret is what a command on one secret works with.
type openedSecret struct {
	*operations.Operator
	close    func() // ends the progress before a result is printed; a second call does nothing
	secret   *managed.Secret
	registry *quilt.Client // registry of the secret's keys
	console  *terminal.Console
	json     bool
}

// finish prints the result of an operation and returns the error of the operation. With --json, it
// prints the result if known is true, even if the operation failed. Otherwise show prints the
// result, unless the operation failed.
func (d *openedSecret) finish(result any, known bool, err error, show func() error) error {
	d.close()
	if d.json && known {
		if jsonErr := d.console.JSON(result); err == nil {
			err = jsonErr
		}
	}
	if d.json || err != nil {
		return err
	}
	return show()
}

// openOperator opens the secret and finds the registry of its keys.
func (o secretOptions) openOperator(ctx context.Context, c *terminal.Console) (*openedSecret, error) {
	d, err := o.openSecret(ctx, c, o.jsonOption, o.yesOption)
	if err != nil {
		return nil, err
	}
	return d, d.find(ctx, o.registryOptions)
}

// openSecret opens the secret for a command that can work without a registry.
func (o secretArgument) openSecret(ctx context.Context, c *terminal.Console, result jsonOption,
	confirmed yesOption) (_ *openedSecret, err error) {
	d := &openedSecret{console: c, json: result.JSON}
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

// find finds the registry of the secret's keys. If it fails, it closes the operator.
func (d *openedSecret) find(ctx context.Context, o registryOptions) (err error) {
	if d.registry, err = o.ofSecret(ctx, d.secret); err != nil {
		d.close()
		return err
	}
	d.Place = placeOf(d.secret, d.registry)
	return nil
}

// placeOf names the secret and its registry. Each question shows them with the account and the
// region, because secrets in many accounts and regions have the same name.
func placeOf(s *managed.Secret, registry *quilt.Client) string {
	if registry == nil {
		return "secret " + s.Name
	}
	return "secret " + s.Name + ", registry " + registry.Host()
}
