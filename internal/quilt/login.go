package quilt

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"quilt-rotate/internal/redact"
)

// Names of the REST calls in errors.
const (
	loginOperation = "POST /api/login"
	tokenOperation = "POST /api/token"
)

// LoginPassword logs in with user name and password. If the registry allows single sign-on only, it
// fails with an [*SSORequiredError], which has the URL of the page that shows a code for
// [Client.LoginRefreshToken].
func (c *Client) LoginPassword(ctx context.Context, user string, password Password) (*Session, error) {
	body, err := json.Marshal(map[string]string{"username": user, "password": password.Reveal()})
	if err != nil {
		return nil, err
	}
	r := &request{
		operation: loginOperation, method: http.MethodPost, path: "/api/login",
		contentType: "application/json", body: body, carried: secrets{password.Text},
		limit: restLimit, patient: true,
	}
	got, err := c.do(ctx, r)
	if err != nil {
		return nil, c.explainLogin(err)
	}
	var issued struct {
		RefreshToken string `json:"refresh_token"`
	}
	if json.Unmarshal(got.body, &issued) != nil || issued.RefreshToken == "" {
		return nil, c.protocol(r, http.StatusOK, "the answer has no refresh token")
	}
	return c.LoginRefreshToken(ctx, NewRefreshToken(issued.RefreshToken))
}

// explainLogin adds to a refused login what to do next. Only the text of the answer shows that a
// registry allows single sign-on only, and this text may change. So the message for all other
// refusals mentions single sign-on too.
func (c *Client) explainLogin(err error) error {
	refused, ok := errors.AsType[*UnauthenticatedError](err)
	if !ok {
		return err
	}
	refused.next = "check the user name and the password; with single sign-on, log in at " + c.CodeURL() +
		" and use the code shown there"
	if strings.Contains(strings.ToLower(refused.Message), "sso") {
		return &SSORequiredError{Where: refused.Where, CodeURL: c.CodeURL(), cause: refused}
	}
	return refused
}

// LoginRefreshToken logs in with the code that {registry}/login shows. The code works once: the
// session keeps the token that replaces it. The request is not repeated if the code may have been
// sent.
func (c *Client) LoginRefreshToken(ctx context.Context, token RefreshToken) (*Session, error) {
	t := &tokens{turn: make(chan struct{}, 1), refresh: token}
	if err := c.renew(ctx, t); err != nil {
		return nil, err
	}
	return &Session{client: c, login: t}, nil
}

// renew exchanges the refresh token for an access token and the next refresh token. The caller
// holds t.turn.
func (c *Client) renew(ctx context.Context, t *tokens) error {
	r := &request{
		operation: tokenOperation, method: http.MethodPost, path: "/api/token",
		contentType: "application/x-www-form-urlencoded",
		body:        []byte(url.Values{"refresh_token": {t.refresh.Reveal()}}.Encode()),
		carried:     secrets{t.refresh.Text}, limit: restLimit, once: true,
	}
	got, err := c.do(ctx, r)
	if err == nil {
		err = c.accept(r, got, t)
	}
	if down, ok := errors.AsType[*UnavailableError](err); ok && !down.reached {
		return err // the token was not used
	}
	t.spent = err != nil
	next := "log in again; " + c.CodeURL() + " shows a new code, which works once"
	if refused, ok := errors.AsType[*UnauthenticatedError](err); ok {
		refused.next = next
	}
	if down, ok := errors.AsType[*UnavailableError](err); ok {
		down.next = "the token may be used up: " + next
	}
	return err
}

// accept stores the answer of the token endpoint in t. It stores both tokens together, so that the
// access token is not used before the next refresh token is stored.
func (c *Client) accept(r *request, got answer, t *tokens) error {
	var issued struct {
		Error        loose   `json:"error"`
		RefreshToken string  `json:"refresh_token"`
		AccessToken  string  `json:"access_token"`
		ExpiresAt    float64 `json:"expires_at"` // Unix seconds
	}
	err := json.Unmarshal(got.body, &issued)
	switch {
	case issued.Error != "": // also with status 200 (quilt: api/python/quilt3/session.py)
		return &UnauthenticatedError{Where: c.at(r.operation), Message: r.secrets().scrub(string(issued.Error))}
	case err != nil:
		return c.protocol(r, http.StatusOK, "the answer is not valid for a token endpoint")
	case issued.RefreshToken == "" || issued.AccessToken == "" || issued.ExpiresAt <= 0:
		return c.protocol(r, http.StatusOK, "the answer has no access token, no expiry, or no refresh token")
	}
	t.refresh = NewRefreshToken(issued.RefreshToken)
	t.access = redact.New(issued.AccessToken)
	t.renewAt = time.Now().Add(lifetime(issued.ExpiresAt, got.date) - renewBefore)
	return nil
}

// lifetime returns how long a token remains valid. Its expiry is a time on the registry's clock, so
// it is compared with that clock.
func lifetime(expiresAt float64, now time.Time) time.Duration {
	if now.IsZero() {
		now = time.Now()
	}
	const day = 24 * 60 * 60
	seconds := min(expiresAt-float64(now.Unix()), day) // limited, because a Duration might overflow
	return time.Duration(seconds) * time.Second
}
