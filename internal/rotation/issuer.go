package rotation

import (
	"bytes"
	"context"
	"encoding/json"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
)

// issuerSecret is the value of the issuer's secret: {"username","password"} or {"api_key"}.
type issuerSecret struct {
	Username string `json:"username"`
	Password string `json:"password"`
	APIKey   string `json:"api_key"`
}

const issuerForms = `it must be {"username": …, "password": …} or {"api_key": …}`

// openIssuer logs in as the issuer: a second credential of the same registry user, in a secret of its own.
func (r *run) openIssuer(ctx context.Context) (Session, error) {
	raw, err := r.Vault.ReadCurrent(ctx, r.settings.Issuer)
	if err != nil {
		return nil, fault.New[fault.BadIssuer]("the issuer of %s cannot be read: %w", r.secret.ARN, err)
	}
	issuer, ok := parseIssuer(raw)
	if !ok {
		return nil, fault.New[fault.BadIssuer]("the value of the issuer %s has the wrong form: %s", r.settings.Issuer, issuerForms)
	}
	if issuer.APIKey == "" {
		return r.Registry.LoginPassword(ctx, issuer.Username, quilt.NewPassword(issuer.Password))
	}
	key, err := apikey.Parse(issuer.APIKey)
	if err != nil {
		return nil, fault.New[fault.BadIssuer]("the api_key of the issuer %s is %w", r.settings.Issuer, err)
	}
	return r.Registry.WithKey(key), nil
}

func parseIssuer(raw redact.Text) (issuerSecret, bool) {
	var issuer issuerSecret
	decoder := json.NewDecoder(bytes.NewReader([]byte(raw.Reveal())))
	if err := decoder.Decode(&issuer); err != nil {
		return issuer, false
	}
	byPassword := issuer.Username != "" && issuer.Password != ""
	return issuer, byPassword != (issuer.APIKey != "")
}
