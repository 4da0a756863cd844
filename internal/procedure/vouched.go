package procedure

import (
	"context"
	"fmt"

	"quilt-rotate/internal/care"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
)

// vouched demands evidence that the registry is the one that made the secret's keys, where no deployed function tells it: one of them must log in there. Every
// other registry refuses them all, which would pass for a proof that they are dead.
func vouched(ctx context.Context, s *care.Secret, registry *quilt.Client) error {
	if s.Deployed() {
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
	return hint.With(fmt.Errorf("no key of %s logs in at the registry %s, so nothing tells that it is the one that made them", s.Name, registry.Host()),
		"check --registry, --catalog and QUILT_REGISTRY_URL; where the registry is right, its keys are dead: quilt-rotate recover "+s.Name)
}
