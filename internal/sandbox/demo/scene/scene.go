// Package scene provides a sandbox with both functions and a secret that holds its first key. The
// demo and the commands `serve` and `invoke` of quilt-sandbox use it.
//
// It uses the same interfaces as a user: a login at the registry to create a key, the API of
// Secrets Manager, RotateSecret, and an invocation for a sweep. It never prints.
package scene

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/settings"
)

// SecretName is the name of the secret in a scene.
const SecretName = "quilt/demo"

// ScheduleName is the name of the schedule of the sweeps. It starts no sweeps: invoke the revoke
// function.
const ScheduleName = "quilt-rotate-sweeps"

const schedule = `{"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "OFF"}, "State": "ENABLED", "Description": "Sweeps of quilt-rotate",
	"Target": {"Arn": "arn:aws:states:` + sandbox.Region + ":" + sandbox.Account +
	`:stateMachine:sweeps", "RoleArn": "arn:aws:iam::` + sandbox.Account + `:role/schedule",
	"Input": "{\"time\": \"<aws.scheduler.scheduled-time>\"}"}}`

// FunctionTimeout is the timeout of both functions, if the options do not set another one for the
// rotate function.
const FunctionTimeout = 30 * time.Second

// Options are the settings of a scene.
type Options struct {
	Sandbox   sandbox.Options
	Functions Functions
	// RotateTimeout is the timeout of the rotate function. Default: [FunctionTimeout].
	RotateTimeout time.Duration
	// RevokeEnvironment is added to the environment of the revoke function.
	RevokeEnvironment map[string]string
}

// A Scene is a sandbox with the functions in it.
type Scene struct {
	*sandbox.Sandbox
	RotateARN string
	RevokeARN string

	client *quilt.Client
}

// Open starts a sandbox and deploys both functions. The caller closes the scene.
func Open(o Options) (*Scene, error) {
	box, err := sandbox.Start(o.Sandbox)
	if err != nil {
		return nil, err
	}
	s := &Scene{Sandbox: box}
	if err := s.deploy(o); err != nil {
		return nil, errors.Join(err, box.Close())
	}
	return s, nil
}

func (s *Scene) deploy(o Options) (err error) {
	named := func(c *awslambda.Config) {
		c.Tags = map[string]string{settings.TagRevokeFunction: sandbox.RevokeFunction,
			settings.TagSchedule: ScheduleName}
	}
	if s.RotateARN, err = s.AddFunction(sandbox.RotateFunction, o.Functions.Rotate,
		cmp.Or(o.RotateTimeout, FunctionTimeout), nil, named); err != nil {
		return err
	}
	if err = s.permit(); err != nil {
		return err
	}
	s.Parameters.Put("/quilt-rotate/sandbox/rotate-function-arn", s.RotateARN)
	if err = s.Schedules.Add(ScheduleName, schedule); err != nil {
		return err
	}
	if s.RevokeARN, err = s.AddFunction(sandbox.RevokeFunction, o.Functions.Revoke, FunctionTimeout,
		o.RevokeEnvironment); err != nil {
		return err
	}
	s.client, err = s.NewRegistryClient("quilt-rotate-sandbox")
	return err
}

// permit lets Secrets Manager invoke the rotate function for secrets of this account only, as the
// deployment does. The sandbox does not need this permission, but `quilt-rotate doctor` checks it.
func (s *Scene) permit() error {
	client := lambda.New(lambda.Options{
		Region: sandbox.Region, BaseEndpoint: aws.String(s.AWSURL),
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKeyID, sandbox.SecretAccessKey, ""),
	})
	_, err := client.AddPermission(context.Background(), &lambda.AddPermissionInput{
		FunctionName: &s.RotateARN, StatementId: aws.String("secretsmanager"),
		Action:    aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(sandbox.Account),
	})
	return err
}

// NewRegistryClient returns a client of the scene's registry that does not retry.
func (s *Scene) NewRegistryClient(userAgent string) (*quilt.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // loopback needs no proxy
	transport.MaxIdleConnsPerHost = 32
	return quilt.NewClient(s.RegistryURL, quilt.Options{UserAgent: userAgent, MaxAttempts: 1, Transport: transport})
}

