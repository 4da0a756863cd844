package operations

import (
	"context"
	"fmt"

	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
)

// vouched demands evidence that the registry is the one that created the secret's keys: the secret's tag, a deployed
// function, or a login there with one of the keys. Every other registry refuses them all, which looks like keys that
// were revoked.
func vouched(ctx context.Context, s *managed.Secret, registry *quilt.Client) error {
	if s.NamesRegistry() {
		return nil
	}
	for _, v := range s.Sorted() {
		value, err := s.Value(ctx, v.ID)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue // what cannot be read vouches for nothing
		}
		state, _, err := tryKey(ctx, registry, value.Key())
		if err != nil || state == KeyLogsIn {
			return err
		}
	}
	return hint.With(fmt.Errorf("no key of %s logs in at the registry %s, so nothing shows that it created them", s.Name, registry.Host()),
		"check --registry, --catalog and QUILT_REGISTRY_URL; if the registry is right, its keys were revoked or have expired: quilt-rotate recover "+s.Name)
}
