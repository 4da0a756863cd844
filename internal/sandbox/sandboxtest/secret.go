package sandboxtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/vault"
)

// FunctionARN returns the ARN of a function of the sandbox.
func FunctionARN(name string) string {
	return "arn:aws:lambda:" + sandbox.Region + ":" + sandbox.Account + ":function:" + name
}

// A Secret is a secret in the rig with rotation on.
type Secret struct {
	*Rig
	ARN, Name string
}

// ValueWith returns a JSON value with the key and other fields, in a layout that a careless writer
// would change.
func ValueWith(key string) string {
	return "{ \"tenant\": \"caf\\u00e9\",\n  \"QUILT_API_KEY\" : \"" + key +
		"\", \"limit\": 1.0e+02, \"client_secret\":\"other-people's\"}\n"
}

// Secret creates a secret with a new key of the sandbox's ordinary user and its label, and switches
// rotation on. The tags are pairs of name and value.
func (r *Rig) Secret(name string, tags ...string) *Secret {
	r.Helper()
	s := r.BareSecret(name, "{}", tags...)
	s.Bootstrap(sandbox.UserEmail)
	return s
}

// BareSecret creates a secret with that value and switches rotation on.
func (r *Rig) BareSecret(name, value string, tags ...string) *Secret {
	r.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}
	for i := 0; i+1 < len(tags); i += 2 {
		in.Tags = append(in.Tags, types.Tag{Key: &tags[i], Value: &tags[i+1]})
	}
	out, err := r.Hands.CreateSecret(context.Background(), in)
	r.must(err)
	s := &Secret{Rig: r, ARN: *out.ARN, Name: name}
	s.RotationOn()
	return s
}

func (r *Rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("%v", err)
	}
}

// RotationOn switches rotation on, without rotating.
func (s *Secret) RotationOn() {
	s.Helper()
	_, err := s.Hands.RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{
		SecretId: &s.ARN, RotationLambdaARN: aws.String(FunctionARN(sandbox.RotateFunction)),
		RotateImmediately: aws.Bool(false),
		RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	s.must(err)
	// the test run; a failure matters only to tests of the test run
	_ = s.Secrets.WaitRotation(context.Background(), s.ARN)
}

// Bootstrap stores a first key of that user with its label.
func (s *Secret) Bootstrap(email string) (keyID string) {
	s.Helper()
	id, secret := s.Registry.MintKey(email, apikey.Name(s.Name, s.Clock.Now(), s.ARN), 90)
	version := s.Put(ValueWith(secret))
	_, err := s.Hands.UpdateSecretVersionStage(context.Background(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &s.ARN, VersionStage: aws.String(vault.KeyLabel(id)), MoveToVersionId: &version,
	})
	s.must(err)
	return id
}

// Put stores a new current value, as a person would.
func (s *Secret) Put(value string) (versionID string) {
	s.Helper()
	out, err := s.Hands.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &s.ARN,
		SecretString: &value})
	s.must(err)
	return *out.VersionId
}

// Tag sets a tag, or removes it if the value is empty.
func (s *Secret) Tag(name, value string) {
	s.Helper()
	var err error
	if value == "" {
		_, err = s.Hands.UntagResource(context.Background(), &secretsmanager.UntagResourceInput{SecretId: &s.ARN,
			TagKeys: []string{name}})
	} else {
		_, err = s.Hands.TagResource(context.Background(), &secretsmanager.TagResourceInput{SecretId: &s.ARN,
			Tags: []types.Tag{{Key: &name, Value: &value}}})
	}
	s.must(err)
}

// MoveLabel moves a label by hand. to or from may be empty.
func (s *Secret) MoveLabel(label, to, from string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &s.ARN, VersionStage: &label}
	if to != "" {
		in.MoveToVersionId = &to
	}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	_, err := s.Hands.UpdateSecretVersionStage(context.Background(), in)
	return err
}

