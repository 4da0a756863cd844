package awsclient_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// open starts a sandbox and returns it with a client of its AWS.
func open(t *testing.T) (*sandbox.Sandbox, *awsclient.Cloud) {
	t.Helper()
	box, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box, awsclient.New(aws.Config{
		Region: sandbox.Region, BaseEndpoint: &box.AWSURL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKeyID, sandbox.SecretAccessKey, ""),
	})
}

type handler func(payload []byte) ([]byte, error)

func (h handler) Invoke(_ context.Context, payload []byte) ([]byte, error) { return h(payload) }

func TestCreateSecretIsIdempotentWithOneToken(t *testing.T) {
	// An answer may be lost. The same call again returns the same secret, and another call with the
	// name is refused.
	_, c := open(t)
	token := uuid.NewString()
	n := awsclient.NewSecret{Name: "prod/new", Value: redact.New("{}"),
		Tags: map[string]string{settings.TagGrace: "24h"}}
	first, err := c.CreateSecret(t.Context(), n, token)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.CreateSecret(t.Context(), n, token); err != nil || again != first {
		t.Errorf("the same call again: got %q, %v", again, err)
	}
	if _, err := c.CreateSecret(t.Context(), n, uuid.NewString()); !awsclient.Exists(err) {
		t.Errorf("another secret with the name: got %v", err)
	}
}

func TestFunctionReturnsTheDeployment(t *testing.T) {
	// The commands rely on its environment, tags, log group and permissions.
	box, c := open(t)
	_, err := box.Lambda.Add(awslambda.Config{
		Name: "rotate", Timeout: 30 * time.Second, Environment: map[string]string{
			settings.EnvRegistryURL: "https://registry.example.com"},
		Tags:    map[string]string{settings.TagRevokeFunction: "revoke"},
		Handler: handler(func([]byte) ([]byte, error) { return []byte("null"), nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Function(t.Context(), "rotate")
	if err != nil || f.Timeout != 30*time.Second || f.State != "Active" || f.LogGroup != "/aws/lambda/rotate" ||
		f.Reserved != nil ||
		f.Environment[settings.EnvRegistryURL] != "https://registry.example.com" ||
		f.Tags[settings.TagRevokeFunction] != "revoke" {
		t.Errorf("got %+v, %v", f, err)
	}
	if permissions, err := c.Permissions(t.Context(), "rotate"); err != nil || len(permissions) != 0 {
		t.Errorf("without a policy: got the permissions %+v, %v", permissions, err)
	}
	if _, err := c.Function(t.Context(), "nowhere"); !awsclient.NotFound(err) {
		t.Errorf("a function that does not exist: got %v", err)
	}
}

func TestInvokeReturnsTheFunctionsError(t *testing.T) {
	// The error has the type that alarms and the runbook use. The function is called only once.
	box, c := open(t)
	calls := 0
	_, err := box.Lambda.Add(awslambda.Config{Name: "revoke", Timeout: time.Second,
		Handler: handler(func(payload []byte) ([]byte, error) {
			calls++
			if string(payload) == `{"ok":true}` {
				return []byte(`{"outcome":"swept"}`), nil
			}
			return nil, errors.New("the sweep broke over qk_0123456789abcdefghijkl")
		})})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := c.Invoke(t.Context(), "revoke", map[string]bool{"ok": true}); err != nil ||
		string(answer) != `{"outcome":"swept"}` {
		t.Errorf("got %s, %v", answer, err)
	}
	_, err = c.Invoke(t.Context(), "revoke", map[string]bool{"ok": false})
	failed, ok := errors.AsType[*awsclient.FunctionError](err)
	if !ok || failed.Type != "errorString" || !strings.HasPrefix(failed.Message, "the sweep broke over ") ||
		strings.Contains(failed.Message, "0123456789") {
		t.Errorf("got %v", err)
	}
	if calls != 2 {
		t.Errorf("the function ran %d times, want 2", calls)
	}
	if text := terminal.Hint(awsclient.Explain(err)); !strings.Contains(text, "docs/runbook") ||
		!strings.Contains(text, "errorString") {
		t.Errorf("got the hint %q", text)
	}
}

func TestAnIncompleteRotationIsRecognized(t *testing.T) {
	// Secrets Manager reports it only by a message, whose words and apostrophe vary.
	box, c := open(t)
	for _, message := range []string{"A previous rotation isn't complete. That rotation will be reattempted.",
		"A previous rotation isn’t complete. That rotation will be reattempted."} {
		box.Hooks.Set(sandboxtest.AWSError(400, "InvalidRequestException", message))
		if _, err := c.Rotate(t.Context(), "prod/a", uuid.NewString()); !errors.Is(err, awsclient.ErrRotationUnderWay) {
			t.Errorf("%s: got %v", message, err)
		}
	}
	box.Hooks.Set(sandboxtest.AWSError(400, "InvalidRequestException", "You can't perform this operation on the "+
		"secret because it was marked for deletion."))
	if _, err := c.Rotate(t.Context(), "prod/a", uuid.NewString()); err == nil ||
		errors.Is(err, awsclient.ErrRotationUnderWay) {
		t.Errorf("another refusal: got %v", err)
	}
}

func TestRefusalsOfAWSAreExplained(t *testing.T) {
	// Expired, unknown and insufficient credentials need different next steps.
	_, c := open(t)
	for code, want := range map[string][2]string{
		"ExpiredTokenException":       {"the AWS credentials have expired", "aws sso login"},
		"UnrecognizedClientException": {"AWS refused the credentials as not valid", "aws sso login"},
		"AccessDeniedException":       {"the AWS credentials may not do this: ", "AWS_PROFILE"},
	} {
		err := awsclient.Explain(fmt.Errorf("look at it: %w", &smithy.GenericAPIError{Code: code, Message: "no"}))
		if !strings.HasPrefix(err.Error(), want[0]) || !strings.Contains(terminal.Hint(err), want[1]) {
			t.Errorf("%s: got %q, %q", code, err, terminal.Hint(err))
		}
	}
	_, err := c.Vault.Describe(t.Context(), "prod/nothing")
	if err = awsclient.Explain(err); err.Error() != "there is no secret prod/nothing in this account and region" ||
		!strings.Contains(terminal.Hint(err), "AWS_REGION") {
		t.Errorf("a secret that does not exist: got %q, %q", err, terminal.Hint(err))
	}
	if own := errors.New("something else"); awsclient.Explain(own) != own || awsclient.Explain(nil) != nil {
		t.Error("an error of another source is changed")
	}
}

func TestNoCredentialsAndNoRegion(t *testing.T) {
	// The error is reported before a request is sent.
	if _, err := awsclient.Open(t.Context(), noTerminal{}); err == nil || err.Error() != "no AWS region is set" ||
		!strings.Contains(terminal.Hint(err), "AWS_REGION") {
		t.Errorf("without a region: got %v", err)
	}
	t.Setenv("AWS_REGION", "us-east-1")
	if _, err := awsclient.Open(t.Context(), noTerminal{}); err == nil || !strings.HasPrefix(err.Error(),
		"no AWS credentials were found") || terminal.Hint(err) == "" {
		t.Errorf("without credentials: got %v", err)
	}
}
