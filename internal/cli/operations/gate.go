package operations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// A gate is passed right before a key dies: what was looked at before a person was asked may be hours old.
type gate struct {
	operator *Operator
	secret   *managed.Secret
	current  string // the version that AWSCURRENT was on when it was decided which keys die; "" none
}

// doomed is a key that is to die.
type doomed struct {
	row     quilt.APIKey // its id and fingerprint, as far as they are known
	key     apikey.Key   // zero where no version of the secret holds it
	current bool         // it is meant, although AWSCURRENT's value holds it
}

func (d *Operator) newGate(s *managed.Secret) gate {
	holder, _ := s.Holder(vault.Current)
	return gate{operator: d, secret: s, current: holder.ID}
}

// unmoved reads the labels again, and refuses where AWSCURRENT has moved: somebody uses the secret.
func (g gate) unmoved(ctx context.Context) error {
	if err := g.secret.Look(ctx); err != nil {
		return err
	}
	if holder, _ := g.secret.Holder(vault.Current); holder.ID != g.current {
		return hint.With(fmt.Errorf("AWSCURRENT of %s has moved meanwhile: somebody uses the secret", g.secret.Name), "see who: quilt-rotate status "+g.secret.Name)
	}
	return nil
}

// pass refuses where labels have moved since the start, or where AWSCURRENT's or AWSPENDING's value, as it is now, holds the key. It is called from within the
// write that revokes the key, so that nothing comes between.
func (g gate) pass(ctx context.Context, d doomed) error {
	if err := g.unmoved(ctx); err != nil {
		return err
	}
	pending, ok := g.secret.Holder(vault.Pending)
	if ok && pending.ID != g.current {
		return hint.With(fmt.Errorf("a rotation of %s is under way: AWSPENDING is on the version %s", g.secret.Name, short(pending.ID)), "see whose: quilt-rotate status "+g.secret.Name)
	}
	if d.current || g.current == "" {
		return nil
	}
	held, err := g.holds(ctx, g.current, d)
	if err == nil && held {
		err = hint.With(fmt.Errorf("the key %s is the one that AWSCURRENT of %s holds, so it is not revoked", d.row.Fingerprint, g.secret.Name), "see: quilt-rotate status "+g.secret.Name)
	}
	return err
}

// holds tells whether a version's value holds the key, byte for byte; one that is known by its fingerprint alone, whether it may.
func (g gate) holds(ctx context.Context, version string, d doomed) (bool, error) {
	raw, err := g.operator.Cloud.Vault.ReadIfAny(ctx, g.secret.ARN, version)
	if errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !d.key.IsZero() && strings.Contains(raw.Reveal(), d.key.Reveal()) {
		return true, nil
	}
	value, err := apikey.ParseValue(raw, g.secret.Tags[settings.TagField])
	return err == nil && (value.Key().Equal(d.key) || d.key.IsZero() && value.Key().Fits(d.row.Fingerprint)), nil
}

// keeper names another secret in care that needs the key; "" none. It fails where that is not known.
func (g gate) keeper(ctx context.Context, d doomed) (string, error) {
	keepers, err := g.operator.findKeepers(ctx, g.secret)
	if err != nil {
		return "", err
	}
	if other, kept := keepers.Of(d.row); kept {
		return other, nil
	}
	if d.key.IsZero() {
		return "", nil
	}
	other, _ := keepers.OfKey(d.key)
	return other, nil
}

// findKeepers looks at all other secrets in care, and fails where one of them cannot be looked at: it may need any key.
func (d *Operator) findKeepers(ctx context.Context, s *managed.Secret) (managed.Keepers, error) {
	keepers, err := managed.FindKeepers(ctx, d.Cloud, s.ARN)
	if err != nil || len(keepers.Unread) == 0 {
		return keepers, err
	}
	u := keepers.Unread[0]
	return keepers, hint.With(fmt.Errorf("the secret %s cannot be read, and may hold one of these keys: %w", u.Secret, awsclient.Explain(u.Err)), "use credentials that may read all secrets in care, then run this again")
}
