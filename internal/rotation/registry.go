package rotation

import (
	"context"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
)

// NewRegistry makes a registry client a [Registry].
func NewRegistry(client *quilt.Client) Registry { return registry{client} }

type registry struct{ client *quilt.Client }

func (r registry) WithKey(key apikey.Key) Session { return r.client.WithKey(key) }

func (r registry) WithIssuer(ctx context.Context, name string, value redact.Text) (Session, error) {
	session, err := issuer.LogIn(ctx, r.client, name, value)
	if err != nil {
		return nil, err // not a nil *quilt.Session in an interface
	}
	return session, nil
}
