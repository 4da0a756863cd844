package quilt

import (
	"context"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// renewBefore is how long before its end an access token is replaced, as in the registry's own client (quilt:
// api/python/quilt3/session.py).
const renewBefore = 60 * time.Second

// Session asks a registry as one user: by an API key, or by a login. It is safe for concurrent use.
type Session struct {
	client *Client
	key    redact.Text // empty in a session by login
	login  *tokens     // nil in a session by key
}

// tokens are those of a session by login.
type tokens struct {
	turn    chan struct{} // held by whoever reads or replaces the rest
	access  redact.Text
	renewAt time.Time // on this process's clock
	refresh RefreshToken
	spent   bool // the refresh token may have been used without an answer
}

// WithKey asks as the owner of an API key. It sends nothing: whether the key is accepted shows at the first operation.
func (c *Client) WithKey(key apikey.Key) *Session {
	return &Session{client: c, key: redact.New(key.Reveal())}
}

// Host is the host of the registry that is asked, with its port where the URL names one.
func (s *Session) Host() string { return s.client.Host() }

// start prepares a call. In a session by login it may have to get a new access token first.
func (s *Session) start(ctx context.Context, operation string, effect effect) (*call, error) {
	bearer, err := s.bearer(ctx)
	if err != nil {
		return nil, err
	}
	if !sendable(bearer) {
		return nil, &UnauthenticatedError{Operation: operation, Host: s.client.host, problem: "the credential is empty or holds a character that cannot be sent",
			next: "check what is stored as the key"}
	}
	return &call{client: s.client, operation: operation, effect: effect, bearer: bearer}, nil
}

// sendable tells whether a header may hold the text (RFC 9110, section 5.5).
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
	select { // one at a time: two refreshers would use up one token twice
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return redact.Text{}, &UnavailableError{Operation: tokenOperation, Host: s.client.host, cause: context.Cause(ctx)}
	}
	if time.Now().Before(t.renewAt) {
		return t.access, nil
	}
	if t.spent {
		return redact.Text{}, &UnauthenticatedError{Operation: tokenOperation, Host: s.client.host,
			problem: "the session's token is used up, and no new one came", next: "log in again"}
	}
	return t.access, s.client.renew(ctx, t)
}
