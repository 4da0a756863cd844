// Package issuer logs in with a secret's issuing credential. That is a second credential of the
// same registry user, in its own secret, which creates and revokes keys when the current key
// cannot. The package also finds the credential that creates the next key: see [Candidates].
//
// The owner of a secret sets its tags, so a tag alone must not give access to another team's
// credential. The credential's own value lists the secrets that it serves. The package never uses a
// credential before it has checked that list.
package issuer

import (
	"context"
	"encoding/json"
	"path"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// Registry opens sessions. [quilt.Client] implements it. Both methods change nothing. They may be
// called again, and may run twice at the same time. If a login is refused, the error is one that
// [quilt.RefusesLogin] recognizes. If there is no answer, nothing follows about the credential.
type Registry interface {
	WithKey(key apikey.Key) *quilt.Session
	LoginPassword(ctx context.Context, user string, password quilt.Password) (*quilt.Session, error)
}

// credential is the value of an issuing credential's secret.
type credential struct {
	Username string          `json:"username"`
	Password string          `json:"password"`
	APIKey   string          `json:"api_key"`
	Serves   json.RawMessage `json:"serves"`
}

const form = `it must be {"username": …, "password": …, "serves": […]} or {"api_key": …, "serves": […]}`

// Session is a session of an issuing credential.
type Session struct {
	*quilt.Session
	// Listed reports whether the credential lists the secret. A credential of an older release has
	// no list. It may serve the secret only if a key of the secret proves that both belong to the
	// same user. The owner tag is not enough.
	Listed bool
}

// LogIn logs in with an issuing credential to serve the secret. name and value are those of the
// credential's own secret. It fails with [*fault.BadIssuer] or [*fault.IssuerNotAllowed] before
// anything is sent, or with the registry's error.
func LogIn(ctx context.Context, registry Registry, name string, value redact.Text, secret vault.Secret) (
	s Session, err error) {
	var c credential
	err = json.Unmarshal([]byte(value.Reveal()), &c)
	byPassword := c.Username != "" && c.Password != ""
	hidden := apikey.FindInvisible(value.Reveal())
	switch {
	case err != nil || byPassword == (c.APIKey != ""):
		if hidden != "" {
			hidden = "; it has " + hidden
		}
		return Session{}, fault.New[fault.BadIssuer]("the value of the issuing credential %s has the wrong form: %s%s",
			name, form, hidden)
	case apikey.FindInvisible(c.Username) != "":
		return Session{}, fault.New[fault.BadIssuer]("the username of the issuing credential %s has %s; remove it",
			name, apikey.FindInvisible(c.Username))
	}
	if s.Listed, err = c.lists(name, secret); err != nil {
		return Session{}, err
	}
	if byPassword {
		s.Session, err = registry.LoginPassword(ctx, c.Username, quilt.NewPassword(c.Password))
		return s, err
	}
	key, err := apikey.Parse(c.APIKey)
	if err != nil {
		return Session{}, fault.New[fault.BadIssuer]("the api_key of the issuing credential %s is %w", name, err)
	}
	s.Session = registry.WithKey(key)
	return s, nil
}

// lists reports whether the credential lists the secret; false without an error if it has no list.
func (c credential) lists(name string, secret vault.Secret) (bool, error) {
	if c.Serves == nil {
		return false, nil
	}
	var patterns []*string
	if err := json.Unmarshal(c.Serves, &patterns); err != nil || patterns == nil {
		return false, badList(name)
	}
	listed := false
	for _, p := range patterns {
		if p == nil || !isPattern(*p) {
			return false, badList(name)
		}
		listed = listed || matches(*p, secret.Name)
	}
	if !listed {
		return false, fault.New[fault.IssuerNotAllowed]("the issuing credential %s does not serve the secret %s, "+
			`so it was not used: its owner must add the secret's name to the list "serves" in the credential's value`,
			name, secret.Name)
	}
	return true, nil
}

func badList(name string) error {
	return fault.New[fault.BadIssuer](`the list "serves" of the issuing credential %s must be a JSON array of `+
		`secret names, in which * matches any characters; an ARN is not a name`, name)
}

// nameCharacters are the characters of secrets' names (API reference, CreateSecret). An ARN or a
// pattern of another syntax has other characters. It is refused, because it would never match.
const nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+=.@-"

func isPattern(p string) bool { return p != "" && strings.Trim(p, nameCharacters+"*") == "" }

// matches reports whether the whole name fits the pattern. An asterisk matches any number of
// characters, also none, and also slashes, as in IAM policies. An asterisk of [path.Match] does not
// match slashes, so they are replaced by colons.
func matches(pattern, name string) bool {
	colons := strings.NewReplacer("/", ":")
	fits, err := path.Match(colons.Replace(pattern), colons.Replace(name))
	return err == nil && fits
}
