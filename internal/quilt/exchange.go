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

// Limits of what is read of an answer.
const (
	graphqlLimit = 64 << 20 // the schema has no pages, and a user may have tens of thousands of keys
	restLimit    = 1 << 20
	refusalLimit = 64 << 10 // of answers of which only the message is used
)

// request is what is sent, once or more often.
type request struct {
	operation   string // as errors name it
	method      string
	path        string
	contentType string
	body        []byte
	bearer      redact.Text
	carried     secrets // what errors must not quote, in addition to the bearer
	limit       int64
	graphql     bool
	once        bool // is sent again only if it provably was not carried out
	single      bool // is never sent again
	patient     bool // each attempt gets all the time that the caller has, as with once
}

// answer is a complete answer with status 200.
type answer struct {
	body []byte
	date time.Time // the registry's clock; zero: the answer has none
}

// send sends r once, and returns the answer or its type of error.
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
	// to the end, so that the connection can be used again
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

// unhurried limits an attempt that gets all the caller's time, if the caller has no deadline.
const unhurried = time.Minute

// limited limits one attempt. A request that should not be sent again gets all the time that the
// caller has. To give up on a slow registry leaves a key that nobody saw, or a token that is used
// up, and the next attempt would be as slow.
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
		return nil, c.protocol(r, 0, "the request cannot be built")
	}
	if r.body != nil {
		outgoing.Body = &watchedBody{bytes.NewReader(r.body), reached}
		outgoing.ContentLength = int64(len(r.body))
		outgoing.Header.Set("Content-Type", r.contentType)
		if !r.once { // without GetBody, no transport can send it again by itself
			outgoing.GetBody = func() (io.ReadCloser, error) {
				return &watchedBody{bytes.NewReader(r.body), reached},
					nil
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

// watchedBody records whether the transport began to read the body. Until then there is no
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

// unreachable is the error for an attempt without a complete answer.
func (c *Client) unreachable(r *request, err error, reached bool) error {
	if outer, ok := errors.AsType[*url.Error](err); ok { // it repeats method and URL
		err = outer.Err
	}
	e := &UnavailableError{Where: c.at(r.operation), reached: reached}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		e.hopeless = true
		e.next = "check the registry's certificate; if a private authority issued it, configure its CA bundle"
	}
	e.cause = r.secrets().cause(err)
	return e
}

// cause keeps an error whose text is harmless. The transport quotes what it cannot read of an
// answer. So another error is replaced by one with a clean text, which is the same for errors.Is.
// Errors of dialling quote our own settings only.
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

// Is compares without showing the text, as Unwrap would.
func (e *scrubbedError) Is(target error) bool { return errors.Is(e.err, target) }

func (r *request) secrets() secrets {
	return append(secrets{r.bearer}, r.carried...)
}

// refusal returns the error for a complete answer whose status is not 200.
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
		return c.protocol(r, status, quoting("redirects elsewhere, which is not followed",
			sent.scrub(redirectHost(response))))
	case status >= 400 && said.text() != "" && r.graphql:
		return &GraphQLError{Where: c.at(r.operation), Status: status, Messages: said.messages(sent)}
	case status >= 400 && said.text() != "":
		return &InvalidInputError{Where: c.at(r.operation),
			Faults: []InputFault{{Name: sent.scrub(string(said.Code)), Message: sent.scrub(said.text())}}}
	}
	return c.protocol(r, status, fmt.Sprintf("status %d, which no registry answers here", status))
}

func (c *Client) protocol(r *request, status int, problem string) error {
	return &ProtocolError{Where: c.at(r.operation), Status: status, Problem: problem}
}

// redirectHost is the host of a redirect, without a path or query, which might hold anything.
func redirectHost(response *http.Response) string {
	to, err := response.Location()
	if err != nil {
		return ""
	}
	return to.Scheme + "://" + to.Host
}

// complaint is what the registry says in addition to a status: {"message"} or {"error"} for REST,
// {"errors"} for GraphQL.
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

// loose is a string, or empty if the answer has something else there. What is only quoted must not
// make an answer unreadable.
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
		return complaint{} // another server's page, which is not safe to quote
	}
	return c
}

func (c complaint) text() string {
	text := cmp.Or(c.Message, c.Error)
	for _, f := range c.Errors {
		text = cmp.Or(text, f.Message)
	}
	return string(text)
}

// quotedFaults is how many of the registry's messages an error keeps at most.
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
