package quilt

import (
	"bytes"
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

// Bounds on what is read of an answer.
const (
	graphqlLimit = 64 << 20 // the schema has no pages, and a user may have tens of thousands of keys
	restLimit    = 1 << 20
	refusalLimit = 64 << 10 // of answers that are read for their message only
)

// request is one call, as often as it is sent.
type request struct {
	operation   string // as errors name it
	method      string
	path        string
	contentType string
	body        []byte
	bearer      redact.Text
	carried     secrets // what else errors must not quote
	limit       int64
	graphql     bool
	once        bool // sent again only where it provably was not carried out
	single      bool // never sent again
	patient     bool // each attempt gets all the time that the caller has, as with once
}

// answer is a complete answer with status 200.
type answer struct {
	body []byte
	date time.Time // the registry's clock; zero where the answer has none
}

// send sends r once and sorts what comes back. An [*UnavailableError] is for retry to look at.
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
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1)) // to the end, so that the connection can be used again
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

// unhurried bounds an attempt that gets all the time there is, if the caller has no deadline.
const unhurried = time.Minute

// limited bounds one attempt. An attempt of a request that should not be sent again gets all the time that the caller
// has: giving up on a slow registry leaves a key that nobody saw, or a token that is used up, and the next try would be
// as slow.
func (c *Client) limited(ctx context.Context, r *request) (context.Context, context.CancelFunc) {
	if !r.once && !r.patient {
		return context.WithTimeout(ctx, c.timeout)
	}
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, unhurried)
}

func (c *Client) outgoing(ctx context.Context, r *request, reached *atomic.Bool) (*http.Request, error) {
	outgoing, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, nil)
	if err != nil {
		return nil, c.protocol(r, 0, "the request cannot be made")
	}
	if r.body != nil {
		outgoing.Body = &watchedBody{bytes.NewReader(r.body), reached}
		outgoing.ContentLength = int64(len(r.body))
		outgoing.Header.Set("Content-Type", r.contentType)
		if !r.once { // without GetBody, no transport can send it a second time on its own
			outgoing.GetBody = func() (io.ReadCloser, error) { return &watchedBody{bytes.NewReader(r.body), reached}, nil }
		}
	}
	outgoing.Header.Set("Accept", "application/json")
	outgoing.Header.Set("User-Agent", c.agent)
	if !r.bearer.Empty() {
		outgoing.Header.Set("Authorization", "Bearer "+r.bearer.Reveal())
	}
	return outgoing, nil
}

// watchedBody tells whether the transport began to read the body. Until then it has no connection, so the registry
// cannot have carried the request out.
type watchedBody struct {
	content io.Reader
	reached *atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.reached.Store(true)
	return b.content.Read(p)
}

func (b *watchedBody) Close() error { return nil }

// unreachable is for an attempt that brought no complete answer.
func (c *Client) unreachable(r *request, err error, reached bool) error {
	if outer, ok := errors.AsType[*url.Error](err); ok { // it repeats method and URL
		err = outer.Err
	}
	e := &UnavailableError{Where: c.at(r.operation), reached: reached}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		e.hopeless = true
		e.next = "check the registry's certificate; one of a private authority needs its CA bundle here"
	}
	e.cause = r.secrets().cause(err)
	return e
}

// cause keeps an error whose text is harmless. The transport quotes what it cannot read of an answer, so others are
// replaced by one that is the same to errors.Is and has a clean text. Errors of dialling quote nothing but our own
// settings.
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

// Is finds what the error is without handing out its text, as Unwrap would.
func (e *scrubbedError) Is(target error) bool { return errors.Is(e.err, target) }

func (r *request) secrets() secrets {
	return append(secrets{r.bearer}, r.carried...)
}

// refusal sorts a complete answer whose status is not 200.
func (c *Client) refusal(r *request, response *http.Response, body []byte, date time.Time) error {
	status := response.StatusCode
	said := readComplaint(body)
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
		return c.protocol(r, status, quoting("redirects elsewhere, which is not followed", sent.scrub(redirectHost(response))))
	case status >= 400 && said.text() != "" && r.graphql:
		return &GraphQLError{Where: c.at(r.operation), Status: status, Messages: said.messages(sent)}
	case status >= 400 && said.text() != "":
		return &InvalidInputError{Where: c.at(r.operation),
			Faults: []InputFault{{Name: sent.scrub(string(said.Code)), Message: sent.scrub(said.text())}}}
	}
	return c.protocol(r, status, fmt.Sprintf("status %d, which a registry does not answer here", status))
}

func (c *Client) protocol(r *request, status int, problem string) error {
	return &ProtocolError{Where: c.at(r.operation), Status: status, Problem: problem}
}

// redirectHost shows where a redirect leads, without a path or query that might hold anything.
func redirectHost(response *http.Response) string {
	to, err := response.Location()
	if err != nil {
		return ""
	}
	return to.Scheme + "://" + to.Host
}

// complaint is what the registry says beside a status: REST calls {"message"} or {"error"}, GraphQL {"errors"}.
type complaint struct {
	Message loose   `json:"message"`
	Error   loose   `json:"error"`
	Code    loose   `json:"error_code"`
	Errors  []fault `json:"errors"`
}

// fault is one of GraphQL's errors (GraphQL specification, "Errors").
type fault struct {
	Message loose `json:"message"`
	Path    []any `json:"path"`
}

// loose is a string, or nothing where something else stands: what is only quoted must not make an answer unreadable.
type loose string

func (l *loose) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil {
		*l = loose(s)
	}
	return nil
}

func readComplaint(body []byte) complaint {
	var c complaint
	if json.Unmarshal(body, &c) != nil {
		return complaint{} // another server's page: nothing of it is worth the risk of quoting it
	}
	return c
}

func (c complaint) text() string {
	for _, text := range []loose{c.Message, c.Error} {
		if text != "" {
			return string(text)
		}
	}
	for _, f := range c.Errors {
		if f.Message != "" {
			return string(f.Message)
		}
	}
	return ""
}

// quotedFaults bounds how many of the registry's messages an error keeps.
const quotedFaults = 5

func (c complaint) messages(sent secrets) []string {
	var messages []string
	for _, f := range c.Errors[:min(len(c.Errors), quotedFaults)] {
		messages = append(messages, sent.scrub(string(f.Message)))
	}
	if len(messages) == 0 {
		messages = append(messages, sent.scrub(c.text()))
	}
	return messages
}
