// Package issuer logs in as a secret's issuer: a second credential of the same registry user, in a secret of its own, that makes and
// revokes keys where the current key cannot.
package issuer

import (
	"context"
	"encoding/json"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
)

// Registry is what it takes to log in. [quilt.Client] is it.
type Registry interface {
	WithKey(key apikey.Key) *quilt.Session
	LoginPassword(ctx context.Context, user string, password quilt.Password) (*quilt.Session, error)
}

// credential is the value of an issuer's secret: {"username","password"} or {"api_key"}.
type credential struct {
	Username string `json:"username"`
	Password string `json:"password"`
	APIKey   string `json:"api_key"`
}

// LogIn logs in with the value of the issuer's secret of that name. It fails with [*fault.BadIssuer], or as the registry refuses.
func LogIn(ctx context.Context, registry Registry, name string, value redact.Text) (*quilt.Session, error) {
	var c credential
	err := json.Unmarshal([]byte(value.Reveal()), &c)
	byPassword := c.Username != "" && c.Password != ""
	if err != nil || byPassword == (c.APIKey != "") {
		return nil, fault.New[fault.BadIssuer](`the value of the issuer %s has the wrong form: it must be {"username": …, "password": …} or {"api_key": …}`, name)
	}
	if byPassword {
		return registry.LoginPassword(ctx, c.Username, quilt.NewPassword(c.Password))
	}
	key, err := apikey.Parse(c.APIKey)
	if err != nil {
		return nil, fault.New[fault.BadIssuer]("the api_key of the issuer %s is %w", name, err)
	}
	return registry.WithKey(key), nil
}
