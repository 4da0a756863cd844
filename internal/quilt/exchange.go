package quilt

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"quilt-rotate/internal/redact"
)

// Size limits of an answer, in bytes.
const (
	graphqlLimit = 64 << 20 // the schema has no pages, and a user may have tens of thousands of keys
	restLimit    = 1 << 20
	refusalLimit = 64 << 10 // if the status is not 200
)

// request is one request, which may be sent more than once.
type request struct {
	operation   string // the name in errors
	method      string
	path        string
	contentType string
	body        []byte
	bearer      redact.Text
	carried     secrets // credentials in the body, which errors must not quote
	limit       int64
	graphql     bool
	once        bool // is repeated only if it was certainly not carried out
	single      bool // is never repeated
	patient     bool // is limited by the caller's context only, as with once
}

// answer is a complete answer with status 200.
type answer struct {
	body []byte
	date time.Time // from the Date header; may be zero
}

// send sends r once, and returns the answer or an error of this package.
func (c *Client) send(ctx context.Context, r *request) (answer, error) {
	ctx, cancel := c.limited(ctx, r)
	defer cancel()
	var reached atomic.Bool
	outgoing, err := c.outgoing(ctx, r, &reached)
	if err != nil {
		return answer{}, err
	}
	response, err := c.http.Do(outgoing)
	if err != nil {
		return answer{}, c.unreachable(r, err, reached.Load())
	}
	defer func() { _ = response.Body.Close() }()
	date, _ := http.ParseTime(response.Header.Get("Date"))
	limit := r.limit
	if response.StatusCode != http.StatusOK {
		limit = refusalLimit
	}
	// the body is read to its end, so that the connection can be used again
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case err != nil:
		return answer{}, c.unreachable(r, err, true)
	case response.StatusCode != http.StatusOK:
		return answer{}, c.refusal(r, response, body, date)
	case int64(len(body)) > limit:
		return answer{}, c.protocol(r, response.StatusCode, fmt.Sprintf("the answer is larger than %d bytes", limit))
	}
	return answer{body: body, date: date}, nil
}

// defaultPatientTimeout limits a patient attempt if the caller's context has no deadline.
const defaultPatientTimeout = time.Minute

// limited returns the context of one attempt. A request that should not be repeated is limited by
// the caller's context only. If it were cancelled early because the registry is slow, it could
// leave an orphan or a used token, and the next attempt would be slow too.
func (c *Client) limited(ctx context.Context, r *request) (context.Context, context.CancelFunc) {
	if !r.once && !r.patient {
		return context.WithTimeout(ctx, c.timeout)
	}
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, defaultPatientTimeout)
}

func (c *Client) outgoing(ctx context.Context, r *request, reached *atomic.Bool) (*http.Request, error) {
	outgoing, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, nil)
	if err != nil {
		return nil, c.protocol(r, 0, "the request cannot be built")
	}
	if r.body != nil {
		outgoing.Body = &watchedBody{bytes.NewReader(r.body), reached}
		outgoing.ContentLength = int64(len(r.body))
		outgoing.Header.Set("Content-Type", r.contentType)
		if !r.once { // without GetBody, the transport cannot repeat the request by itself
			outgoing.GetBody = func() (io.ReadCloser, error) {
				return &watchedBody{bytes.NewReader(r.body), reached}, nil
			}
		}
	}
	outgoing.Header.Set("Accept", "application/json")
	outgoing.Header.Set("User-Agent", c.agent)
	if !r.bearer.Empty() {
		outgoing.Header.Set("Authorization", "Bearer "+r.bearer.Reveal())
	}
	return outgoing, nil
}

// watchedBody records whether the transport began to read the body. Before that there is no
// connection, so the registry cannot have carried out the request.
type watchedBody struct {
	content io.Reader
	reached *atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.reached.Store(true)
	return b.content.Read(p)
}

func (b *watchedBody) Close() error { return nil }

// unreachable returns the error for an attempt without a complete answer.
func (c *Client) unreachable(r *request, err error, reached bool) error {
	if outer, ok := errors.AsType[*url.Error](err); ok { // its text repeats the method and the URL
		err = outer.Err
	}
	e := &UnavailableError{Where: c.at(r.operation), reached: reached}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		e.permanent = true
		e.next = "check the registry's certificate; if a private authority issued it, configure a CA bundle"
	}
	e.cause = r.secrets().cause(err)
	return e
}

