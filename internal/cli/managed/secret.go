// Package managed is a managed secret as an operator sees it: what Secrets Manager says about it,
// the two functions that serve it, their registry, and the settings that apply. It also finds which
// secrets are managed, and which of them hold a key ([Scan]).
//
// It only reads. The one exception is [Secret.Sweep], which has the revoke function sweep the
// secret. A key is sent only to the registry that the secret's tag or its deployed function names,
// not to one that somebody typed.
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

// Secret is one managed secret, or one that is to become managed.
type Secret struct {
	vault.Secret

	// RevokeFunction names the function that sweeps, if the caller knows it; otherwise it is found
	// by the rotate function's tag.
	RevokeFunction string

	cloud  *awsclient.Cloud
	rotate *awsclient.Function // once it was looked up
}

// Deployed reports whether a function was ever deployed for the secret's rotation.
func (s *Secret) Deployed() bool { return s.Rotation.Function != "" }

// NamesRegistry reports whether the secret itself says which registry its keys belong to: by its
// tag, or by a deployed function.
func (s *Secret) NamesRegistry() bool { return s.Deployed() || s.RegistryTagged() }

// RegistryTagged reports whether the secret has the tag that names its registry.
func (s *Secret) RegistryTagged() bool { return strings.TrimSpace(s.Tags[settings.TagRegistry]) != "" }

// PausedUntil is when the pause of a secret's sweeps ends; nil if they are not paused. A tag of
// older releases that is no time pauses nothing, because the sweep refuses it.
func PausedUntil(s vault.Secret) *time.Time {
	tagged, _ := time.Parse(time.RFC3339, strings.TrimSpace(s.Tags[settings.TagPauseUntil]))
	until := s.PausedUntil(tagged).UTC()
	if !s.Now.Before(until) {
		return nil
	}
	return &until
}

// DeletedError says that a secret is marked for deletion.
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

// Raw reads a version's value as it is.
func (s *Secret) Raw(ctx context.Context, versionID string) (redact.Text, error) {
	return s.cloud.Vault.Read(ctx, s.ARN, versionID)
}

// NotRotated is what to do about a secret whose rotation is off.
func NotRotated(secret string) string {
	return "switch it on: quilt-rotate adopt " + secret + " --schedule 'rate(30 days)'"
}

// NotRotated is what to do about this secret if no function rotates it.
func (s *Secret) NotRotated() string {
	if s.NamesRegistry() {
		return NotRotated(s.Name)
	}
	return NotRotated(s.Name) + " --registry URL"
}

// RotateFunction is the function that Secrets Manager rotates the secret with.
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

// UnseenFunctionError says that a secret's rotation function could not be looked at: it was
// deleted, or the caller has no permission.
type UnseenFunctionError struct {
	Deleted bool
	error
}

// Unwrap returns what AWS answered.
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

// ForeignFunctionError says that a secret's rotation function is not one of quilt-rotate.
type ForeignFunctionError struct {
	Function, Secret string // names
	cause            error
}

func (e *ForeignFunctionError) Error() string {
	return fmt.Sprintf("the function %s of the secret %s is not one of quilt-rotate: its %s %v", e.Function, e.Secret,
		settings.EnvRegistryURL, e.cause)
}

// Unwrap gives what is wrong with the function's settings.
func (e *ForeignFunctionError) Unwrap() error { return e.cause }

// RegistryURL is the registry that the secret's keys belong to: the one that its tag names, else
// the deployed function's. It fails with [fault.WrongRegistry] if the two differ. If the function
// cannot be looked at, the tag suffices.
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

// FunctionRegistryURL is the registry that the deployed function uses.
func (s *Secret) FunctionRegistryURL(ctx context.Context) (string, error) {
	f, err := s.RotateFunction(ctx)
	if err != nil {
		return "", err
	}
	url, err := settings.RegistryURL(f.Environment[settings.EnvRegistryURL])
	if err != nil {
		return "", terminal.WithHint(&ForeignFunctionError{f.Name, s.Name, err},
			"see what rotates the secret: aws secretsmanager describe-secret --secret-id "+s.Name+
				"; to have quilt-rotate rotate it instead: docs/tools/console.md")
	}
	return url, nil
}

// Registry is a client of the secret's registry, as [Secret.ResolveRegistry] finds it.
func (s *Secret) Registry(ctx context.Context, given string, options quilt.Options) (*quilt.Client, error) {
	url, err := s.ResolveRegistry(ctx, given)
	if err != nil {
		return nil, err
	}
	return quilt.NewClient(url, options)
}

// ResolveRegistry is the secret's registry. given is the registry that the options name, "" if
// none. It is refused if it is another one: a key is sent to no registry but its own.
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

// ForRotation are the settings that hold for the secret's rotations: the deployed function's
// environment, and the tags over it.
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

// Sweeper names the function that sweeps the secret.
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
		return "", terminal.WithHint(fmt.Errorf("it is not known which function sweeps %s: the function %s has no tag %s",
			s.Name, f.Name, settings.TagRevokeFunction),
			"name it with --revoke-function, or deploy the stack again")
	}
	return name, nil
}

// Sweep has the function sweep the secret, or, as a dry run, report what a sweep would do. It fails
// with a [*awsclient.FunctionError] if the sweep failed; the result of a dry run says what the
// sweep would fail with.
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

// Restart are the ECS services that the secret's tag names: they got the key at their start.
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
