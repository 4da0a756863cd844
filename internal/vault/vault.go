// Package vault makes the calls to Secrets Manager, and reads and writes the staging labels in
// which quilt-rotate keeps its state: which version holds which key, and when a version was
// superseded.
//
// It decides nothing: the packages rotation and revocation decide which version gets which label.
// It never prints a value.
//
// # Consistency
//
// AWS does not document how soon a read sees a write, and users report reads that lag. So a read of
// something that must exist is repeated for a short time ([Vault.Await], [Vault.Read]), and no
// decision relies on the absence of something.
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

// api has the methods of the Secrets Manager client that this package calls.
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

// DefaultMaxLag is how long a read is repeated if it does not yet see a write.
const DefaultMaxLag = 2 * time.Second

// defaultPatience is how long a throttled change is repeated, unless the context ends earlier. It
// is the time that the changes of a thousand simultaneous rotations take.
const defaultPatience = 40 * time.Second

// Vault calls Secrets Manager. It is safe for concurrent use and keeps no state.
//
// Unless its comment says otherwise, a method fails with an [*Error]. A failed read says nothing
// about what exists: a missing value is [ErrNoValue], and a missing label is missing in [Secret].
type Vault struct {
	api      api
	maxLag   time.Duration
	patience time.Duration // how long a throttled change is repeated
}

// New returns a Vault that uses a Secrets Manager client. The client itself retries after
// throttling and dropped connections.
func New(client api) *Vault { return &Vault{client, DefaultMaxLag, defaultPatience} }

// WithPatience returns a copy of the Vault that repeats throttled changes for that long.
func (v *Vault) WithPatience(d time.Duration) *Vault { return &Vault{v.api, v.maxLag, d} }

// WithMaxLag returns a copy of the Vault that repeats reads for that long, instead of
// [DefaultMaxLag].
func (v *Vault) WithMaxLag(d time.Duration) *Vault { return &Vault{v.api, d, v.patience} }

// Describe returns everything except the values, in one call. It may not yet see a recent write.
func (v *Vault) Describe(ctx context.Context, secretID string) (Secret, error) {
	out, err := v.api.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secretID})
	if err != nil {
		return Secret{}, newError("DescribeSecret", secretID, err)
	}
	return newSecret(out), nil
}

// Await describes the secret repeatedly until expected returns true, for at most [DefaultMaxLag].
// It returns the last description in both cases.
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

// Read returns the value of a version that must have one. It waits for the value for at most
// [DefaultMaxLag]. It fails with [ErrNoValue], [ErrBinary] or an [*Error]. A stored value never
// changes.
func (v *Vault) Read(ctx context.Context, secretARN, versionID string) (redact.Text, error) {
	return retryLag(ctx, v.maxLag, "GetSecretValue", secretARN, func() (redact.Text, error) {
		return v.ReadIfAny(ctx, secretARN, versionID)
	})
}

// ErrNoValue means that a version has no value, or not yet: Secrets Manager creates the pending
// version without a value before createSecret.
var ErrNoValue = errors.New("the version has no value")

// ErrBinary means that a value is binary. The value must be text.
var ErrBinary = errors.New("the value is binary; store the key, or a JSON object that holds it, as the secret's string")

// ReadIfAny returns the value of a version without waiting for it. It fails with [ErrNoValue],
// [ErrBinary] or an [*Error]. After [ErrNoValue], the value may exist all the same, because reads
// can lag: the caller must act correctly in both cases.
func (v *Vault) ReadIfAny(ctx context.Context, secretARN, versionID string) (redact.Text, error) {
	return v.get(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secretARN, VersionId: &versionID})
}

// ReadCurrent returns the current value of a secret that is not rotated, such as an issuing
// credential. It fails with [ErrBinary] or an [*Error].
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

// retryLag repeats a read while it returns errNotYet or [ErrNoValue].
func retryLag[T any](
	ctx context.Context, maxLag time.Duration, operation, secret string, read func() (T, error),
) (T, error) {
	lags := func(err error) bool { return errors.Is(err, errNotYet) || errors.Is(err, ErrNoValue) }
	waits := retry.Waits{First: 50 * time.Millisecond, Longest: 500 * time.Millisecond, AtMost: maxLag}
	value, err := retry.While(ctx, waits, lags, read)
	if err != nil && lags(err) && ctx.Err() != nil { // the context ended the wait, so nothing is known
		err = &Error{Operation: operation, Secret: secret, Message: "the time was over before a read saw the write",
			cause: context.Cause(ctx)}
	}
	return value, err
}

func newSecret(out *secretsmanager.DescribeSecretOutput) Secret {
	s := Secret{
		ARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), Now: serverTime(out.ResultMetadata),
		Created: aws.ToTime(out.CreatedDate), Deleted: out.DeletedDate != nil,
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

// serverTime returns the time of the response's Date header, so that marks that two hosts wrote can
// be compared. Without the header it returns the caller's time.
func serverTime(metadata middleware.Metadata) time.Time {
	if t, ok := awsmiddleware.GetServerTime(metadata); ok && !t.IsZero() {
		return t.UTC()
	}
	return time.Now().UTC()
}
