package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/redact"
)

// Error is a call to Secrets Manager that failed. Its message quotes the service's, with keys and the texts that were sent
// taken out of it, since messages of validation quote their input.
type Error struct {
	Operation string
	Secret    string // as the caller named it, who may be a person with a key in the clipboard
	Code      string // the service's, such as "AccessDeniedException"; "" where no answer came
	Message   string
	Hint      string // what to do next, where it is known
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

// Unwrap gives the SDK's error, to be looked at and not to be printed.
func (e *Error) Unwrap() error { return e.cause }

// longestARN bounds what is quoted of a secret's ARN, whose name has at most 512 characters (AWS Secrets Manager quotas).
const longestARN = 640

func newError(operation, secret string, err error, sent ...redact.Text) error {
	e := &Error{Operation: operation, Secret: redact.Clip(secret, longestARN), cause: err}
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		e.Code, e.Message = api.ErrorCode(), redact.Scrub(api.ErrorMessage(), sent...)
		e.Hint = hints[e.Code]
	case errors.Is(err, context.DeadlineExceeded):
		e.Message, e.Hint = "no answer in time", "check the function's network: in a VPC it needs a NAT or an interface endpoint for Secrets Manager"
	case errors.Is(err, context.Canceled):
		e.Message = "cancelled"
	default:
		e.Message, e.Hint = redact.Scrub(err.Error(), sent...), "check the function's network"
	}
	return e
}

var hints = map[string]string{
	"AccessDeniedException":     "check the function's role and the secret's policy",
	"ResourceNotFoundException": "check the ARN and the region",
	"DecryptionFailure":         "check that the function's role may use the secret's KMS key",
	"EncryptionFailure":         "check that the function's role may use the secret's KMS key",
	"LimitExceededException":    "run the sweep, or remove staging labels that nobody needs",
	"ThrottlingException":       "it is tried again with the next rotation or sweep",
}

func throttled(err error) bool {
	refused, ok := errors.AsType[smithy.APIError](err)
	return ok && refused.ErrorCode() == "ThrottlingException"
}

func notFound(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing)
}
