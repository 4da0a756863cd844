package awssecrets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/clock"
)

// A service is the server under test and an SDK client for it.
type service struct {
	testing.TB
	*awssecrets.Server
	client *secretsmanager.Client
	clock  *clock.Clock
	url    string
}

func start(t testing.TB, options awssecrets.Options) *service {
	t.Helper()
	if options.Clock == nil {
		options.Clock = &clock.Clock{}
	}
	if options.RetryDelay == 0 {
		options.RetryDelay = time.Nanosecond
	}
	server := awssecrets.New(options)
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		server.Close()
		listener.Close()
	})
	return &service{TB: t, Server: server, client: client(listener), clock: options.Clock, url: listener.URL}
}

// client returns an SDK client that ignores the machine's AWS settings. It never retries, so that a
// test can count its requests.
func client(listener *httptest.Server) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(listener.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "unused", ""),
		HTTPClient:   listener.Client(),
		Retryer:      aws.NopRetryer{},
	})
}

// token returns a version id that is easy to read in failure messages.
func token(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

const name = "prod/quilt"

// create creates the secret of most tests. Its value is v1, in version 1.
func (s *service) create() {
	s.Helper()
	_, err := s.client.CreateSecret(s.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String(name), SecretString: aws.String("v1"), ClientRequestToken: aws.String(token(1)),
	})
	s.ok(err)
}

func (s *service) put(n int, value string, stages ...string) error {
	_, err := s.client.PutSecretValue(s.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), ClientRequestToken: aws.String(token(n)), SecretString: aws.String(value),
		VersionStages: stages,
	})
	return err
}

// move calls UpdateSecretVersionStage. The number 0 omits a version.
func (s *service) move(stage string, from, to int) error {
	var fromID, toID string
	if from != 0 {
		fromID = token(from)
	}
	if to != 0 {
		toID = token(to)
	}
	return s.moveID(stage, fromID, toID)
}

func (s *service) moveID(stage, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: aws.String(name), VersionStage: aws.String(stage)}
	if from != "" {
		in.RemoveFromVersionId = aws.String(from)
	}
	if to != "" {
		in.MoveToVersionId = aws.String(to)
	}
	_, err := s.client.UpdateSecretVersionStage(s.Context(), in)
	return err
}

func (s *service) describe() *secretsmanager.DescribeSecretOutput {
	s.Helper()
	out, err := s.client.DescribeSecret(s.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(name)})
	s.ok(err)
	return out
}

// get reads a value by stage, by version or by neither.
func (s *service) get(stage string, n int) (string, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)}
	if stage != "" {
		in.VersionStage = aws.String(stage)
	}
	if n != 0 {
		in.VersionId = aws.String(token(n))
	}
	out, err := s.client.GetSecretValue(s.Context(), in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SecretString), nil
}

func (s *service) rotate(n int, change func(*secretsmanager.RotateSecretInput)) error {
	in := &secretsmanager.RotateSecretInput{
		SecretId: aws.String(name), ClientRequestToken: aws.String(token(n)), RotationLambdaARN: aws.String(function),
	}
	if change != nil {
		change(in)
	}
	_, err := s.client.RotateSecret(s.Context(), in)
	return err
}

func (s *service) wait() error {
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute) // only a test that hangs reaches this limit
	defer cancel()
	return s.WaitRotation(ctx, name)
}

// stages fails the test unless exactly these versions have labels, written as "1:AWSCURRENT
// 2:AWSPENDING,mine".
func (s *service) stages(want string) {
	s.Helper()
	var got []string
	for id, stages := range s.describe().VersionIdsToStages {
		slices.Sort(stages)
		n := strings.TrimLeft(id[:8], "0")
		got = append(got, n+":"+strings.Join(stages, ","))
	}
	slices.Sort(got)
	if strings.Join(got, " ") != want {
		s.Fatalf("labels are %q, want %q", strings.Join(got, " "), want)
	}
}

func (s *service) events(names ...string) {
	s.Helper()
	var got []string
	for _, e := range s.Events() {
		if e.Name != awssecrets.LabelUpdated {
			got = append(got, e.Name)
		}
	}
	if !slices.Equal(got, names) {
		s.Fatalf("events are %q, want %q", got, names)
	}
}

func (s *service) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// refused fails the test unless err is the service's error with this code and these words. The
// words are given if AWS documents the text.
func (s *service) refused(err error, code string, words ...string) {
	s.Helper()
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		s.Fatalf("got %v, want %s", err, code)
	}
	if refusal.ErrorCode() != code {
		s.Fatalf("got %s (%s), want %s", refusal.ErrorCode(), refusal.ErrorMessage(), code)
	}
	for _, w := range words {
		if !strings.Contains(refusal.ErrorMessage(), w) {
			s.Fatalf("the message of %s is %q, want it to contain %q", code, refusal.ErrorMessage(), w)
		}
	}
}

const function = "arn:aws:lambda:us-east-1:123456789012:function:rotate"

// An event is the event that the service sends to a function.
type event struct{ Step, SecretId, ClientRequestToken, RotationToken string }

// A rotator is a rotation function in the test's process. It does what the template of AWS does,
// and runs the hooks of a test.
type rotator struct {
	*service
	before func(event) error // runs before the step; its error skips the step
	after  func(event) error

	mu    sync.Mutex
	calls []event
}

func (r *rotator) Exists(arn string) bool { return arn == function }

func (r *rotator) Invoke(ctx context.Context, _ string, payload []byte) ([]byte, string, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, "", err
	}
	r.mu.Lock()
	r.calls = append(r.calls, e)
	r.mu.Unlock()
	for _, do := range []func(event) error{r.before, r.step(ctx), r.after} {
		if do == nil {
			continue
		}
		if err := do(e); err != nil {
			return fmt.Appendf(nil, `{"errorMessage":%q}`, err.Error()), "Unhandled", nil
		}
	}
	return []byte("null"), "", nil
}

func (r *rotator) step(ctx context.Context) func(event) error {
	return func(e event) error {
		switch e.Step {
		case "createSecret":
			_, err := r.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
				SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken, RotationToken: &e.RotationToken,
				SecretString:  aws.String("value of version " + e.ClientRequestToken),
				VersionStages: []string{"AWSPENDING"},
			})
			return err
		case "finishSecret":
			shot, err := r.Snapshot(e.SecretId)
			if err != nil {
				return err
			}
			holder, _ := shot.Holder("AWSCURRENT")
			if holder.ID == e.ClientRequestToken {
				return nil
			}
			_, err = r.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &e.SecretId, VersionStage: aws.String("AWSCURRENT"),
				MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: &holder.ID,
			})
			return err
		}
		return nil
	}
}

func (r *rotator) steps() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var steps []string
	for _, e := range r.calls {
		steps = append(steps, strings.TrimSuffix(e.Step, "Secret"))
	}
	return strings.Join(steps, " ")
}

// startWithRotator returns a service with a secret and a rotator.
func startWithRotator(t testing.TB, options awssecrets.Options) (*service, *rotator) {
	t.Helper()
	r := &rotator{}
	options.Functions = r
	r.service = start(t, options)
	r.create()
	return r.service, r
}
