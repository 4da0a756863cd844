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

// Refused reports whether the registry definitely answered "no": to the credential (401, or nobody
// is logged in), to the user (403), or to the request. It is false for every temporary, unknown or
// garbled answer, and for nil. Those say nothing about the credential.
func Refused(err error) bool {
	if _, lost := errors.AsType[*AnswerLostError](err); lost {
		return false
	}
	_, forbidden := errors.AsType[*ForbiddenError](err)
	_, failed := errors.AsType[*GraphQLError](err)
	_, invalid := errors.AsType[*InvalidInputError](err)
	return RefusesLogin(err) || forbidden || failed || invalid
}

// RefusesLogin reports whether the registry does not accept the credential. If it accepts the
// credential, but the user may not do what was asked, that is another error.
func RefusesLogin(err error) bool {
	_, ok := errors.AsType[*UnauthenticatedError](err)
	return ok
}

// Where says which operation failed, and at which host. Every error of this package has it.
type Where struct {
	Operation string
	Host      string
}

func (c *Client) at(operation string) Where { return Where{operation, c.host} }

func (w Where) message(what, next string) string {
	return w.Operation + " at " + w.Host + ": " + what + "; " + next
}

// quoting appends the registry's own words, if there are any.
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

// UnauthenticatedError says that the registry does not accept the credential (status 401), or that
// nobody is logged in (status 200 with `me: null`). The registry does not say whether a key expired
// or was revoked.
type UnauthenticatedError struct {
	Where
	Message string // the registry's, scrubbed

	problem string // "": the usual one
	next    string // "": the usual one
}

func (e *UnauthenticatedError) what() string {
	return quoting(cmp.Or(e.problem, "the registry does not accept the credential"), e.Message)
}

func (e *UnauthenticatedError) Error() string {
	return e.message(e.what(), cmp.Or(e.next, "check that the credential is this registry's, "+
		"and neither expired nor revoked"))
}

// SSORequiredError says that the users of this registry log in by single sign-on only, so that no
// password works. It wraps an [*UnauthenticatedError].
type SSORequiredError struct {
	Where
	CodeURL string // the page that shows a code for [Client.LoginRefreshToken]

	cause *UnauthenticatedError
}

func (e *SSORequiredError) Error() string {
	return e.message("this registry takes single sign-on only, no password",
		"log in at "+e.CodeURL+" and use the code shown there")
}

// Unwrap returns the [*UnauthenticatedError].
func (e *SSORequiredError) Unwrap() error { return e.cause }

// ForbiddenError says that the registry knows the user, who may not do this (status 403).
type ForbiddenError struct {
	Where
	Message string // the registry's, scrubbed
}

func (e *ForbiddenError) what() string {
	return quoting("the registry does not allow this user to do that", e.Message)
}

func (e *ForbiddenError) Error() string {
	return e.message(e.what(), "check the user's role (the admin operations need an admin), "+
		"and firewalls in front of the registry")
}

// GraphQLError says that the registry answered with errors: with status 200, even if there is data,
// too, or with a 4xx.
type GraphQLError struct {
	Where
	Status   int      // of HTTP
	Messages []string // the registry's, scrubbed; at most five

	executed bool // the operation may have been carried out
}

func (e *GraphQLError) what() string {
	return quoting(fmt.Sprintf("the registry answered with errors (status %d)", e.Status), e.Messages...)
}

func (e *GraphQLError) Error() string {
	return e.message(e.what(), "check that the registry's platform is 1.67 or newer, and what its messages say")
}

// InputFault is one thing that the registry refused in the input, scrubbed.
type InputFault struct {
	Path    string // of the input; "": the registry names none
	Name    string // kind of the fault, such as "ValidationError"
	Message string
}

// InvalidInputError says that the registry refused the input: with the type InvalidInput of its
// schema, or with a 4xx to a REST call.
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
	return e.message(e.what(), "correct the input; the registry refuses the same input each time")
}

// ProtocolError says that the answer is not one that a Quilt registry gives: another server's, an
// unknown type, a missing field, too large, a redirect. It says nothing about the credential.
type ProtocolError struct {
	Where
	Status  int    // of HTTP
	Problem string // scrubbed
}

func (e *ProtocolError) what() string { return e.Problem }

func (e *ProtocolError) Error() string {
	return e.message(e.what(), "check that this is the registry's own URL, and that nothing else answers in its place")
}

// UnavailableError says that no answer came, or only one that asks to try again (429 or 5xx), after
// all attempts that the time allowed. It wraps the last attempt's cause, so that errors.Is finds
// context.DeadlineExceeded or context.Canceled.
type UnavailableError struct {
	Where
	Status     int           // of HTTP; 0: no answer came
	Attempts   int           // that were made
	RetryAfter time.Duration // that the registry asked for; 0: it asked for none
	Message    string        // the registry's, scrubbed

	cause    error
	reached  bool // the last attempt may have been carried out
	hopeless bool // another attempt would fail in the same way
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
	next := "check the network: DNS, routes and the security groups between here and the registry"
	switch {
	case e.Status == 429 && e.RetryAfter > 0:
		next = "try again in " + e.RetryAfter.String()
	case e.Status != 0:
		next = "try again later"
	case errors.Is(e.cause, context.Canceled):
		next = "the caller gave up; nothing is known about the registry"
	}
	return e.message(e.what(), cmp.Or(e.next, next))
}

// Unwrap returns the last attempt's cause; nil if the registry answered.
func (e *UnavailableError) Unwrap() error { return e.cause }

// AnswerLostError says that a key may have been created whose secret nobody will ever see. Only
// [Session.CreateKey] returns it. It wraps what happened to the answer.
type AnswerLostError struct {
	Where
	KeyName string // that was asked for

	cause error
}

func (e *AnswerLostError) Error() string {
	return e.message("a key may have been created, but the answer is lost: "+summary(e.cause),
		fmt.Sprintf("list the keys named %q and revoke them before you try again", e.KeyName))
}

// Unwrap returns what happened to the answer.
func (e *AnswerLostError) Unwrap() error { return e.cause }

// CatalogError says that a URL is not that of a usable Quilt catalog.
type CatalogError struct {
	Where
	Problem string
}

func (e *CatalogError) Error() string {
	return e.message(e.Problem, "check the catalog's address, or give the registry's URL itself")
}