// MakeKey creates a key for the ordinary user with the user's password, as a person does before the
// first rotation.
func (s *Scene) MakeKey(ctx context.Context, name string) (quilt.CreatedKey, error) {
	session, err := s.client.LoginPassword(ctx, sandbox.UserName, quilt.NewPassword(sandbox.UserPassword))
	if err != nil {
		return quilt.CreatedKey{}, err
	}
	return session.CreateKey(ctx, name, settings.DefaultExpiresInDays)
}

// Logins reports whether a key can log in. An error means that the result is unknown.
func (s *Scene) Logins(ctx context.Context, key apikey.Key) (bool, error) {
	_, err := s.client.WithKey(key).Me(ctx)
	if _, refused := errors.AsType[*quilt.UnauthenticatedError](err); refused {
		return false, nil
	}
	return err == nil, err
}

// Value returns an example of a consumer's secret: the key with other settings, formatted manually.
// A rotation must not change the other bytes.
func (s *Scene) Value(key apikey.Key) string {
	return fmt.Sprintf(`{
  "QUILT_REGISTRY_URL": %q,
  "QUILT_API_KEY":      %q,
  "bucket": "s3://example-pipeline",   "retries": 3.0,
  "note":   "caf\u00e9, \/ and <tags> stay as they are"
}`, s.RegistryURL, key.Reveal())
}

// StoreSecret creates a secret that holds the key, in the form of [Scene.Value].
func (s *Scene) StoreSecret(ctx context.Context, name string, key apikey.Key) (secretARN string, err error) {
	return s.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name:         aws.String(name),
		Description:  aws.String("A Quilt API key, rotated by quilt-rotate"),
		SecretString: aws.String(s.Value(key)),
		Tags: []types.Tag{
			{Key: aws.String(settings.TagKeyName), Value: aws.String("pipeline-prod")},
			{Key: aws.String(settings.TagOwner), Value: aws.String(sandbox.UserEmail)},
			{Key: aws.String(settings.TagRegistry), Value: aws.String(s.RegistryURL)},
		},
	})
}

// ConfigureRotation switches rotation on without a rotation. Secrets Manager calls testSecret once
// with a copy of the current value. ConfigureRotation waits until this call has ended.
func (s *Scene) ConfigureRotation(ctx context.Context, secretARN string) error {
	_, err := s.SecretsManager().RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &secretARN, RotationLambdaARN: &s.RotateARN, RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	if err != nil {
		return err
	}
	return s.Secrets.WaitRotation(ctx, secretARN)
}

// Rotate calls RotateSecret, waits until the rotation has ended, and returns the id of the new
// version.
func (s *Scene) Rotate(ctx context.Context, secretARN string) (versionID string, err error) {
	out, err := s.SecretsManager().RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &secretARN})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.VersionId), s.Secrets.WaitRotation(ctx, secretARN)
}

// Revoke revokes a key immediately, in a session of the current key, as `quilt-rotate emergency`
// does.
func (s *Scene) Revoke(ctx context.Context, secretARN string, key apikey.Key) error {
	_, current, err := s.Current(secretARN)
	if err != nil {
		return err
	}
	registry, err := s.NewRegistryClient("emergency")
	if err != nil {
		return err
	}
	return registry.WithKey(current.Key()).RevokeKeyBySecret(ctx, key)
}

// Sweep invokes the revoke function for a secret.
func (s *Scene) Sweep(ctx context.Context, secretARN string) (revocation.Result, error) {
	var result revocation.Result
	event, err := json.Marshal(map[string]string{"secretId": secretARN})
	if err != nil {
		return result, err
	}
	answer, functionError, err := s.Lambda.Invoke(ctx, s.RevokeARN, event)
	switch {
	case err != nil:
		return result, err
	case functionError != "":
		return result, fmt.Errorf("the sweep failed: %s", answer)
	}
	return result, json.Unmarshal(answer, &result)
}
