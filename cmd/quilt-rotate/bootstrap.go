package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/login"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

type bootstrapCommand struct {
	secretArgument
	registryOptions
	loginOptions
	keyOptions
	jsonOption
	yesOption
	Plain  bool   `xor:"place" help:"Store the key as the whole value, not in a field of a JSON object."`
	KMSKey string `name:"kms-key" placeholder:"ID" help:"KMS key for a new secret. Default: the AWS managed key of Secrets Manager."`
}

// loginOptions select how to log in at the registry. Text that a user types is not shown. It can
// also be read from standard input.
type loginOptions struct {
	User string `placeholder:"NAME" help:"Log in as this user with a password that the command asks for. Default: the command asks for the code that the registry's login page shows, or for an API key."`
}

func (o loginOptions) logIn(c *terminal.Console) operations.Login {
	return func(ctx context.Context, registry *quilt.Client) (*quilt.Session, quilt.Identity, error) {
		return login.LogIn(ctx, c, registry, login.Way{User: o.User})
	}
}

// keyOptions are settings of a secret that are written as its tags.
type keyOptions struct {
	Field         string `placeholder:"NAME" xor:"place" help:"Field of the JSON object that holds the key. Default: QUILT_API_KEY."`
	KeyName       string `placeholder:"LABEL" help:"Start of the names of the secret's keys. Default: the secret's name."`
	ExpiresInDays *int   `placeholder:"N" help:"How long a key is valid: 1 to 365 days. Default: the rotate function's setting, or 90."`
	Owner         string `placeholder:"EMAIL" help:"Registry user that the keys belong to. Default: the user who logs in."`
}

// tags returns the tags that the options set.
func (o keyOptions) tags() map[string]string {
	tags := map[string]string{}
	days := ""
	if o.ExpiresInDays != nil {
		days = strconv.Itoa(*o.ExpiresInDays)
	}
	for name, value := range map[string]string{
		settings.TagField: o.Field, settings.TagKeyName: o.KeyName, settings.TagExpiresInDays: days,
		settings.TagOwner: o.Owner,
	} {
		if value != "" {
			tags[name] = value
		}
	}
	return tags
}

// Help is the long help.
func (bootstrapCommand) Help() string {
	return `Asks you to log in at the registry, creates a key, and stores it in the secret. If the secret does not exist, the
command asks for confirmation and creates it. If the current value holds a key that logs in, nothing is changed.

If the command is interrupted, run it again to continue.

  quilt-rotate bootstrap prod/pipeline
  quilt-rotate bootstrap prod/new --catalog https://quilt.example.com --user svc_pipeline --yes < password.txt

With --json: an object with secret, arn, outcome (installed, resumed, reused, moved or works), createdSecret, madeBy
(issuer or login), versionId, key {keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt},
rotation {on, next}. Unknown values are left out.`
}

// checkGiven validates the tags that options set, before any request is sent. The error names the
// option.
func checkGiven(tags, options map[string]string) error {
	_, ofRotation := settings.Rotate{ExpiresInDays: settings.DefaultExpiresInDays}.ForSecret(tags)
	_, ofRevocation := settings.Revoke{}.ForSecret(tags)
	for _, err := range []error{ofRotation, ofRevocation} {
		if fault, ok := errors.AsType[*settings.Fault](err); ok {
			return &usageError{fmt.Errorf("%s: %s", cmp.Or(options[fault.Name], "--tag "+fault.Name), fault.Problem)}
		}
	}
	if _, err := settings.ParseRestart(tags[settings.TagRestart]); err != nil {
		return &usageError{fmt.Errorf("--tag %s: %w", settings.TagRestart, err)}
	}
	return nil
}

// optionOf maps tags to the options that set them.
var optionOf = map[string]string{
	settings.TagField: "--field", settings.TagKeyName: "--key-name", settings.TagExpiresInDays: "--expires-in-days",
	settings.TagOwner: "--owner",
	settings.TagGrace: "--grace", settings.TagQuiet: "--quiet", settings.TagHoldLimit: "--hold-limit",
	settings.TagIssuer: "--issuer",
}

func (o *bootstrapCommand) Run(ctx context.Context, c *terminal.Console) error {
	if err := checkGiven(o.tags(), optionOf); err != nil {
		return err
	}
	d, closeOperator, err := openOperator(ctx, c, o.JSON, o.Yes)
	if err != nil {
		return err
	}
	defer closeOperator()
	s, err := o.open(ctx, d.Cloud)
	if awsclient.NotFound(err) {
		s, err = nil, nil
	}
	if err != nil {
		return err
	}
	if s != nil && o.KMSKey != "" {
		return &usageError{errors.New("--kms-key: only for a new secret, and the secret " + s.Name + " exists")}
	}
	registry, err := o.ofSecret(ctx, s)
	if err != nil {
		return err
	}
	d.Place = "secret " + string(o.Secret) + ", registry " + registry.Host()
	done, err := d.Bootstrap(ctx, operations.Bootstrap{
		Name: string(o.Secret), Secret: s, Registry: registry, Tags: o.tags(), Alone: o.Plain, KMSKey: o.KMSKey,
		LogIn: o.logIn(c),
	})
	closeOperator()
	return printKeyIn(c, o.jsonOption, done, err)
}

// printKeyIn prints the key that a secret holds now.
func printKeyIn(c *terminal.Console, o jsonOption, done operations.KeyIn, err error) error {
	if o.JSON && (err == nil || done.VersionID != "") { // the version is current, even if a later step failed
		if jsonErr := c.JSON(done); jsonErr != nil {
			return jsonErr
		}
		return err
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out)
	for _, row := range keyRows(done) {
		if err == nil {
			_, err = fmt.Fprintln(c.Out, "  "+terminal.Faint.Render(fmt.Sprintf("%-12s", row[0])),
				terminal.Legible(row[1]))
		}
	}
	return err
}

func keyRows(done operations.KeyIn) [][2]string {
	k := done.Key
	rows := [][2]string{{"secret", done.Secret}, {"version", done.VersionID}}
	if k.KeyName != "" {
		rows = append(rows, [2]string{"key", k.KeyName}, [2]string{"id", k.KeyID})
	}
	rows = append(rows, [2]string{"fingerprint", k.Fingerprint}, [2]string{"owner", k.Owner})
	if !k.ExpiresAt.IsZero() {
		rows = append(rows, [2]string{"expires on", k.ExpiresAt.UTC().Format("2006-01-02")})
	}
	return append(rows, [2]string{"rotation", rotationText(done.Secret, done.Rotation)})
}

func rotationText(secret string, r operations.Rotation) string {
	switch {
	case !r.On:
		return "off; to " + managed.NotRotated(secret)
	case r.Next.IsZero():
		return "on"
	}
	return "on, next by " + r.Next.UTC().Format("2006-01-02")
}
