package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/vault"
)

func TestErrorsNameOperationSecretAndNextStep(t *testing.T) {
	// The error also has the message of Secrets Manager.
	for code, hint := range map[string]string{
		"AccessDeniedException": "role", "ResourceNotFoundException": "ARN", "DecryptionFailure": "KMS",
		"EncryptionFailure":      "KMS",
		"LimitExceededException": "labels", "ThrottlingException": "tries again", "InternalServiceError": "",
	} {
		s, v := start(t)
		s.set("DescribeSecret", http.StatusBadRequest, `{"__type":"`+code+`","Message":"the service's words"}`)
		_, err := v.Describe(t.Context(), arn)
		service := new(vault.Error)
		if !errors.As(err, &service) {
			t.Fatalf("got %v", err)
		}
		want := "secrets manager: DescribeSecret of " + arn + ": " + code + ": the service's words"
		if !strings.HasPrefix(err.Error(), want) || !strings.Contains(service.Hint, hint) ||
			(service.Hint == "") != (hint == "") || !strings.HasSuffix(err.Error(), service.Hint) {
			t.Errorf("%s: %v", code, err)
		}
		if api := smithy.APIError(nil); !errors.As(err, &api) || api.ErrorCode() != code {
			t.Errorf("%s: the SDK's error is lost in %v", code, err)
		}
	}
}

func TestErrorsOfTheNetworkAndTheDeadline(t *testing.T) {
	// Only attempts without a connection point to the VPC, and errors.Is finds the cause.
	for _, c := range []struct {
		cause error
		says  string
	}{
		{context.DeadlineExceeded, "no answer in time; the next rotation or sweep tries again"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "no connection in time; check the function's " +
			"network: in a VPC"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "no answer in time; the next"},
		{context.Canceled, "cancelled"},
		{errors.New("dial tcp: connection refused"), "connection refused; check the function's network"},
	} {
		v := vault.New(stub{describe: func(context.Context) (*secretsmanager.DescribeSecretOutput, error) {
			return nil, &smithy.OperationError{ServiceID: "Secrets Manager", OperationName: "DescribeSecret",
				Err: c.cause}
		}})
		_, err := v.Describe(t.Context(), arn)
		if !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v became %v", c.cause, err)
		}
	}
}

func TestErrorReportsTheCallersDeadline(t *testing.T) {
	// The SDK wraps the deadline.
	s, v := start(t)
	s.set("DescribeSecret", http.StatusOK, `{}`)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := v.Describe(ctx, arn); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(),
		"no answer in time") {
		t.Errorf("got %v", err)
	}
}

func TestErrorsDoNotContainWhatWasSent(t *testing.T) {
	// Promise 4: a service may quote its input, but the error contains no value, key or
	// RotationToken, however it is printed.
	escaped, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for name, message := range map[string]string{
		"the value":             "Value '" + value + "' failed to satisfy constraint",
		"the value, escaped":    "Value " + string(escaped) + " failed to satisfy constraint",
		"the key":               "'" + key + "' failed",
		"the key's begin":       "'" + key[:20] + "...' failed",
		"the RotationToken":     "Value " + rotationToken + " at 'rotationToken' failed",
		"everything, two times": value + rotationToken + value + rotationToken,
	} {
		text, err := json.Marshal(map[string]string{"__type": "ValidationException", "Message": message})
		if err != nil {
			t.Fatal(err)
		}
		s, v := start(t)
		s.set("PutSecretValue", http.StatusBadRequest, string(text))
		err = v.PutPending(t.Context(), pending)
		if service := new(vault.Error); !errors.As(err, &service) || service.Code != "ValidationException" {
			t.Fatalf("%s: got %v", name, err)
		}
		printed := everyPrintOf(err)
		if !strings.Contains(printed, "[redacted]") {
			t.Errorf("%s: the stub's message did not come through: %v", name, err)
		}
		for _, secret := range []string{key[3:11], key[11:19], "hunter2", rotationToken[:8], rotationToken[28:]} {
			if strings.Contains(printed, secret) {
				t.Errorf("%s: the error shows %q: %v", name, secret, err)
			}
		}
	}
}

func everyPrintOf(err error) string {
	var b bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&b, format+"\n", err)
		fmt.Fprintf(&b, format+"\n", fmt.Errorf("createSecret: %w", err))
		fmt.Fprintf(&b, format+"\n", struct{ Err error }{err})
	}
	slog.New(slog.NewJSONHandler(&b, nil)).Error("failed", "error", err)
	slog.New(slog.NewTextHandler(&b, nil)).Error("failed", "error", err)
	text, _ := json.Marshal(err)
	b.Write(text)
	return b.String()
}
