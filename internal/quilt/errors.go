package quilt

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Refused tells whether the registry definitely answered "no": to the credential (401, or nobody is logged in), to the
// user (403), or to the request. It is false for everything transient, unknown or garbled, and for nil: those say
// nothing about the credential.
func Refused(err error) bool {
	if _, lost := errors.AsType[*AnswerLostError](err); lost {
		return false
	}
	_, unauthenticated := errors.AsType[*UnauthenticatedError](err)
	_, forbidden := errors.AsType[*ForbiddenError](err)
	_, failed := errors.AsType[*GraphQLError](err)
	_, invalid := errors.AsType[*InvalidInputError](err)
	return unauthenticated || forbidden || failed || invalid
}

func message(operation, host, what, next string) string {
	return operation + " at " + host + ": " + what + "; " + next
}

// quoting appends the registry's own words, where there are any.
func quoting(what string, words ...string) string {
	separator := ": "
	for _, w := range words {
		if w != "" {
			what += separator + strconv.Quote(w)
			separator = ", "
		}
	}
	return what
}

// summary is what an error of this package says, without where and what next.
func summary(err error) string {
	if said, ok := err.(interface{ what() string }); ok {
		return said.what()
	}
	return err.Error()
}

// UnauthenticatedError says that the registry does not accept the credential (status 401), or that nobody is logged in
// (status 200 with `me: null`). Keys end like this when they expire or are revoked; the registry does not say which.
type UnauthenticatedError struct {
	Operation string
	Host      string
	Message   string // the registry's, scrubbed; "" where it gave none

	problem string // instead of the usual one
	next    string // instead of the usual one
}

func (e *UnauthenticatedError) what() string {
	if e.problem != "" {
		return quoting(e.problem, e.Message)
	}
	return quoting("the registry does not accept the credential", e.Message)
}

func (e *UnauthenticatedError) Error() string {
	next := e.next
	if next == "" {
		next = "check that the credential is this registry's, and neither expired nor revoked"
	}
	return message(e.Operation, e.Host, e.what(), next)
}

// SSORequiredError says that this registry's users log in by single sign-on only, so that a password never will do. It
// wraps an [*UnauthenticatedError].
type SSORequiredError struct {
	Operation string
	Host      string
	CodeURL   string // the page that shows a code for [Client.LoginRefreshToken]

	cause *UnauthenticatedError
}

func (e *SSORequiredError) Error() string {
	return message(e.Operation, e.Host, "this registry takes single sign-on only, no password", "log in at "+e.CodeURL+" and use the code shown there")
}

// Unwrap gives the [*UnauthenticatedError].
func (e *SSORequiredError) Unwrap() error { return e.cause }

// ForbiddenError says that the registry knows the user, who may not do this (status 403).
type ForbiddenError struct {
	Operation string
	Host      string
	Message   string // the registry's, scrubbed
}

func (e *ForbiddenError) what() string {
	return quoting("the registry does not allow this user to do that", e.Message)
}

func (e *ForbiddenError) Error() string {
	return message(e.Operation, e.Host, e.what(), "check the user's role (the admin operations need an admin), and firewalls in front of the registry")
}

// GraphQLError says that the registry answered with errors: with status 200, even where there is data too, or with a
// 4xx.
type GraphQLError struct {
	Operation string
	Host      string
	Status    int      // of HTTP
	Messages  []string // the registry's, scrubbed; at most five

	executed bool // the operation got as far as to a result
}

func (e *GraphQLError) what() string {
	return quoting(fmt.Sprintf("the registry answered with errors (status %d)", e.Status), e.Messages...)
}

func (e *GraphQLError) Error() string {
	return message(e.Operation, e.Host, e.what(), "check that the registry's platform is 1.67 or newer, and what its messages say")
}

// InputFault is one thing that the registry found wrong in what it was given, scrubbed.
type InputFault struct {
	Path    string // of the input; "" where the registry names none
	Name    string // kind of the fault, such as "ValidationError"
	Message string
}

