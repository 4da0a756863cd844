package managed

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Holding is a key that somebody needs: a secret in care holds it in the version that has AWSCURRENT or AWSPENDING.
type Holding struct {
	Secret string // its name
	ARN    string
	Stage  string // vault.Current or vault.Pending
	KeyID  string // from the version's label; "" where it has none
	Key    apikey.Key
}

// Is tells whether it is the registry's key: by the label, or by the fingerprint, which may take two keys for one and never misses one. A label alone
// would: whoever stores a value by hand moves no label.
func (h Holding) Is(k quilt.APIKey) bool {
	return h.KeyID != "" && h.KeyID == k.ID || h.Key.Fits(k.Fingerprint)
}

// Unread is a secret whose keys could not be looked at.
type Unread struct {
	Secret string
	Err    error
}

// readers bounds how many secrets are read at once.
const readers = 8

// Holdings are the keys that all secrets in care hold, in the order of the secrets. A version that has no value, or no key in it, holds none. A
// secret that cannot be read does not hide the others: it is named, for the caller to judge what that means.
func Holdings(ctx context.Context, c *awsclient.Cloud) ([]Holding, []Unread, error) {
	listed, err := c.Managed(ctx)
	if err != nil {
		return nil, nil, err
	}
	return holdings(ctx, c, listed)
}

func holdings(ctx context.Context, c *awsclient.Cloud, listed []awsclient.Listed) ([]Holding, []Unread, error) {
	found, failed := make([][]Holding, len(listed)), make([]error, len(listed))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, l := range listed {
		group.Go(func() error {
			found[i], failed[i] = holdingsOf(ctx, c.Vault, l.ARN)
			return nil
		})
	}
	_ = group.Wait() // none fails: failed has what did
	var unread []Unread
	for i, err := range failed {
		if err != nil {
			unread = append(unread, Unread{listed[i].Name, err})
		}
	}
	return slices.Concat(found...), unread, ctx.Err()
}

// Held tells which of the keys some secret in care holds, in any version, by their ids: those in labels, and those in the values of the current and pending
// versions. A key that shows the same fingerprint as such a one counts as held.
func Held(ctx context.Context, c *awsclient.Cloud, keys []quilt.APIKey) (map[string]string, []Unread, error) {
	listed, err := c.Managed(ctx)
	if err != nil {
		return nil, nil, err
	}
	held := map[string]string{}
	for _, l := range listed {
		for _, id := range l.Keys {
			held[id] = l.Name
		}
	}
	holdings, unread, err := holdings(ctx, c, listed)
	for _, h := range holdings {
		for _, k := range keys {
			if h.Is(k) {
				held[k.ID] = h.Secret
			}
		}
	}
	return held, unread, err
}

func holdingsOf(ctx context.Context, v *vault.Vault, arn string) ([]Holding, error) {
	s, err := v.Describe(ctx, arn)
	if err != nil || s.Deleted {
		return nil, err
	}
	var list []Holding
	for _, stage := range []string{vault.Current, vault.Pending} {
		version, ok := s.Holder(stage)
		if !ok || stage == vault.Pending && version.Has(vault.Current) {
			continue
		}
		raw, err := v.ReadIfAny(ctx, arn, version.ID)
		if errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if value, err := apikey.ParseValue(raw, s.Tags[settings.TagField]); err == nil {
			list = append(list, Holding{s.Name, s.ARN, stage, version.Key(), value.Key()})
		}
	}
	return list, nil
}