// cause returns the error itself if its text is harmless. The transport quotes parts of an answer
// that it cannot parse. Such an error is replaced by an error with a scrubbed text, which errors.Is
// treats in the same way. Errors of dialling contain our own settings only.
func (s secrets) cause(err error) error {
	text := err.Error()
	if scrubbed := s.scrub(text); scrubbed != text && !isDialling(err) {
		return &scrubbedError{scrubbed, err}
	}
	return err
}

func isDialling(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	return ok && operation.Op == "dial"
}

type scrubbedError struct {
	text string
	err  error
}

func (e *scrubbedError) Error() string { return e.text }

// Is compares with the original error. There is no Unwrap, because it would give access to the
// text.
func (e *scrubbedError) Is(target error) bool { return errors.Is(e.err, target) }

func (r *request) secrets() secrets {
	return append(secrets{r.bearer}, r.carried...)
}

// refusal returns the error for a complete answer whose status is not 200.
func (c *Client) refusal(r *request, response *http.Response, body []byte, date time.Time) error {
	status := response.StatusCode
	said := readFailure(body)
	sent := r.secrets()
	switch {
	case status == http.StatusTooManyRequests || status >= 500:
		return &UnavailableError{Where: c.at(r.operation), Status: status, Message: sent.scrub(said.text()),
			RetryAfter: retryAfter(response.Header, date), reached: status != http.StatusTooManyRequests}
	case status == http.StatusUnauthorized:
		return &UnauthenticatedError{Where: c.at(r.operation), Message: sent.scrub(said.text())}
	case status == http.StatusForbidden:
		return &ForbiddenError{Where: c.at(r.operation), Message: sent.scrub(said.text())}
	case status >= 300 && status < 400:
		return c.protocol(r, status, quoting("the registry redirects to another address, which is not followed",
			sent.scrub(redirectHost(response))))
	case status >= 400 && said.text() != "" && r.graphql:
		return &GraphQLError{Where: c.at(r.operation), Status: status, Messages: said.messages(sent)}
	case status >= 400 && said.text() != "":
		return &InvalidInputError{Where: c.at(r.operation),
			Faults: []InputFault{{Name: sent.scrub(string(said.Code)), Message: sent.scrub(said.text())}}}
	}
	return c.protocol(r, status, fmt.Sprintf("status %d, which a registry does not return for this request", status))
}

func (c *Client) protocol(r *request, status int, problem string) error {
	return &ProtocolError{Where: c.at(r.operation), Status: status, Problem: problem}
}

// redirectHost returns the host of a redirect, without path and query, which may contain a secret.
func redirectHost(response *http.Response) string {
	to, err := response.Location()
	if err != nil {
		return ""
	}
	return to.Scheme + "://" + to.Host
}

// failure is the body of an answer with an error: {"message"} or {"error"} for REST, {"errors"} for
// GraphQL.
type failure struct {
	Message loose   `json:"message"`
	Error   loose   `json:"error"`
	Code    loose   `json:"error_code"`
	Errors  []fault `json:"errors"`
}

// fault is one GraphQL error (GraphQL specification, "Errors").
type fault struct {
	Message loose `json:"message"`
	Path    []any `json:"path"`
}

// loose is a string, or empty if the answer has another type. It is for texts that are only quoted:
// their type must not make the answer invalid.
type loose string

func (l *loose) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil {
		*l = loose(s)
	}
	return nil
}

func readFailure(body []byte) failure {
	var c failure
	if json.Unmarshal(body, &c) != nil {
		return failure{} // probably a page of another server, which must not be quoted
	}
	return c
}

func (c failure) text() string {
	text := cmp.Or(c.Message, c.Error)
	for _, f := range c.Errors {
		text = cmp.Or(text, f.Message)
	}
	return string(text)
}

// quotedFaults is the largest number of the registry's messages in an error.
const quotedFaults = 5

func (c failure) messages(sent secrets) []string {
	var messages []string
	for _, f := range c.Errors[:min(len(c.Errors), quotedFaults)] {
		messages = append(messages, sent.scrub(string(f.Message)))
	}
	if len(messages) == 0 {
		messages = append(messages, sent.scrub(c.text()))
	}
	return messages
}
