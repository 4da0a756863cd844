// Package managed reads managed secrets for operators: the data of Secrets Manager, the two
// functions that serve a secret, the registry of its keys, and its settings. It also finds which
// secrets are managed ([ListSecrets]), and which of them hold a key ([Scan]). Start with [Secret].
//
// The package only reads, except for [Secret.Sweep], which invokes the revoke function. A key is
// sent only to the registry that the secret's tag or its deployed function names. If an option
// names another registry, it is refused.
package managed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Secret is a managed secret, or a secret that will become managed.
type Secret struct {
	vault.Secret

	// RevokeFunction names the revoke function, if the caller knows it. If it is "", the tag of the
	// rotate function names it.
	RevokeFunction string

	cloud  *awsclient.Cloud
	rotate *awsclient.Function // the rotate function, after it was read
}

// Deployed reports whether the secret names a rotate function. Rotation may be off, and the
// function may have been deleted.
func (s *Secret) Deployed() bool { return s.Rotation.Function != "" }

// NamesRegistry reports whether the secret names the registry of its keys: by its tag, or by its
// rotate function.
func (s *Secret) NamesRegistry() bool { return s.Deployed() || s.RegistryTagged() }

// RegistryTagged reports whether the secret has the tag that names its registry.
func (s *Secret) RegistryTagged() bool { return strings.TrimSpace(s.Tags[settings.TagRegistry]) != "" }

// PausedUntil returns when the pause of a secret's sweeps ends, or nil if they are not paused. A
// tag of an older release that is not a valid time does not pause sweeps, because a sweep refuses
// it.
func PausedUntil(s vault.Secret) *time.Time {
	tagged, _ := time.Parse(time.RFC3339, strings.TrimSpace(s.Tags[settings.TagPauseUntil]))
	until := s.PausedUntil(tagged).UTC()
	if !s.Now.Before(until) {
		return nil
	}
	return &until
}

// DeletedError reports that a secret is marked for deletion.
type DeletedError struct{ Secret string }

func (e *DeletedError) Error() string { return "the secret " + e.Secret + " is marked for deletion" }

// Open describes a secret, by name or ARN. It fails with a [*DeletedError] if the secret is marked
// for deletion.
func Open(ctx context.Context, c *awsclient.Cloud, secretID string) (*Secret, error) {
	described, err := c.Vault.Describe(ctx, secretID)
	if err != nil {
		return nil, err
	}
	if described.Deleted {
		return nil, terminal.WithHint(&DeletedError{described.Name}, "to restore it: "+RestoreCommand(described.Name))
	}
	return &Secret{Secret: described, cloud: c}, nil
}

// Managed reports whether the secret is managed: see [ListSecrets]. It fails if the secret's
// function could not be looked at.
func (s *Secret) Managed(ctx context.Context) (bool, error) {
	if Marked(s.Tags, s.Sorted()) || !s.Deployed() {
		return Marked(s.Tags, s.Sorted()), nil
	}
	f, err := s.cloud.Function(ctx, s.Rotation.Function)
	if awsclient.NotFound(err) {
		return false, nil
	}
	return f.Tags[settings.TagRevokeFunction] != "", err
}

// Look describes the secret again.
func (s *Secret) Look(ctx context.Context) error {
	described, err := s.cloud.Vault.Describe(ctx, s.ARN)
	if err != nil {
		return err
	}
	s.Secret = described
	return nil
}

// Value reads a version's value and takes it apart. It fails as vault.Read and apikey.ParseValue
// do.
func (s *Secret) Value(ctx context.Context, versionID string) (apikey.Value, error) {
	raw, err := s.cloud.Vault.Read(ctx, s.ARN, versionID)
	if err != nil {
		return apikey.Value{}, err
	}
	return apikey.ParseValue(raw, s.Tags[settings.TagField])
}

// Raw returns a version's value without parsing it.
func (s *Secret) Raw(ctx context.Context, versionID string) (redact.Text, error) {
	return s.cloud.Vault.Read(ctx, s.ARN, versionID)
}

// NotRotated returns the hint for a secret whose rotation is off.
func NotRotated(secret string) string {
	return "switch it on: quilt-rotate adopt " + secret + " --schedule 'rate(30 days)'"
}

// NotRotated returns the hint for this secret if no function rotates it.
func (s *Secret) NotRotated() string {
	if s.NamesRegistry() {
		return NotRotated(s.Name)
	}
	return NotRotated(s.Name) + " --registry URL"
}

// RotateFunction describes the function that Secrets Manager rotates the secret with.
func (s *Secret) RotateFunction(ctx context.Context) (awsclient.Function, error) {
	if s.rotate != nil {
		return *s.rotate, nil
	}
	if s.Rotation.Function == "" {
		return awsclient.Function{}, terminal.WithHint(fmt.Errorf("the secret %s has no rotation function", s.Name),
			s.NotRotated())
	}
	f, err := s.cloud.Function(ctx, s.Rotation.Function)
	if err != nil {
		return awsclient.Function{}, unseen(s.Name, s.Rotation.Function, err)
	}
	s.rotate = &f
	return f, nil
}

// UnseenFunctionError reports that a secret's rotation function could not be read: it was deleted,
// or the caller has no permission.
type UnseenFunctionError struct {
	Deleted bool
	error
}

// Unwrap returns the error of AWS.
func (e *UnseenFunctionError) Unwrap() error { return e.error }

func unseen(secret, function string, err error) error {
	switch {
	case awsclient.NotFound(err):
		gone := fmt.Errorf("the rotation function of %s no longer exists: %s", secret, function)
		return terminal.WithHint(&UnseenFunctionError{true, gone}, "deploy the stack again; quilt-rotate emergency, "+
			"retire, recover and rollback work without it")
	case awsclient.Denied(err):
		return &UnseenFunctionError{false, err}
	}
	return err
}

