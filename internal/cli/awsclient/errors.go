package awsclient

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Error is a request to AWS that failed. Its message is the service's, without anything that looks like a key or was sent as a secret.
type Error struct {
	Doing   string // "invoke the function x"
	Code    string // the service's, such as "AccessDeniedException"; "" without an answer
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

// Unwrap gives the SDK's error. It must not be printed.
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

// innermost leaves out what the SDK says about its attempts.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// NotFound reports whether AWS answered that the resource does not exist.
func NotFound(err error) bool { return isCode(err, "ResourceNotFoundException") }

// Exists reports whether AWS answered that the resource exists already.
func Exists(err error) bool { return isCode(err, "ResourceExistsException") }

// Denied reports whether AWS answered that the credentials may not do this. Then nothing is known about the resource.
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

// Codes of AWS services for credentials that have expired, that are not known, or that may not do this (Common Errors, in each service's API reference).
var (
	expiredCodes = []string{"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
	unknownCodes = []string{"InvalidClientTokenId", "UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "IncompleteSignature"}
	deniedCodes  = []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
)

const (
	logInAgain  = "log in again (with IAM Identity Center: aws sso login), or set AWS_PROFILE to a profile that works"
	otherRights = "use credentials that may do it (AWS_PROFILE), or have the permission added"
)

// Explain words an AWS error for an operator, with a hint. Other errors stay as they are.
func Explain(err error) error {
	secretError, ofSecret := errors.AsType[*vault.Error](err)
	switch {
	case err == nil || terminal.Hint(err) != "" || errors.Is(err, context.Canceled):
		return err
	case isCode(err, expiredCodes...):
		return terminal.WithHint(errors.New("the AWS credentials have expired"), logInAgain)
	case isCode(err, unknownCodes...):
		return terminal.WithHint(errors.New("AWS does not know the credentials"), logInAgain)
	case isCode(err, deniedCodes...):
		return terminal.WithHint(fmt.Errorf("the AWS credentials may not do this: %s", plain(err)), otherRights)
	case ofSecret && NotFound(err):
		return terminal.WithHint(fmt.Errorf("there is no secret %s in this account and region", secretError.Secret), "check the name and AWS_REGION; `quilt-rotate status` lists the managed secrets")
	case ofSecret && secretError.Code == "":
		return terminal.WithHint(fmt.Errorf("AWS cannot be reached: %s", unreached(secretError.Unwrap())), "check the network, and AWS_ENDPOINT_URL if it is set")
	case ofSecret:
		return errors.New(plain(err))
	}
	if e, ok := errors.AsType[*FunctionError](err); ok && e.Type != "" {
		return terminal.WithHint(err, Runbook(e.Type))
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "" {
		return terminal.WithHint(err, "check the network, and AWS_ENDPOINT_URL if it is set")
	}
	return err
}

// unreached says why no answer came, without what the SDK says about its attempts.
func unreached(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return redact.Scrub(innermost(err).Error())
}

// Runbook says where to read about an error of a function. The index of the runbook has a page for each name.
func Runbook(errorType string) string {
	return "what it means and what to do: docs/runbook/README.md, at " + errorType
}

// plain leaves out what package vault adds for the functions.
func plain(err error) string {
	if e, ok := errors.AsType[*vault.Error](err); ok {
		return fmt.Sprintf("%s of %s: %s", e.Operation, e.Secret, e.Message)
	}
	return err.Error()
}

// An mfaError means that a profile's role demands an MFA code and there is no terminal to ask for it.
type mfaError struct{ role string }

func (e *mfaError) Error() string {
	return e.role + " needs an MFA code, and there is no terminal to ask for it"
}

func noCredentials(ctx context.Context, err error) error {
	text := innermost(err).Error()
	var api smithy.APIError
	noMFA, needsMFA := errors.AsType[*mfaError](err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, terminal.ErrDeclined):
		return terminal.ErrDeclined
	case needsMFA:
		return terminal.WithHint(noMFA, "run this at a terminal, or use credentials that need no code: aws configure export-credentials")
	case strings.Contains(strings.ToLower(err.Error()), "expired") || isCode(err, expiredCodes...):
		return terminal.WithHint(errors.New("the AWS credentials have expired"), logInAgain)
	case errors.As(err, &api): // of STS, for a role
		return terminal.WithHint(fmt.Errorf("AWS gave no credentials: %s", redact.Clip(redact.Scrub(api.ErrorMessage()), 300)), "check the MFA code, the role and its profile; or "+logInAgain)
	case strings.Contains(text, "IMDS"): // the last place that the SDK looks at; operators do not know it
		return terminal.WithHint(errors.New("no AWS credentials were found"), logInAgain)
	}
	return terminal.WithHint(fmt.Errorf("no AWS credentials were found: %s", redact.Clip(text, 300)), logInAgain)
}
