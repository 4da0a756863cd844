package awsclient

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// Error is a call to AWS that failed. Its message quotes the service's, with everything taken out that looks like a key, or was sent and is secret.
type Error struct {
	Doing   string // "invoke the function x"
	Code    string // the service's, such as "AccessDeniedException"; "" where no answer came
	Message string
	cause   error
}

func (e *Error) Error() string {
	text := e.Doing + ": "
	if e.Code != "" {
		text += e.Code + ": "
	}
	return text + e.Message
}

// Unwrap gives the SDK's error, to be looked at and not to be printed.
func (e *Error) Unwrap() error { return e.cause }

func newError(doing string, err error, sent ...redact.Text) error {
	e := &Error{Doing: doing, cause: err}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Message = api.ErrorCode(), redact.Scrub(api.ErrorMessage(), sent...)
	} else {
		e.Message = redact.Scrub(innermost(err).Error(), sent...)
	}
	return e
}

// innermost leaves out the SDK's account of its attempts.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// NotFound tells whether AWS answered that there is no such thing.
func NotFound(err error) bool { return isCode(err, "ResourceNotFoundException") }

// Exists tells whether AWS answered that there is such a thing already.
func Exists(err error) bool { return isCode(err, "ResourceExistsException") }

// Denied tells whether AWS answered that the credentials may not do this: nothing is known of the thing itself then.
func Denied(err error) bool { return isCode(err, deniedCodes...) }

func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}

// Codes by which AWS services say that credentials are over, or nobody's (Common Errors, in each service's API reference).
var (
	expiredCodes = []string{"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
	unknownCodes = []string{"InvalidClientTokenId", "UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "IncompleteSignature"}
	deniedCodes  = []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
)

const (
	logInAgain  = "log in again (with IAM Identity Center: aws sso login), or set AWS_PROFILE to a profile that works"
	otherRights = "use credentials that may (AWS_PROFILE), or have the permission added"
)

// Explain says what AWS refused as a person at a keyboard needs it, with a hint. Other errors pass as they are.
func Explain(err error) error {
	secretError, ofSecret := errors.AsType[*vault.Error](err)
	switch {
	case err == nil || hint.Of(err) != "" || errors.Is(err, context.Canceled):
		return err
	case isCode(err, expiredCodes...):
		return hint.With(errors.New("the AWS credentials have expired"), logInAgain)
	case isCode(err, unknownCodes...):
		return hint.With(errors.New("AWS does not know the credentials"), logInAgain)
	case isCode(err, deniedCodes...):
		return hint.With(fmt.Errorf("the AWS credentials may not do this: %s", plain(err)), otherRights)
	case ofSecret && NotFound(err):
		return hint.With(fmt.Errorf("there is no secret %s in this account and region", secretError.Secret), "see the name and AWS_REGION; `quilt-rotate status` lists the secrets that are in care")
	case ofSecret && secretError.Code == "":
		return hint.With(fmt.Errorf("AWS cannot be reached: %s", unreached(secretError.Unwrap())), "check the network, and AWS_ENDPOINT_URL where it is set")
	case ofSecret:
		return errors.New(plain(err))
	}
	if e, ok := errors.AsType[*FunctionError](err); ok && e.Type != "" {
		return hint.With(err, Runbook(e.Type))
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "" {
		return hint.With(err, "check the network, and AWS_ENDPOINT_URL where it is set")
	}
	return err
}

// unreached is why no answer came, without the SDK's account of its attempts.
func unreached(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return redact.Scrub(innermost(err).Error())
}

// Runbook says where to read of an error of a function. The index of the runbook leads from each name to its page.
func Runbook(errorType string) string {
	return "what it means and what to do: docs/runbook/README.md, at " + errorType
}

// plain leaves out what package vault says to those who look after the functions.
func plain(err error) string {
	if e, ok := errors.AsType[*vault.Error](err); ok {
		return fmt.Sprintf("%s of %s: %s", e.Operation, e.Secret, e.Message)
	}
	return err.Error()
}

func noCredentials(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := innermost(err).Error()
	if strings.Contains(strings.ToLower(err.Error()), "expired") || isCode(err, expiredCodes...) {
		return hint.With(errors.New("the AWS credentials have expired"), logInAgain)
	}
	err = errors.New("no AWS credentials were found")
	if !strings.Contains(text, "IMDS") { // the last place that the SDK looks at, of which nobody at a keyboard knows
		err = fmt.Errorf("%w: %s", err, redact.Clip(text, 300))
	}
	return hint.With(err, logInAgain)
}
