package awsclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Error is a failed request to AWS. Its message is the message of the service, without texts that
// look like a key or were sent as a secret.
type Error struct {
	Doing   string // "invoke the function x"
	Code    string // the service's, such as "AccessDeniedException"; "" without an answer
	Message string
	cause   error
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Doing + ": " + e.Message
	}
	return e.Doing + ": " + e.Code + ": " + e.Message
}

// Unwrap returns the SDK's error. It must not be printed.
func (e *Error) Unwrap() error { return e.cause }

// newError returns an [*Error], or nil if err is nil.
func newError(doing string, err error, sent ...redact.Text) error {
	if err == nil {
		return nil
	}
	e := &Error{Doing: doing, cause: err, Message: redact.Scrub(innermost(err).Error(), sent...)}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Message = api.ErrorCode(), redact.Scrub(api.ErrorMessage(), sent...)
	}
	return e
}

// innermost returns the innermost error, without the SDK's text about its attempts.
func innermost(err error) error {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}

// NotFound reports whether AWS answered that the resource does not exist.
func NotFound(err error) bool { return isCode(err, "ResourceNotFoundException") }

// Exists reports whether AWS answered that the resource exists already.
func Exists(err error) bool { return isCode(err, "ResourceExistsException") }

// Denied reports whether AWS answered that the credentials have no permission. Then nothing is
// known about the resource.
func Denied(err error) bool { return isCode(err, deniedCodes...) }

func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// Error codes of AWS services for credentials that have expired, that are not valid, or that have
// no permission (Common Errors, in the API reference of each service).
var (
	expiredCodes = []string{"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
	unknownCodes = []string{"InvalidClientTokenId", "UnrecognizedClientException", "InvalidSignatureException",
		"SignatureDoesNotMatch", "AuthFailure", "IncompleteSignature"}
	deniedCodes = []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
)

const (
	logInAgain   = "log in again (with IAM Identity Center: aws sso login), or set AWS_PROFILE to a profile that works"
	otherRights  = "use credentials with this permission (AWS_PROFILE), or ask for the permission"
	checkNetwork = "check the network, and AWS_ENDPOINT_URL if it is set"
)

// Explain rewords an AWS error for an operator and adds a hint. It returns other errors unchanged.
func Explain(err error) error {
	if err == nil || terminal.Hint(err) != "" || errors.Is(err, context.Canceled) {
		return err
	}
	secretError, ofSecret := errors.AsType[*vault.Error](err)
	text := err.Error()
	if ofSecret { // without what package vault adds for the functions
		text = fmt.Sprintf("%s of %s: %s", secretError.Operation, secretError.Secret, secretError.Message)
	}
	switch {
	case isCode(err, expiredCodes...):
		return terminal.WithHint(errors.New("the AWS credentials have expired"), logInAgain)
	case isCode(err, unknownCodes...):
		return terminal.WithHint(errors.New("AWS refused the credentials as not valid"), logInAgain)
	case Denied(err):
		return terminal.WithHint(fmt.Errorf("the AWS credentials may not do this: %s", text), otherRights)
	case ofSecret && NotFound(err):
		return terminal.WithHint(fmt.Errorf("there is no secret %s in this account and region", secretError.Secret),
			"check the name and AWS_REGION; to list the managed secrets: quilt-rotate status")
	case ofSecret && secretError.Code == "" && errors.Is(err, context.DeadlineExceeded):
		return terminal.WithHint(errors.New("AWS cannot be reached: no answer in time"), checkNetwork)
	case ofSecret && secretError.Code == "":
		return terminal.WithHint(fmt.Errorf("AWS cannot be reached: %s",
			redact.Scrub(innermost(secretError.Unwrap()).Error())), checkNetwork)
	case ofSecret:
		return errors.New(text)
	}
	if e, ok := errors.AsType[*FunctionError](err); ok && e.Type != "" {
		return terminal.WithHint(err, Runbook(e.Type))
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "" {
		return terminal.WithHint(err, checkNetwork)
	}
	return err
}

// Runbook returns a hint with the page of the runbook for an error of a function.
func Runbook(errorType string) string {
	return "what it means and what to do: docs/runbook/README.md, at " + errorType
}

// noCredentials explains why the SDK found no credentials.
func noCredentials(ctx context.Context, err error) error {
	text := innermost(err).Error()
	var api smithy.APIError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case terminal.Hint(err) != "" || errors.Is(err, terminal.ErrDeclined): // from the question for the MFA code
		return terminal.WithHint(innermost(err), terminal.Hint(err))
	case strings.Contains(strings.ToLower(err.Error()), "expired") || isCode(err, expiredCodes...):
		return terminal.WithHint(errors.New("the AWS credentials have expired"), logInAgain)
	case errors.As(err, &api): // an error of STS for a role
		return terminal.WithHint(fmt.Errorf("AWS gave no credentials: %s", redact.Clip(api.ErrorMessage(), 300)),
			"check the MFA code, the role and its profile; or "+logInAgain)
	case strings.Contains(text, "IMDS"): // the last source that the SDK tries; the message would confuse operators
		return terminal.WithHint(errors.New("no AWS credentials were found"), logInAgain)
	}
	return terminal.WithHint(fmt.Errorf("no AWS credentials were found: %s", redact.Clip(text, 300)), logInAgain)
}
