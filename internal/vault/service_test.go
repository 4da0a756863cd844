package vault_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/vault"
)

const (
	arn   = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/pipeline-a1b2c3"
	key   = "qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe"
	value = `{"QUILT_API_KEY":"` + key + `","db_password":"hunter2-hunter2"}`
)

// A service is a fake Secrets Manager with one answer for each operation. It records the requests.
type service struct {
	mu      sync.Mutex
	answers map[string]answer
	asked   []request
}

type answer struct {
	status int
	body   string
}

type request struct {
	operation string
	input     map[string]any
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, _ := io.ReadAll(r.Body)
	var input map[string]any
	_ = json.Unmarshal(body, &input)
	s.mu.Lock()
	s.asked = append(s.asked, request{operation, input})
	a, ok := s.answers[operation]
	s.mu.Unlock()
	if !ok {
		a = answer{http.StatusBadRequest, `{"__type":"AccessDeniedException","Message":"not expected"}`}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Date", since.Format(http.TimeFormat))
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// set sets the answer of an operation.
func (s *service) set(operation string, status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[operation] = answer{status, body}
}

func (s *service) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// start starts a service, and returns it with a vault that uses it through the SDK's client.
func start(t *testing.T) (*service, *vault.Vault) {
	t.Helper()
	s := &service{answers: map[string]answer{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, vault.New(secretsmanager.New(secretsmanager.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), HTTPClient: server.Client(), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "example"}, nil
		}),
	}))
}

// A stub has the client's methods without a network, for tests in a synctest bubble.
type stub struct {
	*secretsmanager.Client // nil: a method that no test sets is not called

	describe func(context.Context) (*secretsmanager.DescribeSecretOutput, error)
	get      func(context.Context, *secretsmanager.GetSecretValueInput) (*secretsmanager.GetSecretValueOutput, error)
	stage    func(context.Context, *secretsmanager.UpdateSecretVersionStageInput) (
		*secretsmanager.UpdateSecretVersionStageOutput, error)
}

func (s stub) DescribeSecret(ctx context.Context, _ *secretsmanager.DescribeSecretInput,
	_ ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	return s.describe(ctx)
}

func (s stub) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput,
	_ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return s.get(ctx, in)
}

func (s stub) UpdateSecretVersionStage(ctx context.Context, in *secretsmanager.UpdateSecretVersionStageInput,
	_ ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	return s.stage(ctx, in)
}
