package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/login"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// keysCommand has the registry's own operations on keys. A registry creates keys only for the
// caller, and returns the text of a key once. Only create and exec pass a key on: create writes it
// to a file or a pipe.
type keysCommand struct {
	List   keysListCommand   `cmd:"" help:"List your keys, or the keys of all users with --admin."`
	Get    keysGetCommand    `cmd:"" help:"Show the details of a key."`
	Create keysCreateCommand `cmd:"" help:"Create a key and write it to a file or a pipe."`
	Revoke keysRevokeCommand `cmd:"" help:"Revoke keys permanently."`
}

// keyLogin selects how to log in at the registry.
type keyLogin struct {
	registryOptions
	User   string   `placeholder:"NAME" xor:"login" help:"Log in as this user with a password that the command asks for. Default: log in with the key in QUILT_API_KEY. If it is not set, the command asks for a login code or a key."`
	Secret secretID `name:"secret" placeholder:"NAME" xor:"login" help:"Log in with the current key of this secret."`
}

// environmentKey is the variable of a key to log in with, as quilt3 reads it.
const environmentKey = apikey.DefaultField

// registryVariable returns the name of the variable with the registry of the key in keyVariable.
// `exec` sets both.
func registryVariable(keyVariable string) string { return keyVariable + "_REGISTRY" }

// keyFromEnvironment returns the key in QUILT_API_KEY, if it is set. It fails if the environment
// says that the key belongs to another registry.
func keyFromEnvironment(c *terminal.Console, registry *quilt.Client) (apikey.Key, error) {
	text := os.Getenv(environmentKey)
	if text == "" {
		return apikey.Key{}, nil
	}
	for _, variable := range []string{registryVariable(environmentKey), settings.EnvRegistryURL} {
		belongs := os.Getenv(variable)
		if url, err := settings.RegistryURL(belongs); belongs != "" && (err != nil || url != registry.URL()) {
			return apikey.Key{}, terminal.WithHint(fmt.Errorf("the key in %s belongs to the registry in %s, %s, and "+
				"is not sent to %s", environmentKey, variable, redact.Clip(belongs, 200), registry.URL()),
				"log in with --user or --secret, or unset "+environmentKey+" so that the command asks for a login")
		}
	}
	key, err := apikey.Parse(text)
	if err != nil {
		return key, terminal.WithHint(fmt.Errorf("%s is %w", environmentKey, err),
			"correct the variable, or unset it so that the command asks for a login")
	}
	_, err = fmt.Fprintf(c.Err, "logging in with the key in %s\n", environmentKey)
	return key, err
}

// registry returns a client of the registry of the secret, and the secret's current key. Without a
// secret, it returns a client of the registry that the options or the environment name.
func (o keyLogin) registry(ctx context.Context, c *terminal.Console) (*quilt.Client, apikey.Key, error) {
	if o.Secret == "" {
		client, err := o.alone(ctx)
		return client, apikey.Key{}, err
	}
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return nil, apikey.Key{}, err
	}
	s, err := secretArgument{o.Secret}.open(ctx, aws)
	if err != nil {
		return nil, apikey.Key{}, err
	}
	key, err := currentKey(ctx, s)
	if err != nil {
		return nil, apikey.Key{}, err
	}
	client, err := o.ofSecret(ctx, s)
	return client, key, err
}

// logIn logs in at the registry that the options name.
func (o keyLogin) logIn(ctx context.Context, c *terminal.Console) (*quilt.Session, quilt.Identity, error) {
	client, key, err := o.registry(ctx, c)
	if err != nil {
		return nil, quilt.Identity{}, err
	}
	return o.logInAt(ctx, c, client, key, apikey.Key{})
}

// logInAt logs in. own is the key to use if neither the options nor the environment give one. If
// own is the zero Key, the command asks for a login.
func (o keyLogin) logInAt(ctx context.Context, c *terminal.Console, client *quilt.Client, key,
	own apikey.Key) (_ *quilt.Session, _ quilt.Identity, err error) {
	way := login.Way{User: o.User, Key: key}
	if o.User == "" && key.IsZero() {
		if way.Key, err = keyFromEnvironment(c, client); err != nil {
			return nil, quilt.Identity{}, err
		}
		if way.Key.IsZero() {
			way.Key = own
		}
	}
	session, me, err := login.LogIn(ctx, c, client, way)
	if quilt.RefusesLogin(err) && terminal.Hint(err) == "" {
		err = terminal.WithHint(err, "log in another way: with --user, with --secret, or with a code from "+
			client.CodeURL())
	}
	return session, me, err
}

