package main

import (
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

// UnmarshalText refuses a key that was pasted in the name's place; it is not quoted.
func (s *secretID) UnmarshalText(text []byte) error {
	switch name := strings.TrimSpace(string(text)); {
	case strings.HasPrefix(name, "qk_"):
		return errors.New("is a key, and not a secret's name: shells keep a history of arguments, so treat the key as leaked (quilt-rotate emergency)")
	case name == "":
		return errors.New("is empty: give the name or ARN of a secret")
	default:
		*s = secretID(name)
	}
	return nil
}

// secretArgument names the secret that a command is about.
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

// untouched says of an interruption before the first write that there was none.
func untouched(err error) error {
	if errors.Is(err, context.Canceled) && terminal.Hint(err) == "" {
		return terminal.WithHint(err, "nothing was done")
	}
	return err
}

// jsonOption asks for a result for programs.
type jsonOption struct {
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// yesOption stands for a person's confirmation.
type yesOption struct {
	Yes bool `short:"y" help:"Confirm what would be asked."`
}

// sweeperOption names the function that sweeps, where the deployment does not tell it.
type sweeperOption struct {
	RevokeFunction string `placeholder:"NAME" help:"Function that sweeps the secret. Default: the one that its rotate function's tag names."`
}

// registryOptions say where the registry is, and how to trust it.
type registryOptions struct {
	Registry string `placeholder:"URL" xor:"registry" help:"URL of the registry. Default: the one that the secret's tag or its rotate function names; without a secret, QUILT_REGISTRY_URL."`
	Catalog  string `placeholder:"URL" xor:"registry" help:"URL of the Quilt catalog, whose config.json names the registry."`
	CABundle string `name:"ca-bundle" placeholder:"FILE" env:"QUILT_CA_BUNDLE" help:"PEM file with the certificates of the private authority that signed the registry's."`
}

// client are the options of every client of the registry.
func (o registryOptions) client() (quilt.Options, error) {
	if o.CABundle == "" {
		return quilt.Options{}, nil
	}
	bundle, err := os.ReadFile(o.CABundle)
	if err != nil {
		return quilt.Options{}, fmt.Errorf("read the CA bundle: %w", err)
	}
	return quilt.Options{CABundle: bundle}, nil
}

// given is the registry that the options name; "" where they name none. A catalog that is too old for API keys is refused.
func (o registryOptions) given(ctx context.Context) (string, error) {
	if o.Registry != "" {
		if _, err := settings.RegistryURL(o.Registry); err != nil {
			return "", terminal.WithHint(&usageError{fmt.Errorf("--registry: %w", err)}, "or give --catalog with the URL that you open in a browser")
		}
	}
	if o.Catalog == "" {
		return o.Registry, nil
	}
	options, err := o.client()
	if err != nil {
		return "", err
	}
	catalog, err := quilt.Discover(ctx, o.Catalog, options)
	if err != nil {
		return "", err
	}
	return catalog.RegistryURL, login.CheckPlatform(catalog)
}

// ofSecret is a client of the registry that the secret's keys belong to; every command that works on a secret finds it here. A key must be shown to no
// other registry, and the refusals of another one look like revoked keys. So the secret's tag decides, or without a tag the environment of its function,
// and an option that names another registry is refused. If the secret has the tag, a variable that differs is refused, too. If neither names the registry,
// it must be typed as an option: a variable may be left from work at another registry. If the function cannot be looked at, one of the secret's
// keys must also log in at the registry that was typed.
func (o registryOptions) ofSecret(ctx context.Context, s *managed.Secret) (*quilt.Client, error) {
	typed, err := o.given(ctx)
	if err != nil {
		return nil, err
	}
	options, err := o.client()
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
		return nil, terminal.WithHint(fmt.Errorf("nothing says which registry the keys of %s belong to: %w", s.Name, awsclient.Explain(err)), nameRegistry)
	}
	if client, err = typedRegistry(s, typed, options); err != nil {
		return nil, err
	}
	return client, operations.LogsInThere(ctx, s, client)
}

const nameRegistry = "name the registry with --registry or --catalog; the variable " + settings.EnvRegistryURL + " is not enough, because it may be another registry's"

func typedRegistry(s *managed.Secret, typed string, options quilt.Options) (*quilt.Client, error) {
	if typed == "" {
		err := errors.New("no registry is named")
		if s != nil {
			err = fmt.Errorf("nothing says which registry the keys of %s belong to: it has no tag %s, and no function rotates it", s.Name, settings.TagRegistry)
		}
		return nil, terminal.WithHint(&usageError{err}, nameRegistry)
	}
	client, err := quilt.NewClient(typed, options)
	if err != nil {
		return nil, fmt.Errorf("the registry's URL: %w", err)
	}
	return client, nil
}

// alone is a client of the registry that the options name, or else the environment: for commands that are about no secret.
func (o registryOptions) alone(ctx context.Context) (*quilt.Client, error) {
	given, err := o.given(ctx)
	if err != nil {
		return nil, err
	}
	if given == "" {
		given = os.Getenv(settings.EnvRegistryURL)
	}
	if given == "" {
		return nil, terminal.WithHint(&usageError{errors.New("no registry is named")}, "give --catalog with the URL that you open in a browser, or --registry, or set "+settings.EnvRegistryURL)
	}
	options, err := o.client()
	if err != nil {
		return nil, err
	}
	client, err := quilt.NewClient(given, options)
	if err != nil {
		return nil, fmt.Errorf("the registry's URL: %w", err)
	}
	return client, nil
}
