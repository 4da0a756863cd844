package sandbox_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
)

func TestRequestsOverALimitAreRefused(t *testing.T) {
	// AWS refuses with ThrottlingException. The registry says when to repeat the request.
	s, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	client := s.SecretsManager(func(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} })
	id, value := "x", "v"
	if _, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &id,
		SecretString: &value}); err != nil {
		t.Fatal(err)
	}
	const onePerHour = 1.0 / 3600
	defer s.Hooks.Set(sandbox.Throttled(sandbox.Limits{SecretWrites: onePerHour, Registry: onePerHour}))()

	if _, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id,
		SecretString: &value}); err != nil {
		t.Fatalf("a request within the limit: %v", err)
	}
	_, err = client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{SecretId: &id,
		VersionStage: aws.String("x")})
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok || refused.ErrorCode() != "ThrottlingException" || refused.ErrorMessage() != "Rate exceeded" {
		t.Errorf("a call over a shared limit: got the error %v, want ThrottlingException", err)
	}
	if !retry.NewStandard().IsErrorRetryable(err) {
		t.Errorf("the SDK does not retry the error %v", err)
	}
	for range 5 {
		if _, err := client.DescribeSecret(t.Context(),
			&secretsmanager.DescribeSecretInput{SecretId: &id}); err != nil {
			t.Errorf("a call without a limit: %v", err)
		}
	}

	post := func() *http.Response {
		answer, err := http.Post(s.RegistryURL+"/graphql", "application/json",
			strings.NewReader(`{"query":"{me{name}}"}`))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		return answer
	}
	if first, second := post(), post(); first.StatusCode == http.StatusTooManyRequests ||
		second.StatusCode != http.StatusTooManyRequests || second.Header.Get("Retry-After") != "3600" {
		t.Errorf("the registry answers %s, and then %s with Retry-After %q, want 429 and 3600", first.Status,
			second.Status, second.Header.Get("Retry-After"))
	}
}

func TestRequestsAreAcceptedAtTheRateOfTheLimit(t *testing.T) {
	sandboxtest.Timeless(t, func(t *testing.T, s *sandboxtest.Rig) {
		client := s.SecretsManager(func(o *secretsmanager.Options) {
			o.HTTPClient = &http.Client{Transport: s}
			o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
				r.MaxAttempts, r.MaxBackoff = 100, 10*time.Millisecond
			})
		})
		id, value := "x", "v"
		if _, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &id,
			SecretString: &value}); err != nil {
			t.Fatal(err)
		}
		defer s.Hooks.Set(sandbox.Throttled(sandbox.Limits{SecretWrites: 50}))()
		began := time.Now()
		for range 60 { // 50 at the same time, and 10 at the rate of 50 per second
			if _, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id,
				SecretString: &value}); err != nil {
				t.Fatal(err)
			}
		}
		if taken := time.Since(began); taken < 200*time.Millisecond || taken > 300*time.Millisecond {
			t.Errorf("60 writes at 50 per second took %s, want 200 to 300 ms", taken)
		}
	})
}
