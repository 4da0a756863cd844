// Package vault makes the Secrets Manager calls that the rotation and the sweep need. It reads a
// secret's staging labels as a ledger: which version holds which key, and when a version was
// superseded.
//
// It decides nothing: the packages rotation and revocation decide which label goes where. It never
// prints a value.
//
// # Consistency
//
// AWS promises nothing about how soon a write is seen, and users report reads that lag behind. So a
// read of something that must be there is repeated for a short while ([Vault.Await], [Vault.Read]),
// and no decision relies on something *not* being there yet.
package vault

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/middleware"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/retry"
)

// api is what this package uses of the Secrets Manager client.
type api interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (
		*secretsmanager.DescribeSecretOutput, error)
	ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (
		*secretsmanager.ListSecretsOutput, error)
	ListSecretVersionIds(context.Context, *secretsmanager.ListSecretVersionIdsInput, ...func(*secretsmanager.Options)) (
		*secretsmanager.ListSecretVersionIdsOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (
		*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (
		*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput,
		...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

var _ api = (*secretsmanager.Client)(nil)

// DefaultMaxLag is how long a read may lag behind a write.
const DefaultMaxLag = 2 * time.Second

// defaultPatience is how long a throttled change is sent again, if the function's time allows it:
// as long as a thousand others take.
const defaultPatience = 40 * time.Second

// Vault is Secrets Manager. It is safe for concurrent use and keeps no state.
//
// Unless it says otherwise, a method fails with an [*Error]. A read that fails says nothing: "not
// found" is an answer of its own ([ErrNoValue], a label that is missing in [Secret]).
type Vault struct {
	api      api
	maxLag   time.Duration
	patience time.Duration // with throttling
}

// New uses a Secrets Manager client. The client retries after throttling and dropped connections.
func New(client api) *Vault { return &Vault{client, DefaultMaxLag, defaultPatience} }

// WithPatience returns the same Vault with another time for throttled changes.
func (v *Vault) WithPatience(d time.Duration) *Vault { return &Vault{v.api, v.maxLag, d} }

// WithMaxLag returns the same Vault with another time than [DefaultMaxLag] for reads that lag.
func (v *Vault) WithMaxLag(d time.Duration) *Vault { return &Vault{v.api, d, v.patience} }

// Describe reads everything but the values, in one call. It may lag behind a write.
func (v *Vault) Describe(ctx context.Context, secretID string) (Secret, error) {
	out, err := v.api.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secretID})
	if err != nil {
		return Secret{}, newError("DescribeSecret", secretID, err)
	}
	return newSecret(out), nil
}

// Await describes the secret until it is as expected, for [DefaultMaxLag] at most, and returns the
// last description either way.
func (v *Vault) Await(ctx context.Context, secretID string, expected func(Secret) bool) (Secret, error) {
	last, err := retryLag(ctx, v.maxLag, "DescribeSecret", secretID, func() (Secret, error) {
		s, err := v.Describe(ctx, secretID)
		if err == nil && !expected(s) {
			err = errNotYet
		}
		return s, err
	})
	if errors.Is(err, errNotYet) {
		err = nil
	}
	return last, err
}

// Read reads the value of a version that must have one. It fails with [ErrNoValue], after
// [DefaultMaxLag], with [ErrBinary] or with an [*Error]. A value never changes.
func (v *Vault) Read(ctx context.Context, secretARN, versionID string) (redact.Text, error) {
	return retryLag(ctx, v.maxLag, "GetSecretValue", secretARN, func() (redact.Text, error) {
		return v.ReadIfAny(ctx, secretARN, versionID)
	})
}

// ErrNoValue says that a version has no value (yet), like the pending version that Secrets Manager
// creates before createSecret.
var ErrNoValue = errors.New("the version has no value")

// ErrBinary says that a value is binary. No Quilt key is.
var ErrBinary = errors.New("the value is binary; store the key, or a JSON object that holds it, as the secret's string")

// ReadIfAny reads the value of a version. It fails at once, with [ErrNoValue], [ErrBinary] or an
// [*Error]. [ErrNoValue] may be a read that lags: the caller must be right in both cases.
func (v *Vault) ReadIfAny(ctx context.Context, secretARN, versionID string) (redact.Text, error) {
	return v.get(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secretARN, VersionId: &versionID})
}

// ReadCurrent reads the current value of a secret that we do not rotate: an issuer's. It fails with
// [ErrBinary] or an [*Error].
func (v *Vault) ReadCurrent(ctx context.Context, secretID string) (redact.Text, error) {
	return v.get(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secretID})
}

func (v *Vault) get(ctx context.Context, in *secretsmanager.GetSecretValueInput) (redact.Text, error) {
	out, err := v.api.GetSecretValue(ctx, in)
	switch {
	case err != nil && notFound(err) && in.VersionId != nil:
		return redact.Text{}, ErrNoValue
	case err != nil:
		return redact.Text{}, newError("GetSecretValue", *in.SecretId, err)
	case out.SecretString == nil:
		return redact.Text{}, ErrBinary
	}
	return redact.New(*out.SecretString), nil
}

var errNotYet = errors.New("not yet")

// retryLag reads again while the answer is errNotYet or [ErrNoValue].
func retryLag[T any](ctx context.Context, maxLag time.Duration, operation, secret string, read func() (T, error)) (T,
	error) {
	lags := func(err error) bool { return errors.Is(err, errNotYet) || errors.Is(err, ErrNoValue) }
	value, err := retry.While(ctx, retry.Waits{First: 50 * time.Millisecond, Longest: 500 * time.Millisecond,
		AtMost: maxLag}, lags, read)
	if err != nil && lags(err) && ctx.Err() != nil { // the wait was cut short: nothing is known
		err = &Error{Operation: operation, Secret: secret, Message: "the time was over before the write was seen",
			cause: context.Cause(ctx)}
	}
	return value, err
}

func newSecret(out *secretsmanager.DescribeSecretOutput) Secret {
	s := Secret{
		ARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), Now: serverTime(out.ResultMetadata),
		Deleted: out.DeletedDate != nil,
		Rotation: Rotation{
			Enabled: aws.ToBool(out.RotationEnabled), Function: aws.ToString(out.RotationLambdaARN),
			Last: aws.ToTime(out.LastRotatedDate), Next: aws.ToTime(out.NextRotationDate),
		},
		Tags: map[string]string{}, Versions: map[string]Version{}, PrimaryRegion: aws.ToString(out.PrimaryRegion),
		KMSKey: aws.ToString(out.KmsKeyId),
	}
	if r := out.RotationRules; r != nil {
		s.Rotation.Rules = RotationRules{int(aws.ToInt64(r.AutomaticallyAfterDays)), aws.ToString(r.ScheduleExpression),
			aws.ToString(r.Duration)}
	}
	for _, tag := range out.Tags {
		s.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	for id, stages := range out.VersionIdsToStages {
		if len(stages) > 0 {
			s.Versions[id] = NewVersion(id, stages)
		}
	}
	for _, r := range out.ReplicationStatus {
		s.Replicas = append(s.Replicas, Replica{aws.ToString(r.Region), string(r.Status)})
	}
	return s
}

// serverTime prefers the service's clock, so that marks of two hosts can be compared.
func serverTime(metadata middleware.Metadata) time.Time {
	if t, ok := awsmiddleware.GetServerTime(metadata); ok && !t.IsZero() {
		return t.UTC()
	}
	return time.Now().UTC()
}