// ForeignFunctionError reports that a secret's rotation function is not a function of quilt-rotate.
type ForeignFunctionError struct {
	Function, Secret string // names
	cause            error
}

func (e *ForeignFunctionError) Error() string {
	return fmt.Sprintf("the function %s of the secret %s is not one of quilt-rotate: its %s %v", e.Function, e.Secret,
		settings.EnvRegistryURL, e.cause)
}

// Unwrap returns the error in the settings of the function.
func (e *ForeignFunctionError) Unwrap() error { return e.cause }

// RegistryURL returns the registry that the secret's keys belong to: the registry that its tag
// names, or the registry of the deployed function. It fails with [fault.WrongRegistry] if the two
// differ. If the function cannot be read, the tag is enough.
func (s *Secret) RegistryURL(ctx context.Context) (string, error) {
	tagged, err := settings.RegistryOf(s.Tags)
	if err != nil || tagged != "" && !s.Deployed() {
		return tagged, err
	}
	url, err := s.FunctionRegistryURL(ctx)
	if _, foreign := errors.AsType[*ForeignFunctionError](err); err != nil && !foreign && tagged != "" &&
		ctx.Err() == nil {
		return tagged, nil
	}
	if err != nil {
		return "", err
	}
	return url, fault.SameRegistry(s.Secret, tagged, url)
}

// FunctionRegistryURL returns the registry that the deployed function uses.
func (s *Secret) FunctionRegistryURL(ctx context.Context) (string, error) {
	f, err := s.RotateFunction(ctx)
	if err != nil {
		return "", err
	}
	url, err := settings.RegistryURL(f.Environment[settings.EnvRegistryURL])
	if err != nil {
		return "", terminal.WithHint(&ForeignFunctionError{f.Name, s.Name, err},
			"to see what rotates the secret: aws secretsmanager describe-secret --secret-id "+s.Name+
				"; to manage it here instead: docs/tools/console.md")
	}
	return url, nil
}

// Registry returns a client of the registry that [Secret.ResolveRegistry] returns.
func (s *Secret) Registry(ctx context.Context, given string, options quilt.Options) (*quilt.Client, error) {
	url, err := s.ResolveRegistry(ctx, given)
	if err != nil {
		return nil, err
	}
	return quilt.NewClient(url, options)
}

// ResolveRegistry returns the secret's registry. given is the registry that the options name, or
// "". It fails if given is another registry, because a key is sent only to its own registry.
func (s *Secret) ResolveRegistry(ctx context.Context, given string) (string, error) {
	url, err := s.RegistryURL(ctx)
	if err != nil || given == "" {
		return url, err
	}
	if given, err = settings.RegistryURL(given); err != nil {
		return "", fmt.Errorf("the registry's URL %w", err)
	}
	if given != url {
		return "", terminal.WithHint(fmt.Errorf("the keys of %s belong to the registry %s, not to %s", s.Name, url,
			given),
			"leave out --registry and --catalog and unset "+settings.EnvRegistryURL+": the secret's tag or its "+
				"function names the registry")
	}
	return url, nil
}

// ForRotation returns the settings for the secret's rotations. The environment of the deployed
// function gives the defaults, and the tags of the secret override them.
func (s *Secret) ForRotation(ctx context.Context) (settings.Rotation, error) {
	f, err := s.RotateFunction(ctx)
	if err != nil {
		return settings.Rotation{}, err
	}
	env, err := settings.LoadRotate(settings.Deployed(f.Environment))
	if err != nil {
		return settings.Rotation{}, fmt.Errorf("the function %s: %w", f.Name, err)
	}
	return env.ForSecret(s.Tags)
}

// Sweeper returns the name of the revoke function, which sweeps the secret.
func (s *Secret) Sweeper(ctx context.Context) (string, error) {
	if s.RevokeFunction != "" {
		return s.RevokeFunction, nil
	}
	f, err := s.RotateFunction(ctx)
	if err != nil {
		return "", err
	}
	name := f.Tags[settings.TagRevokeFunction]
	if name == "" {
		return "", terminal.WithHint(fmt.Errorf("it is not known which function sweeps %s: the function %s has "+
			"no tag %s", s.Name, f.Name, settings.TagRevokeFunction),
			"name it with --revoke-function, or deploy the stack again")
	}
	return name, nil
}

// Sweep invokes the revoke function for the secret. With dryRun, the function only reports what a
// sweep would do. Sweep fails with a [*awsclient.FunctionError] if the sweep failed. The result of
// a dry run has the error that a sweep would fail with.
func (s *Secret) Sweep(ctx context.Context, dryRun bool) (revocation.Result, error) {
	name, err := s.Sweeper(ctx)
	if err != nil {
		return revocation.Result{}, err
	}
	answer, err := s.cloud.Invoke(ctx, name, map[string]any{"secretId": s.ARN, "dryRun": dryRun})
	if err != nil {
		return revocation.Result{}, err
	}
	var result revocation.Result
	if json.Unmarshal(answer, &result) != nil || result.Outcome == "" {
		return revocation.Result{}, errors.New("the answer of the function " + name + " is not the result of a sweep")
	}
	return result, nil
}

// Restart returns the ECS services that the secret's tag names. They read the key only at their
// start.
func (s *Secret) Restart() ([]settings.Service, error) {
	text := s.Tags[settings.TagRestart]
	if text == "" {
		return nil, nil
	}
	services, err := settings.ParseRestart(text)
	if err != nil {
		return nil, fmt.Errorf("the tag %s of %s %w", settings.TagRestart, s.Name, err)
	}
	return services, nil
}
