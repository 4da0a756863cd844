// Package login logs an operator in at a registry with the code that the registry's login page
// shows, with a user name and password, or with an API key.
//
// Text that the operator types is never shown and is never an argument. The session exists only in
// memory.
package login

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/terminal"
)

// Asker reads a text that must not be shown. terminal.Console implements it.
type Asker interface {
	AskSecret(ctx context.Context, what, instead string) (redact.Text, error)
}

// Way is how to log in. The zero Way asks for a code or an API key.
type Way struct {
	User string     // log in as this user and ask for the password
	Key  apikey.Key // log in with this key and ask for nothing
}

// LogIn logs in and looks up the owner of the session. It fails if the registry refuses the login.
func LogIn(ctx context.Context, a Asker, registry *quilt.Client, way Way) (*quilt.Session, quilt.Identity, error) {
	session, err := open(ctx, a, registry, way)
	if err != nil {
		return nil, quilt.Identity{}, err
	}
	me, err := session.Me(ctx)
	if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses this key: it has expired, was revoked, or "+
			"belongs to another registry", registry.Host()),
			"log in with the code that "+registry.CodeURL()+" shows, or with --user")
	}
	return session, me, err
}

func open(ctx context.Context, a Asker, registry *quilt.Client, way Way) (*quilt.Session, error) {
	switch {
	case !way.Key.IsZero():
		return registry.WithKey(way.Key), nil
	case way.User != "":
		return byPassword(ctx, a, registry, way.User)
	}
	return byCodeOrKey(ctx, a, registry)
}

func byPassword(ctx context.Context, a Asker, registry *quilt.Client, user string) (*quilt.Session, error) {
	password, err := a.AskSecret(ctx, fmt.Sprintf("the password of %s at the registry %s", user, registry.Host()),
		"pipe the password into the command (< FILE), or leave out --user and pipe the code that "+registry.CodeURL()+
			" shows")
	if err != nil {
		return nil, err
	}
	if password.Empty() {
		return nil, errors.New("the password is empty")
	}
	session, err := registry.LoginPassword(ctx, user, quilt.Password{Text: password})
	withCode := "leave out --user, and paste the code that " + registry.CodeURL() + " shows"
	if _, ssoOnly := errors.AsType[*quilt.SSORequiredError](err); ssoOnly {
		err = terminal.WithHint(fmt.Errorf("the registry %s accepts only single sign-on, not a password",
			registry.Host()), withCode)
	} else if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses this user and password", registry.Host()),
			"check both; if the registry uses single sign-on, "+withCode)
	}
	return session, err
}

// byCodeOrKey asks for a text, which may be a code or a key. A key starts with qk_.
func byCodeOrKey(ctx context.Context, a Asker, registry *quilt.Client) (*quilt.Session, error) {
	pasted, err := a.AskSecret(ctx, fmt.Sprintf("the login code of the registry %s, which %s shows", registry.Host(),
		registry.CodeURL()),
		"pipe the code or an API key into the command (< FILE), or add --user NAME and pipe the password")
	if err != nil {
		return nil, err
	}
	text := pasted.Reveal()
	switch {
	case text == "":
		return nil, terminal.WithHint(errors.New("the login code is empty"), "paste the code that "+registry.CodeURL()+
			" shows, or add --user to log in with a password")
	case strings.HasPrefix(text, "qk_"):
		key, err := apikey.Parse(text)
		if err != nil {
			return nil, terminal.WithHint(fmt.Errorf("the pasted text is %w", err),
				"copy the whole key again, on one line")
		}
		return registry.WithKey(key), nil
	case strings.ContainsAny(text, " \t\r\n"):
		return nil, terminal.WithHint(
			errors.New("the pasted text is neither a code nor a key: it contains white space"), "copy the code from "+
				registry.CodeURL()+" again, on one line")
	}
	session, err := registry.LoginRefreshToken(ctx, quilt.RefreshToken{Text: pasted})
	if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses this code: it was already used, or belongs to "+
			"another registry", registry.Host()),
			"a code works once; to get a new one, open "+registry.CodeURL())
	}
	return session, err
}
