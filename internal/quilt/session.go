package quilt

import (
	"context"
	"time"

	"github.com/Khan/genqlient/graphql"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// renewBefore is how long before its expiry an access token is replaced, as in the registry's own
// client (quilt: api/python/quilt3/session.py).
const renewBefore = 60 * time.Second

// Session sends requests to a registry as one user, who logged in with an API key or in another
// way. It is safe for concurrent use.
type Session struct {
	client *Client
	key    redact.Text // empty if login is used
	login  *tokens     // nil if key is used
}

// tokens are the tokens of a session without an API key.
type tokens struct {
	turn    chan struct{} // held while the other fields are read or replaced
	access  redact.Text
	renewAt time.Time // on this process's clock
	refresh RefreshToken
	spent   bool // the refresh token may have been used, and its answer is lost
}

// WithKey returns a session for the owner of an API key. It sends no request. The first operation
// shows whether the registry accepts the key.
func (c *Client) WithKey(key apikey.Key) *Session {
	return &Session{client: c, key: redact.New(key.Reveal())}
}

// Host returns the host of the registry, with the port if the URL has one.
func (s *Session) Host() string { return s.client.Host() }

// start prepares a call. If the access token is about to expire, it first requests a new one.
func (s *Session) start(ctx context.Context, operation string, effect effect) (*call, error) {
	bearer, err := s.bearer(ctx)
	if err != nil {
		return nil, err
	}
	if !sendable(bearer) {
		return nil, &UnauthenticatedError{Where: s.client.at(operation),
			problem: "the credential is empty or contains a character that cannot be sent",
			next:    "check the stored key"}
	}
	return &call{client: s.client, operation: operation, effect: effect, bearer: bearer}, nil
}

// ask sends one operation as the session's user. send is the generated function of the operation.
func ask[T any](ctx context.Context, s *Session, operation string, e effect,
	send func(context.Context, graphql.Client) (*T, error)) (*T, *call, error) {
	c, err := s.start(ctx, operation, e)
	if err != nil {
		return nil, nil, err
	}
	got, err := send(ctx, c)
	return got, c, err
}

// sendable reports whether the text is valid in a header (RFC 9110, section 5.5).
func sendable(bearer redact.Text) bool {
	for _, b := range []byte(bearer.Reveal()) {
		if b < ' ' || b == 0x7f {
			return false
		}
	}
	return !bearer.Empty()
}

func (s *Session) bearer(ctx context.Context) (redact.Text, error) {
	if s.login == nil {
		return s.key, nil
	}
	t := s.login
	select { // one at a time, because a refresh token works only once
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return redact.Text{}, &UnavailableError{Where: s.client.at(tokenOperation), cause: context.Cause(ctx)}
	}
	if time.Now().Before(t.renewAt) {
		return t.access, nil
	}
	if t.spent {
		return redact.Text{}, &UnauthenticatedError{Where: s.client.at(tokenOperation),
			problem: "the session's token is used up, and no new token was received", next: "log in again"}
	}
	return t.access, s.client.renew(ctx, t)
}