// InvalidInputError says that the registry refused the input: the type InvalidInput of its schema, or a REST call's
// 4xx.
type InvalidInputError struct {
	Operation string
	Host      string
	Faults    []InputFault // at most five
}

func (e *InvalidInputError) what() string {
	what := "the registry refused the input"
	for _, f := range e.Faults {
		if subject := strings.TrimSpace(f.Path + " " + f.Name); subject != "" {
			what += ": " + subject
		}
		what = quoting(what, f.Message)
	}
	return what
}

func (e *InvalidInputError) Error() string {
	return message(e.Operation, e.Host, e.what(), "correct the input; the same again will be refused again")
}

// ProtocolError says that the answer is not one a Quilt registry gives: another server's, an unknown type, a missing
// field, too large, a redirect. It says nothing about the credential.
type ProtocolError struct {
	Operation string
	Host      string
	Status    int    // of HTTP
	Problem   string // scrubbed
}

func (e *ProtocolError) what() string { return e.Problem }

func (e *ProtocolError) Error() string {
	return message(e.Operation, e.Host, e.what(), "check that this is the registry's own URL, and that nothing else answers in its place")
}

// UnavailableError says that no answer came, or only one that asks to come again (429 or 5xx), after all attempts that
// the time allowed. It wraps the last attempt's cause, so that errors.Is finds context.DeadlineExceeded or
// context.Canceled.
type UnavailableError struct {
	Operation  string
	Host       string
	Status     int           // of HTTP; 0 where no answer came
	Attempts   int           // that were made
	RetryAfter time.Duration // that the registry asked for; 0 where it asked for none
	Message    string        // the registry's, scrubbed

	cause    error
	reached  bool // the last attempt may have been carried out
	hopeless bool // another attempt would end the same
	next     string
}

// AsksToWait is how long the registry asked to wait before the next attempt.
func (e *UnavailableError) AsksToWait() time.Duration { return e.RetryAfter }

func (e *UnavailableError) what() string {
	what := "no answer"
	if e.Status != 0 {
		what = quoting(fmt.Sprintf("status %d", e.Status), e.Message)
	}
	if e.cause != nil {
		what += ": " + e.cause.Error()
	}
	if e.Attempts > 1 {
		what += fmt.Sprintf(" (after %d attempts)", e.Attempts)
	}
	return what
}

func (e *UnavailableError) Error() string {
	next := e.next
	switch {
	case next != "":
	case e.Status == 429 && e.RetryAfter > 0:
		next = "try again in " + e.RetryAfter.String()
	case e.Status != 0:
		next = "try again later"
	case errors.Is(e.cause, context.Canceled):
		next = "the caller gave up; nothing is known of the registry"
	default:
		next = "check the network: DNS, routes and the security groups between here and the registry"
	}
	return message(e.Operation, e.Host, e.what(), next)
}

// Unwrap gives the last attempt's cause; nil where the registry answered.
func (e *UnavailableError) Unwrap() error { return e.cause }

// AnswerLostError says that a key may have been made whose secret nobody will ever see. Only [Session.CreateKey]
// returns it. It wraps what became of the answer.
type AnswerLostError struct {
	Operation string
	Host      string
	KeyName   string // that was asked for

	cause error
}

func (e *AnswerLostError) Error() string {
	what := "a key may have been made, but its answer is lost: " + summary(e.cause)
	return message(e.Operation, e.Host, what, fmt.Sprintf("list the keys named %q, and revoke what is there before another try", e.KeyName))
}

// Unwrap gives what became of the answer.
func (e *AnswerLostError) Unwrap() error { return e.cause }

// CatalogError says that a URL is no usable Quilt catalog's.
type CatalogError struct {
	Operation string
	Host      string
	Problem   string
}

func (e *CatalogError) Error() string {
	return message(e.Operation, e.Host, e.Problem, "check the catalog's address, or give the registry's URL itself")
}

// RefusesLogin tells whether the registry takes the credential for nobody's. A credential that merely may not do what
// was asked is another matter.
func RefusesLogin(err error) bool {
	_, ok := errors.AsType[*UnauthenticatedError](err)
	return ok
}
