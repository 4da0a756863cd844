package care

import (
	"context"

	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cloud"
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
func FindKeepers(ctx context.Context, c *cloud.Cloud, but string) (Keepers, error) {
	holdings, unread, err := Holdings(ctx, c)
	if err != nil {
		return Keepers{}, err
	}
	listed, err := c.Managed(ctx)
	if err != nil {
		return Keepers{}, err
	}
	k := Keepers{labels: map[string]string{}}
	for _, h := range holdings {
		if h.ARN != but {
			k.holdings = append(k.holdings, h)
		}
	}
	found, failed := make([][]string, len(listed)), make([]error, len(listed))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, l := range listed {
		if l.ARN == but {
			continue
		}
		group.Go(func() error {
			found[i], failed[i] = labelsOf(ctx, c, l.ARN)
			return nil
		})
	}
	_ = group.Wait() // none fails: failed has what did
	for i, l := range listed {
		for _, id := range found[i] {
			k.labels[id] = l.Name
		}
		if failed[i] != nil {
			unread = append(unread, Unread{l.Name, failed[i]})
		}
	}
	for _, u := range unread {
		if !k.lists(u.Secret) {
			k.Unread = append(k.Unread, u)
		}
	}
	return k, ctx.Err()
}

func labelsOf(ctx context.Context, c *cloud.Cloud, arn string) ([]string, error) {
	s, err := c.Vault.Describe(ctx, arn)
	if err != nil || s.Deleted {
		return nil, err
	}
	var ids []string
	for _, v := range s.Versions {
		ids = append(ids, v.Keys...)
	}
	return ids, nil
}

func (k Keepers) lists(secret string) bool {
	for _, u := range k.Unread {
		if u.Secret == secret {
			return true
		}
	}
	return false
}

// Of names a secret that keeps the registry's key.
func (k Keepers) Of(row quilt.APIKey) (secret string, kept bool) {
	if name, ok := k.labels[row.ID]; ok {
		return name, true
	}
	for _, h := range k.holdings {
		if h.Is(row) {
			return h.Secret, true
		}
	}
	return "", false
}

// OfKey names a secret that holds this very key, byte for byte, as its current or pending one.
func (k Keepers) OfKey(key apikey.Key) (secret string, kept bool) {
	for _, h := range k.holdings {
		if h.Key.Equal(key) {
			return h.Secret, true
		}
	}
	return "", false
}
