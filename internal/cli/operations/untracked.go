package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// StrayKey is a key that somebody made by hand; who had the leaked key could.
type StrayKey struct {
	KeyID      string     `json:"keyId"`
	KeyName    string     `json:"keyName"`
	CreatedAt  time.Time  `json:"createdAt"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

// listStrays lists the keys that somebody made with the leaked one, or may have. It needs the current key, and takes nothing away.
func (e *emergency) listStrays(ctx context.Context) error {
	e.Tell.Doing("looking for other keys of the same user")
	keys, err := e.keysOfUser(ctx)
	if err == nil {
		var keepers managed.Keepers
		if keepers, err = managed.FindKeepers(ctx, e.Cloud, ""); err == nil {
			e.strays(keys, keepers)
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.Tell.Tell(terminal.Warned, "the other keys of the user are not known: who had the leaked key could make more", awsclient.Explain(err).Error())
	return nil
}

func (e *emergency) keysOfUser(ctx context.Context) ([]quilt.APIKey, error) {
	if err := e.secret.Look(ctx); err != nil {
		return nil, err
	}
	current, ok := e.secret.Holder(vault.Current)
	if !ok {
		return nil, errors.New("no version is current")
	}
	value, err := e.secret.Value(ctx, current.ID)
	if err != nil {
		return nil, err
	}
	account, err := e.options.Registry.WithKey(value.Key()).Account(ctx)
	return account.Keys, err
}

func (e *emergency) strays(keys []quilt.APIKey, keepers managed.Keepers) {
	for _, k := range keys {
		if _, kept := keepers.Of(k); kept || k.ID == e.result.Leaked.KeyID || k.Status == quilt.Expired {
			continue
		}
		e.result.Strays = append(e.result.Strays, StrayKey{k.ID, k.Name, k.CreatedAt.UTC(), k.ExpiresAt.UTC(), k.LastUsedAt})
	}
	slices.SortStableFunc(e.result.Strays, func(a, b StrayKey) int { return b.CreatedAt.Compare(a.CreatedAt) })
	e.result.StraysKnown = true
	for _, u := range keepers.Unread {
		e.Tell.Tell(terminal.Warned, "the secret "+u.Secret+" could not be looked at: some of these keys may be its own", awsclient.Explain(u.Err).Error())
	}
	switch n := len(e.result.Strays); n {
	case 0:
		e.Tell.Tell(terminal.Done, "the user has no key that no secret in care keeps", "")
	case 1:
		e.Tell.Tell(terminal.Warned, "the user has a key that no secret in care keeps", "who had the leaked key could make it")
	default:
		e.Tell.Tell(terminal.Warned, fmt.Sprintf("the user has %d keys that no secret in care keeps", n), "who had the leaked key could make them")
	}
}
