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

// UnmarshalText refuses a key that was pasted instead of a name. The error does not quote the key.
func (s *secretID) UnmarshalText(text []byte) error {
	switch name := strings.TrimSpace(string(text)); {
	case strings.HasPrefix(name, "qk_"):
		return errors.New("is a key, not the name of a secret: shells keep a history of arguments, so treat the key " +
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

// open describes the secret for a command that changes it. It refuses a replica.
func (o secretArgument) open(ctx context.Context, c *awsclient.Cloud) (*managed.Secret, error) {
	s, err := managed.Open(ctx, c, string(o.Secret))
	if err == nil {
		err = fault.NoReplica(s.Secret)
	}
	return s, untouched(err)
}

// untouched adds a hint to an interruption before the first write: nothing was changed.
func untouched(err error) error {
	if errors.Is(err, context.Canceled) && terminal.Hint(err) == "" {
		return terminal.WithHint(err, "nothing was changed")
	}
	return err
}

// jsonOption selects JSON output.
type jsonOption struct {
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// yesOption turns off the questions for confirmation.
type yesOption struct {
	Yes bool `short:"y" help:"Do not ask for confirmation."`
}

// sweeperOption names the revoke function if the deployment does not.
type sweeperOption struct {
	RevokeFunction string `placeholder:"NAME" help:"Revoke function, which sweeps the secret. Default: the function that the tag quilt-rotate:revoke-function of the rotate function names."`
}

// registryOptions name the registry, and the certificates that verify its identity.
type registryOptions struct {
	Registry string `placeholder:"URL" xor:"registry" help:"URL of the registry. Default: the registry that the secret's tag or its rotate function names. Without a secret: QUILT_REGISTRY_URL."`
	Catalog  string `placeholder:"URL" xor:"registry" help:"URL of the Quilt catalog, which you open in a browser. Its config.json names the registry."`
	CABundle string `name:"ca-bundle" placeholder:"FILE" env:"QUILT_CA_BUNDLE" help:"PEM file with the certificates of the private authority that signed the registry's certificate."`
}

// client returns the options for each client of the registry.
func (o registryOptions) client() (options quilt.Options, err error) {
	if o.CABundle != "" {
		if options.CABundle, err = os.ReadFile(o.CABundle); err != nil {
			err = fmt.Errorf("read the CA bundle: %w", err)
		}
	}
	return options, err
}

// given returns the registry that the options name, or "" if they name none, and the options for
// its client. It refuses a catalog that is too old for API keys.
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

// ofSecret returns a client of the registry that the secret's keys belong to. Each command that
// works on a secret uses it. A key must not be sent to another registry, and if another registry
// refuses a key, the key looks revoked. The rules are:
//
//   - The secret's tag names the registry. Without a tag, the environment of the rotate function
//     does.
//   - An option that names another registry is refused. If the secret has the tag, a variable that
//     names another registry is refused too.
//   - If neither the tag nor the function names the registry, an option must. A variable is not
//     enough, because it may be left from work at another registry.
//   - If the function cannot be read, one of the secret's keys must log in at the registry that the
//     option names.
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
		return nil, terminal.WithHint(fmt.Errorf("it is not known which registry the keys of %s belong to: %w", s.Name,
			awsclient.Explain(err)), nameRegistry)
	}
	if client, err = typedRegistry(s, typed, options); err != nil {
		return nil, err
	}
	return client, operations.LogsInThere(ctx, s, client)
}

const nameRegistry = "name the registry with --registry or --catalog; the variable " + settings.EnvRegistryURL +
	" is not enough, because it may name another registry"

// typedRegistry returns a client of the registry that the options name. s is nil for a command
// without a secret.
func typedRegistry(s *managed.Secret, typed string, options quilt.Options) (*quilt.Client, error) {
	if typed == "" {
		err := errors.New("no registry is named")
		if s != nil {
			err = fmt.Errorf("it is not known which registry the keys of %s belong to: the secret has no tag %s, and "+
				"no function rotates it", s.Name, settings.TagRegistry)
		}
		return nil, terminal.WithHint(&usageError{err}, nameRegistry)
	}
	client, err := quilt.NewClient(typed, options)
	if err != nil {
		return nil, fmt.Errorf("the registry's URL: %w", err)
	}
	return client, nil
}

// alone returns a client of the registry for a command without a secret. The options name the
// registry. If they do not, the environment does.
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