// Rotate calls RotateSecret and waits for the end of the rotation.
func (s *Secret) Rotate() error {
	s.Helper()
	if _, err := s.Hands.RotateSecret(context.Background(),
		&secretsmanager.RotateSecretInput{SecretId: &s.ARN}); err != nil {
		return err
	}
	return s.Secrets.WaitRotation(context.Background(), s.ARN)
}

// MustRotate rotates, or fails the test.
func (s *Secret) MustRotate() {
	s.Helper()
	s.must(s.Rotate())
}

// Sweep runs a sweep in [Rig.Process].
func (s *Secret) Sweep() (revocation.Result, error) {
	s.Helper()
	return s.Process().Sweep(s.ARN)
}

// Preview runs a dry run of a sweep in [Rig.Process].
func (s *Secret) Preview() (revocation.Result, error) {
	s.Helper()
	return s.Process().Preview(s.ARN)
}

// MustSweep sweeps, or fails the test.
func (s *Secret) MustSweep() revocation.Result {
	s.Helper()
	result, err := s.Sweep()
	s.must(err)
	return result
}

// Begin starts a rotation like RotateSecret, but does not call the function, because the test calls
// the steps. It returns the common part of the events.
func (s *Secret) Begin(token string) Event {
	s.Helper()
	rotationToken, err := s.Secrets.StartPending(s.ARN, token)
	s.must(err)
	return Event{SecretId: s.ARN, ClientRequestToken: token, RotationToken: rotationToken}
}

// Step returns the event for a step.
func (e Event) As(step rotation.Step) Event {
	e.Step = step
	return e
}

// Step runs one step in [Rig.Process].
func (s *Secret) Step(event Event, step rotation.Step) error { return s.Process().Step(event.As(step)) }

// Snapshot returns the state of the secret without a request.
func (s *Secret) Snapshot() awssecrets.Snapshot {
	s.Helper()
	snapshot, err := s.Secrets.Snapshot(s.ARN)
	s.must(err)
	return snapshot
}

// Holder returns the version with the label. It fails the test if there is none.
func (s *Secret) Holder(label string) awssecrets.Version {
	s.Helper()
	v, ok := s.Snapshot().Holder(label)
	if !ok {
		s.Fatalf("no version of %s has the label %s", s.Name, label)
	}
	return v
}

// KeyIn returns the key in a version, or the zero key.
func (s *Secret) KeyIn(v awssecrets.Version) apikey.Key {
	value, err := apikey.ParseValue(redact.New(v.Value), "")
	if err != nil {
		return apikey.Key{}
	}
	return value.Key()
}

// CurrentKey returns the key in AWSCURRENT, or the zero key.
func (s *Secret) CurrentKey() apikey.Key {
	s.Helper()
	return s.KeyIn(s.Holder(vault.Current))
}

// Valid reports whether the registry accepts a key now.
func (s *Secret) Valid(key apikey.Key) bool { return s.Registry.Valid(key.Reveal()) }

// Ours returns the ids of the keys at the registry that were created for this secret.
func (s *Secret) Ours() []string {
	var ids []string
	for _, k := range s.Registry.Keys() {
		if mark, ok := apikey.MarkOf(k.Name); ok && mark == apikey.SecretMark(s.ARN) {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// Labels returns the table of versions and labels, for failures.
func (s *Secret) Labels() string {
	var lines []string
	for _, v := range s.Snapshot().Versions {
		lines = append(lines, fmt.Sprintf("%s %s holds %s", v.ID, strings.Join(v.Stages, " "), s.KeyIn(v)))
	}
	return strings.Join(lines, "\n")
}

// Canaries returns all texts that must never be printed: every key of the registry, whole or
// without its prefix.
func (r *Rig) Canaries() []string {
	var texts []string
	for _, k := range r.Registry.Keys() {
		texts = append(texts, strings.TrimPrefix(k.Secret, "qk_"))
	}
	return texts
}

// Token returns a token for a rotation that a test begins by itself, with at least 32 characters,
// as Secrets Manager requires.
func Token(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-%012d", n, n) }

// JSONOf returns a value as indented JSON, for failures.
func JSONOf(v any) string {
	text, _ := json.MarshalIndent(v, "", "  ")
	return string(text)
}
