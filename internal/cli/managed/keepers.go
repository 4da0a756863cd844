package managed

import (
	"context"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/quilt"
)

// Keepers is [Holders] by its former names, for the operations that have not moved yet.
type Keepers struct{ *Holders }

// FindKeepers scans all secrets but one.
func FindKeepers(ctx context.Context, c *awsclient.Cloud, but string) (Keepers, error) {
	h, err := Scan(ctx, c, nil)
	if err != nil {
		return Keepers{}, err
	}
	return Keepers{h.Without(but)}, nil
}

// Of names a secret that holds the registry's key.
func (k Keepers) Of(row quilt.APIKey) (secret string, kept bool) {
	name := k.Secret(row)
	return name, name != ""
}

// OfKey names a secret that has this key's text in its current or pending value.
func (k Keepers) OfKey(key apikey.Key) (secret string, kept bool) {
	for _, h := range k.Holders.OfKey(key) {
		if h.Stage != "" {
			return h.Secret, true
		}
	}
	return "", false
}

// KeeperOfValue finds a secret that holds the key, by its text or by its id.
func (k Keepers) KeeperOfValue(key apikey.Key, id string) (Holder, bool) {
	holders := append(k.Holders.OfKey(key), k.Holders.Of(quilt.APIKey{ID: id})...)
	if len(holders) == 0 {
		return Holder{}, false
	}
	return holders[0], true
}
