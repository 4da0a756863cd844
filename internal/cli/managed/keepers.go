package managed

import (
	"context"
	"slices"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/quilt"
)

// Keepers tells which secrets in care keep a key: those that hold it as the current or pending one, and those of which a superseded version names it in its
// label, since their consumers may use it until their own sweep revokes it.
type Keepers struct {
	Unread []Unread // secrets that could not be looked at: they may keep any key

	holdings []Holding
	labels   map[string]string // names of secrets, by the ids in their key labels
}

// FindKeepers looks at all secrets in care but one, which is named by its ARN; "" leaves none out.
func FindKeepers(ctx context.Context, c *awsclient.Cloud, but string) (Keepers, error) {
	all, err := c.Managed(ctx)
	if err != nil {
		return Keepers{}, err
	}
	others := slices.DeleteFunc(all, func(l awsclient.Listed) bool { return l.ARN == but })
	k := Keepers{labels: map[string]string{}}
	for _, l := range others {
		for _, id := range l.Keys {
			k.labels[id] = l.Name
		}
	}
	k.holdings, k.Unread, err = holdings(ctx, c, others)
	return k, err
}

// Keeper is a secret that keeps a key.
type Keeper struct {
	Secret string // its name
	Stage  string // vault.Current or vault.Pending; "": a superseded version has the key's label, and the secret's own sweep revokes the key
}

// Keeper finds a secret that keeps the registry's key.
func (k Keepers) Keeper(row quilt.APIKey) (Keeper, bool) {
	for _, h := range k.holdings {
		if h.Is(row) {
			return Keeper{h.Secret, h.Stage}, true
		}
	}
	name, labelled := k.labels[row.ID]
	return Keeper{Secret: name}, labelled
}

// KeeperOfKey finds a secret that holds this very key, byte for byte, as its current or pending one.
func (k Keepers) KeeperOfKey(key apikey.Key) (Keeper, bool) {
	for _, h := range k.holdings {
		if h.Key.Equal(key) {
			return Keeper{h.Secret, h.Stage}, true
		}
	}
	return Keeper{}, false
}

// KeeperOfValue finds a secret that keeps the key that is in a value, beyond doubt: byte for byte, or by the key's id, where that is known.
func (k Keepers) KeeperOfValue(key apikey.Key, id string) (Keeper, bool) {
	if keeper, kept := k.KeeperOfKey(key); kept {
		return keeper, true
	}
	name, labelled := k.labels[id]
	return Keeper{Secret: name}, labelled && id != ""
}

// Of names a secret that keeps the registry's key.
func (k Keepers) Of(row quilt.APIKey) (secret string, kept bool) {
	keeper, kept := k.Keeper(row)
	return keeper.Secret, kept
}

// OfKey names a secret that holds this very key, byte for byte, as its current or pending one.
func (k Keepers) OfKey(key apikey.Key) (secret string, kept bool) {
	keeper, kept := k.KeeperOfKey(key)
	return keeper.Secret, kept
}
