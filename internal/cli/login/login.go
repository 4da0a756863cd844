// Package signin is how a person logs in at a registry: with the code that its login page shows, with user and password, or with an API key.
//
// What is typed is never seen, never an argument, and never kept: a session lives in memory, and ends with the command.
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

// Asker asks a person for a text that must not be seen. terminal.Console is one.
type Asker interface {
	AskSecret(ctx context.Context, question string) (redact.Text, error)
	Interactive() bool
}

// Way is how to log in. The zero Way asks for a code, and takes a key in its place.
type Way struct {
	User string     // its password is asked for
	Key  apikey.Key // if the caller has one: nothing is asked
}

// LogIn asks for what it takes, and logs in. The session's owner is known then: what logs nobody in is refused here.
func LogIn(ctx context.Context, a Asker, registry *quilt.Client, way Way) (*quilt.Session, quilt.Identity, error) {
	session, err := open(ctx, a, registry, way)
	if err != nil {
		return nil, quilt.Identity{}, err
	}
	me, err := session.Me(ctx)
	if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses that key: it has expired, was revoked, or belongs to another registry", registry.Host()),
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
	password, err := a.AskSecret(ctx, fmt.Sprintf("password of %s at %s (not shown):", user, registry.Host()))
	if err != nil {
		return nil, err
	}
	if password.Empty() {
		return nil, errors.New("the password is empty")
	}
	session, err := registry.LoginPassword(ctx, user, quilt.Password{Text: password})
	_, ssoOnly := errors.AsType[*quilt.SSORequiredError](err)
	switch {
	case ssoOnly:
		err = terminal.WithHint(fmt.Errorf("the registry %s takes single sign-on only, and no password", registry.Host()), "leave --user out, and paste the code that "+registry.CodeURL()+" shows")
	case quilt.RefusesLogin(err):
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses this user and password", registry.Host()),
			"check both; where single sign-on is used, leave --user out, and paste the code that "+registry.CodeURL()+" shows")
	}
	return session, err
}

// byCodeOrKey takes either, since a person may paste either. A key is recognized by how it begins.
func byCodeOrKey(ctx context.Context, a Asker, registry *quilt.Client) (*quilt.Session, error) {
	pasted, err := a.AskSecret(ctx, fmt.Sprintf("open %s, and paste the code shown there (not shown here):", registry.CodeURL()))
	if err != nil {
		return nil, err
	}
	text := pasted.Reveal()
	switch {
	case text == "":
		return nil, terminal.WithHint(errors.New("nothing was given to log in with"), "paste the code that "+registry.CodeURL()+" shows, or give --user to log in with a password")
	case strings.HasPrefix(text, "qk_"):
		key, err := apikey.Parse(text)
		if err != nil {
			return nil, terminal.WithHint(fmt.Errorf("what was pasted is %w", err), "copy the whole key again, as one line")
		}
		return registry.WithKey(key), nil
	case strings.ContainsAny(text, " \t\r\n"):
		return nil, terminal.WithHint(errors.New("what was pasted has white space inside: neither a code nor a key has"), "copy the code from "+registry.CodeURL()+" again, as one line")
	}
	session, err := registry.LoginRefreshToken(ctx, quilt.RefreshToken{Text: pasted})
	if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s does not take that code: it was used already, or belongs to another registry", registry.Host()),
			"a code is good for one use; "+registry.CodeURL()+" shows a new one")
	}
	return session, err
}
