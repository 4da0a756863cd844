package quilt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Refused reports whether the registry definitely refused the credential (status 401, or nobody is
// logged in), the user (status 403), or the request. It returns false for nil and for temporary,
// unknown or invalid answers, which say nothing about the credential.
func Refused(err error) bool {
	if _, lost := errors.AsType[*AnswerLostError](err); lost {
		return false
	}
	_, forbidden := errors.AsType[*ForbiddenError](err)
	_, failed := errors.AsType[*GraphQLError](err)
	_, invalid := errors.AsType[*InvalidInputError](err)
	return RefusesLogin(err) || forbidden || failed || invalid
}

// RefusesLogin reports whether the registry refused the credential. It returns false if the
// registry accepted the credential, but the user lacks a permission.
func RefusesLogin(err error) bool {
	_, ok := errors.AsType[*UnauthenticatedError](err)
	return ok
}

// Where names the operation that failed and the host. Each error type of this package has it.
type Where struct {
	Operation string
	Host      string
}

func (c *Client) at(operation string) Where { return Where{operation, c.host} }

func (w Where) message(what, next string) string {
	return w.Operation + " at " + w.Host + ": " + what + "; " + next
}

// quoting appends the messages of the registry, if there are any.
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

// summary returns what happened, without the operation, the host and the next step.
func summary(err error) string {
	if said, ok := err.(interface{ what() string }); ok {
		return said.what()
	}
	return err.Error()
}

// UnauthenticatedError means that the registry refused the credential (status 401), or that nobody
// is logged in (status 200 with `me: null`). The registry does not say whether a key expired or was
// revoked.
type UnauthenticatedError struct {
	Where
	Message string // of the registry, scrubbed

	problem string // replaces the usual text if it is not empty
	next    string // replaces the usual text if it is not empty
}

func (e *UnauthenticatedError) what() string {
	return quoting(cmp.Or(e.problem, "the registry does not accept the credential"), e.Message)
}

func (e *UnauthenticatedError) Error() string {
	return e.message(e.what(), cmp.Or(e.next, "check that the credential belongs to this registry "+
		"and is neither expired nor revoked"))
}

// SSORequiredError means that the users of this registry can log in by single sign-on only. It
// wraps an [*UnauthenticatedError].
type SSORequiredError struct {
	Where
	CodeURL string // the page that shows a code for [Client.LoginRefreshToken]

	cause *UnauthenticatedError
}

func (e *SSORequiredError) Error() string {
	return e.message("this registry allows logins by single sign-on only, not by password",
		"log in at "+e.CodeURL+" and use the code shown there")
}

// Unwrap returns the [*UnauthenticatedError].
func (e *SSORequiredError) Unwrap() error { return e.cause }

// ForbiddenError means that the user lacks the permission for the operation (status 403).
type ForbiddenError struct {
	Where
	Message string // of the registry, scrubbed
}

func (e *ForbiddenError) what() string {
	return quoting("the registry does not allow this user to do that", e.Message)
}

func (e *ForbiddenError) Error() string {
	return e.message(e.what(), "check the user's role (admin operations need an administrator) "+
		"and the firewalls in front of the registry")
}

// GraphQLError means that the registry answered with GraphQL errors: with status 200, with or
// without data, or with a status 4xx.
type GraphQLError struct {
	Where
	Status   int      // of HTTP
	Messages []string // of the registry, scrubbed; at most five

	executed bool // the operation may have been carried out
}

func (e *GraphQLError) what() string {
	return quoting(fmt.Sprintf("the registry answered with errors (status %d)", e.Status), e.Messages...)
}

func (e *GraphQLError) Error() string {
	return e.message(e.what(), "check that the registry's platform has version 1.67 or newer, and read its messages")
}

// InputFault is one error that the registry found in the input, scrubbed.
type InputFault struct {
	Path    string // in the input; may be empty
	Name    string // kind of the error, such as "ValidationError"
	Message string
}

// InvalidInputError means that the registry refused the input: with the type InvalidInput of its
// schema, or with a status 4xx to a REST call.
type InvalidInputError struct {
	Where
	Faults []InputFault // at most five
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
	return e.message(e.what(), "correct the input; another attempt with the same input fails again")
}

// ProtocolError means that the answer is not valid for a Quilt registry: it comes from another
// server, has an unknown type or a missing field, is too large, or is a redirect. It says nothing
// about the credential.
type ProtocolError struct {
	Where
	Status  int    // of HTTP
	Problem string // scrubbed
}

func (e *ProtocolError) what() string { return e.Problem }

func (e *ProtocolError) Error() string {
	return e.message(e.what(), "check that this is the registry's URL, and that no other server answers in its place")
}

// UnavailableError means that all attempts failed without an answer, or with a status that asks to
// try again (429 or 5xx). It wraps the cause of the last failure, so that errors.Is finds
// context.DeadlineExceeded or context.Canceled.
type UnavailableError struct {
	Where
	Status     int           // of HTTP; 0 if there was no answer
	Attempts   int           // number of attempts
	RetryAfter time.Duration // the wait that the registry asked for; may be 0
	Message    string        // of the registry, scrubbed

	cause     error
	reached   bool // the last attempt may have been carried out
	permanent bool // another attempt would fail in the same way
	next      string
}

// AsksToWait returns how long the registry asked to wait before the next attempt.
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
	next := "check the network: DNS, routes and the security groups between here and the registry"
	switch {
	case e.Status == 429 && e.RetryAfter > 0:
		next = "try again in " + e.RetryAfter.String()
	case e.Status != 0:
		next = "try again later"
	case errors.Is(e.cause, context.Canceled):
		next = "the caller cancelled the request, so the state of the registry is not known"
	}
	return e.message(e.what(), cmp.Or(e.next, next))
}

// Unwrap returns the last attempt's cause; nil if the registry answered.
func (e *UnavailableError) Unwrap() error { return e.cause }

// AnswerLostError means that a key may have been created whose secret text was not received. Only
// [Session.CreateKey] returns it. It wraps the reason.
type AnswerLostError struct {
	Where
	KeyName string // the name in the request

	cause error
}

func (e *AnswerLostError) Error() string {
	return e.message("a key may have been created, but the answer is lost: "+summary(e.cause),
		fmt.Sprintf("list the keys named %q and revoke them before you try again", e.KeyName))
}

// Unwrap returns the reason why the answer is lost.
func (e *AnswerLostError) Unwrap() error { return e.cause }

// CatalogError means that a URL is not the URL of a usable Quilt catalog.
type CatalogError struct {
	Where
	Problem string
}

func (e *CatalogError) Error() string {
	return e.message(e.Problem, "check the catalog's address, or use the registry's URL itself")
}