// everybody selects the keys of all users instead of the user's own keys.
type everybody struct {
	Admin bool `help:"Work on the keys of all users. For administrators."`
}

func (o everybody) allow(me quilt.Identity) error {
	if o.Admin && !me.IsAdmin {
		return terminal.WithHint(fmt.Errorf("%s is not an administrator of the registry", me.Email),
			"leave --admin out, or log in as an administrator")
	}
	return nil
}

func (o everybody) get(ctx context.Context, s *quilt.Session, id string) (*quilt.APIKey, error) {
	if o.Admin {
		return s.AdminGetKey(ctx, id)
	}
	return s.GetKey(ctx, id)
}

// unknownKey returns the error for an id that does not exist.
func (o everybody) unknownKey(id string, me quilt.Identity) error {
	if o.Admin {
		return terminal.WithHint(fmt.Errorf("the registry has no key with the id %s", id),
			"to see the ids: quilt-rotate keys list --admin")
	}
	return terminal.WithHint(fmt.Errorf("%s has no key with the id %s", me.Email, id),
		"to see the ids: quilt-rotate keys list; for keys of other users, add --admin")
}

// A keyID is the id of a key at the registry. It is opaque and has no spaces.
type keyID string

// UnmarshalText refuses a key that was given instead of an id. The error does not quote it.
func (k *keyID) UnmarshalText(text []byte) error {
	const longest = 200
	id := strings.TrimSpace(string(text))
	switch {
	case strings.HasPrefix(id, "qk_"):
		return errors.New("is a key, not the id of a key: shells keep a history of arguments, so treat the key as " +
			"leaked, and give it on standard input (keys revoke --from-stdin)")
	case id == "" || len(id) > longest ||
		strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return errors.New("must be the id of a key, as quilt-rotate keys list shows it")
	}
	*k = keyID(id)
	return nil
}

// shownKey is a key as it is printed in JSON. It does not have the secret text.
type shownKey struct {
	KeyID       string       `json:"keyId"`
	KeyName     string       `json:"keyName"`
	Fingerprint string       `json:"fingerprint"`
	Owner       string       `json:"owner"`
	Status      quilt.Status `json:"status"`
	CreatedAt   time.Time    `json:"createdAt"`
	ExpiresAt   time.Time    `json:"expiresAt"`
	LastUsedAt  *time.Time   `json:"lastUsedAt"`
	File        string       `json:"file,omitempty"` // file that a new key was written to
}

func shownKeyOf(k quilt.APIKey) shownKey {
	s := shownKey{k.ID, k.Name, k.Fingerprint, k.UserEmail, k.Status, k.CreatedAt.UTC(), k.ExpiresAt.UTC(), nil, ""}
	if k.LastUsedAt != nil {
		used := k.LastUsedAt.UTC()
		s.LastUsedAt = &used
	}
	return s
}

func keyUsed(k quilt.APIKey) string {
	if k.LastUsedAt == nil {
		return "never"
	}
	return terminal.Ago(k.RegistryTime.Sub(*k.LastUsedAt))
}

func keyExpires(k quilt.APIKey) string {
	if left := k.ExpiresAt.Sub(k.RegistryTime); left > 0 {
		return "in " + terminal.About(left)
	}
	return terminal.Ago(k.RegistryTime.Sub(k.ExpiresAt))
}

// checkName refuses a name that could make a sweep revoke the key.
func checkName(name string) error {
	const longest = 200
	switch _, ours := apikey.MarkOf(name); {
	case strings.TrimSpace(name) == "" || len(name) > longest || strings.ContainsFunc(name,
		func(r rune) bool { return !unicode.IsPrint(r) }):
		return &usageError{errors.New("--name: must be one line of at most 200 characters, such as " +
			"ci-github-prod-2026q4")}
	case strings.HasPrefix(name, "qk_"):
		return &usageError{errors.New("--name: must not be a key")}
	case ours:
		return &usageError{errors.New("--name: has the format of the names that rotations give, so a sweep could " +
			"revoke the key as an orphan")}
	}
	return nil
}

func checkDays(days int) error {
	if days < settings.MinExpiresInDays || days > settings.MaxExpiresInDays {
		return &usageError{fmt.Errorf("--expires-in-days: must be a whole number from %d to %d",
			settings.MinExpiresInDays, settings.MaxExpiresInDays)}
	}
	return nil
}
