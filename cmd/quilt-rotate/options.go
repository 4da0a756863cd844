package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/login"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// A secretID is a secret's name or ARN.
type secretID string

// UnmarshalText refuses a key that was pasted instead of a name. The error does not quote it.
func (s *secretID) UnmarshalText(text []byte) error {
	switch name := strings.TrimSpace(string(text)); {
	case strings.HasPrefix(name, "qk_"):
		return errors.New("is a key, and not a secret's name: shells keep a history of arguments, so treat the key " +
			"as leaked (quilt-rotate emergency)")
	case name == "":
		return errors.New("is empty: give the name or ARN of a secret")
	default:
		*s = secretID(name)
	}
	return nil
}

// secretArgument names the secret that a command works on.
type secretArgument struct {
	Secret secretID `arg:"" help:"Name or ARN of the secret."`
}

// open describes the secret, for a command that changes it.
func (o secretArgument) open(ctx context.Context, c *awsclient.Cloud) (*managed.Secret, error) {
	s, err := managed.Open(ctx, c, string(o.Secret))
	if err == nil {
		err = fault.NoReplica(s.Secret)
	}
	return s, untouched(err)
}

// untouched adds to an interruption before the first write that nothing was changed.
func untouched(err error) error {
	if errors.Is(err, context.Canceled) && terminal.Hint(err) == "" {
		return terminal.WithHint(err, "nothing was done")
	}
	return err
}

// jsonOption selects a result for programs.
type jsonOption struct {
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// yesOption confirms without a question.
type yesOption struct {
	Yes bool `short:"y" help:"Answer yes to the questions for confirmation."`
}

// sweeperOption names the function that sweeps, if the deployment does not.
type sweeperOption struct {
	RevokeFunction string `placeholder:"NAME" help:"Function that sweeps the secret. Default: the function that a tag of its rotate function names."`
}

// registryOptions name the registry and the certificates that it is trusted by.
type registryOptions struct {
	Registry string `placeholder:"URL" xor:"registry" help:"URL of the registry. Default: the registry that the secret's tag or its rotate function names; without a secret, QUILT_REGISTRY_URL."`
	Catalog  string `placeholder:"URL" xor:"registry" help:"URL of the Quilt catalog, whose config.json names the registry."`
	CABundle string `name:"ca-bundle" placeholder:"FILE" env:"QUILT_CA_BUNDLE" help:"PEM file with the certificates of the private authority that signed the registry's certificate."`
}

// client returns the options of every client of the registry.
func (o registryOptions) client() (options quilt.Options, err error) {
	if o.CABundle != "" {
		if options.CABundle, err = os.ReadFile(o.CABundle); err != nil {
			err = fmt.Errorf("read the CA bundle: %w", err)
		}
	}
	return options, err
}

// given returns the registry that the options name, or "", and the options of its client. A catalog
// that is too old for API keys is refused.
func (o registryOptions) given(ctx context.Context) (string, quilt.Options, error) {
	options, err := o.client()
	if err != nil {
		return "", options, err
	}
	if o.Registry != "" {
		if _, err := settings.RegistryURL(o.Registry); err != nil {
			return "", options, terminal.WithHint(&usageError{fmt.Errorf("--registry: %w", err)},
				"or give --catalog with the URL that you open in a browser")
		}
	}
	if o.Catalog == "" {
		return o.Registry, options, nil
	}
	catalog, err := quilt.Discover(ctx, o.Catalog, options)
	if err != nil {
		return "", options, err
	}
	return catalog.RegistryURL, options, login.CheckPlatform(catalog)
}

// ofSecret returns a client of the registry that the secret's keys belong to, for every command
// that works on a secret. A key must be shown to no other registry, and the refusals of another one
// look like revoked keys. So the secret's tag decides, or without a tag the environment of its
// function, and an option that names another registry is refused. If the secret has the tag, a
// variable that differs is refused, too. If neither names the registry, it must be typed as an
// option: a variable may be left from work at another registry. If the function cannot be looked
// at, one of the secret's keys must also log in at the registry that was typed.
func (o registryOptions) ofSecret(ctx context.Context, s *managed.Secret) (*quilt.Client, error) {
	typed, options, err := o.given(ctx)
	if err != nil {
		return nil, err
	}
	if s == nil || !s.NamesRegistry() {
		return typedRegistry(s, typed, options)
	}
	given := typed
	if given == "" && s.RegistryTagged() {
		given = os.Getenv(settings.EnvRegistryURL)
	}
	client, err := s.Registry(ctx, given, options)
	if _, unseen := errors.AsType[*managed.UnseenFunctionError](err); !unseen {
		return client, err
	}
	if typed == "" {
		return nil, terminal.WithHint(fmt.Errorf("nothing says which registry the keys of %s belong to: %w", s.Name,
			awsclient.Explain(err)), nameRegistry)
	}
	if client, err = typedRegistry(s, typed, options); err != nil {
		return nil, err
	}
	return client, operations.LogsInThere(ctx, s, client)
}

const nameRegistry = "name the registry with --registry or --catalog; the variable " + settings.EnvRegistryURL +
	" is not enough, because it may be another registry's"

func typedRegistry(s *managed.Secret, typed string, options quilt.Options) (*quilt.Client, error) {
	if typed == "" {
		err := errors.New("no registry is named")
		if s != nil {
			err = fmt.Errorf("nothing says which registry the keys of %s belong to: it has no tag %s, and no "+
				"function rotates it", s.Name, settings.TagRegistry)
		}
		return nil, terminal.WithHint(&usageError{err}, nameRegistry)
	}
	client, err := quilt.NewClient(typed, options)
	if err != nil {
		return nil, fmt.Errorf("the registry's URL: %w", err)
	}
	return client, nil
}

// alone returns a client of the registry that the options or else the environment name, for
// commands that work on no secret.
func (o registryOptions) alone(ctx context.Context) (*quilt.Client, error) {
	given, options, err := o.given(ctx)
	if err != nil {
		return nil, err
	}
	if given = cmp.Or(given, os.Getenv(settings.EnvRegistryURL)); given == "" {
		return nil, terminal.WithHint(&usageError{errors.New("no registry is named")},
			"give --catalog with the URL that you open in a browser, or --registry, or set "+settings.EnvRegistryURL)
	}
	return typedRegistry(nil, given, options)
}
