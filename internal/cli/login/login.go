// Package login logs an operator in at a registry: with the code that the registry's login page
// shows, with user and password, or with an API key.
//
// What the operator types is never shown and is never an argument. A session is held in memory and
// ends with the command.
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

// Asker reads a text that must not be shown. terminal.Console is one.
type Asker interface {
	AskSecret(ctx context.Context, what, instead string) (redact.Text, error)
}

// Way is how to log in. The zero Way asks for a code, and accepts an API key instead.
type Way struct {
	User string     // log in with this user's password, which is asked for
	Key  apikey.Key // if the caller has one; then nothing is asked
}

// LogIn logs in and looks up the owner of the session. It fails if the registry refuses the login.
func LogIn(ctx context.Context, a Asker, registry *quilt.Client, way Way) (*quilt.Session, quilt.Identity, error) {
	session, err := open(ctx, a, registry, way)
	if err != nil {
		return nil, quilt.Identity{}, err
	}
	me, err := session.Me(ctx)
	if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses that key: it has expired, was revoked, or "+
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
		err = terminal.WithHint(fmt.Errorf("the registry %s accepts single sign-on only, and no password",
			registry.Host()), withCode)
	} else if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses this user and password", registry.Host()),
			"check both; if the registry uses single sign-on, "+withCode)
	}
	return session, err
}

// byCodeOrKey accepts both, because an operator may paste either. A key starts with qk_.
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
			return nil, terminal.WithHint(fmt.Errorf("what was pasted is %w", err),
				"copy the whole key again, as one line")
		}
		return registry.WithKey(key), nil
	case strings.ContainsAny(text, " \t\r\n"):
		return nil, terminal.WithHint(
			errors.New("what was pasted is neither a code nor a key: it contains white space"), "copy the code from "+
				registry.CodeURL()+" again, as one line")
	}
	session, err := registry.LoginRefreshToken(ctx, quilt.RefreshToken{Text: pasted})
	if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses that code: it was used already, or belongs to "+
			"another registry", registry.Host()),
			"a code works once; "+registry.CodeURL()+" shows a new one")
	}
	return session, err
}
