package vault

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/redact"
)

// Error is a failed call to Secrets Manager. Its message contains the message of Secrets Manager,
// without keys and without the secret texts that were sent, because validation messages quote the
// input.
type Error struct {
	Operation string
	Secret    string // the ARN or name that the caller gave, without keys
	Code      string // the error code, such as "AccessDeniedException"; "" without a response
	Message   string
	Hint      string // what to do next; may be empty
	cause     error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("secrets manager: %s of %s: ", e.Operation, e.Secret)
	if e.Code != "" {
		text += e.Code + ": "
	}
	text += e.Message
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap returns the SDK's error. Do not print it: it may contain the value that was sent.
func (e *Error) Unwrap() error { return e.cause }

func newError(operation, secret string, err error, sent ...redact.Text) error {
	e := &Error{Operation: operation, Secret: shown(secret), cause: err}
	var api smithy.APIError
	var network net.Error
	switch {
	case errors.As(err, &api):
		e.Code, e.Message = api.ErrorCode(), redact.Scrub(api.ErrorMessage(), sent...)
		e.Hint = hints[e.Code]
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		e.Message, e.Hint = noAnswer(err)
	case errors.Is(err, context.Canceled):
		e.Message = "cancelled"
	default:
		e.Message, e.Hint = redact.Scrub(err.Error(), sent...), "check the function's network"
	}
	return e
}

// noAnswer distinguishes a missing answer from a missing connection. A VPC without a route to
// Secrets Manager shows as a missing connection.
func noAnswer(err error) (message, hint string) {
	message = "no answer in time"
	hint = "the next rotation or sweep tries again; if no call succeeds, check the network"
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		message = "no connection in time"
		hint = "check the function's network: in a VPC it needs a NAT gateway or an interface endpoint for " +
			"Secrets Manager"
	}
	if tries, ok := errors.AsType[*retry.MaxAttemptsError](err); ok {
		message += fmt.Sprintf(" after %d attempts", tries.Attempt)
	}
	return message, hint
}

var hints = map[string]string{
	"AccessDeniedException":     "check the function's role and the secret's policy",
	"ResourceNotFoundException": "check the ARN and the region",
	"DecryptionFailure":         "check that the function's role may use the secret's KMS key",
	"EncryptionFailure":         "check that the function's role may use the secret's KMS key",
	"LimitExceededException":    "run the sweep, or remove staging labels that are no longer needed",
	"ThrottlingException":       "the next rotation or sweep tries again",
}

func throttled(err error) bool {
	refused, ok := errors.AsType[smithy.APIError](err)
	return ok && refused.ErrorCode() == "ThrottlingException"
}

func notFound(err error) bool {
	_, missing := errors.AsType[*types.ResourceNotFoundException](err)
	return missing
}
