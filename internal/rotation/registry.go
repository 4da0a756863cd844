package rotation

import (
	"context"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
)

// NewRegistry makes a registry client a [Registry].
func NewRegistry(client *quilt.Client) Registry { return registry{client} }

type registry struct{ client *quilt.Client }

func (r registry) WithKey(key apikey.Key) Session { return r.client.WithKey(key) }

func (r registry) LoginPassword(ctx context.Context, user string, password quilt.Password) (Session, error) {
	session, err := r.client.LoginPassword(ctx, user, password)
	if err != nil {
		return nil, err // not a nil *quilt.Session in an interface
	}
	return session, nil
}
