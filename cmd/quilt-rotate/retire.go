package main

import (
	"context"
	"fmt"

	"quilt-rotate/internal/cli/login"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
)

type retireCommand struct {
	secretArgument
	sweeperOption
	registryOptions
	jsonOption
	yesOption
	User  string `placeholder:"NAME" xor:"person" help:"Log in at the registry with this user's password, to see who uses the key without using it."`
	Login bool   `xor:"person" help:"Log in with a code or a key that is asked for, likewise."`
	Wait  bool   `xor:"wait" help:"Wait here until nobody has used the keys for the quiet period."`
	Force bool   `xor:"wait" help:"Do not wait: the service is gone for sure."`
}

// Help says what goes, and what stays.
func (retireCommand) Help() string {
	return `For a secret whose service is gone. Shows which keys will die and when they were used last, and asks. Then: switches rotation off, has every key revoked that was made for the secret, the current one last, and takes its labels and tags off. Keys of other users, and those that another secret in care needs, are left.

Keys are revoked when nobody has used one of them for the quiet period. That can be seen only by another login of the same user: --login, --user, or the secret's issuer. If labels move while it runs, it stops. The secret itself stays; what is left to delete is told. It goes on where it was cut off.

With --json: an object with secret, arn, rotationOff, keys [{keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt, current, fate, keptBy}], complete; it is printed too where the command failed. What is not known is left out.`
}

func (o *retireCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, closeOperator, err := openOperator(ctx, c, o.JSON, o.Yes)
	if err != nil {
		return err
	}
	defer closeOperator()
	s, err := o.open(ctx, d.Cloud)
	if err != nil {
		return err
	}
	s.RevokeFunction = o.RevokeFunction
	options, err := o.options(ctx, c, s)
	if err != nil {
		return err
	}
	retired, err := d.Retire(ctx, s, options)
	closeOperator()
	if o.JSON {
		if jsonErr := c.JSON(retired); jsonErr != nil {
			return jsonErr
		}
	}
	if err != nil || o.JSON {
		return err
	}
	_ = c.Tell(terminal.Done, s.Name+" is retired", "nothing of quilt-rotate is left on it") // an output that is gone is told at the end
	_, err = fmt.Fprintf(c.Err, "left to do:\n  move its entry in the stack's YAML file from keys to retired, and deploy: its schedules go\n  when nobody needs the rest of its value: aws secretsmanager delete-secret --secret-id %s\n", s.Name)
	return err
}

func (o *retireCommand) options(ctx context.Context, c *terminal.Console, s *managed.Secret) (operations.RetireOptions, error) {
	options := operations.RetireOptions{Force: o.Force, Wait: o.Wait}
	var err error
	if options.Registry, err = o.ofSecret(ctx, s); err != nil {
		return options, err
	}
	if o.Login || o.User != "" {
		options.Person, _, err = login.LogIn(ctx, c, options.Registry, login.Way{User: o.User})
	}
	return options, err
}
