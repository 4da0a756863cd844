package managed

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Holder is a version of a managed secret that holds a key.
type Holder struct {
	Secret    string // name
	ARN       string
	VersionID string
	Stage     string // vault.Current or vault.Pending; "": a version with other labels
	Deleted   bool   // the secret is marked for deletion and can be restored
	Issuer    bool   // the secret is not managed, but is the issuing credential of a managed secret
	Beside    bool   // the value contains the key in another place than the secret's key, so no rotation replaces it
	Unsure    bool   // the version may hold the key: the fingerprint of the key has an unknown format
}

// Holders has the keys that the managed secrets of an account and region hold. [Scan] reads them.
type Holders struct {
	List
	Unread []Unread // secrets that could not be read, so each of them may hold any key

	cloud   *awsclient.Cloud
	secrets []reading
}

// reading is what was read of one secret.
type reading struct {
	listed   awsclient.Listed
	versions []held
	err      error // why the secret, or a part of it, could not be read
}

// held is what one version holds.
type held struct {
	Holder
	keyIDs []string // ids from its key labels
	value  redact.Text
	own    apikey.Key   // key of the secret; zero: none
	words  []apikey.Key // texts in the value that may be keys
}

// Scan reads all versions with labels of all managed secrets, several at a time. A secret that
// cannot be read does not stop it: see [Holders.Unread]. progress is called after each secret; it
// may be nil.
func Scan(ctx context.Context, c *awsclient.Cloud, progress func(done, total int)) (*Holders, error) {
	h := &Holders{cloud: c}
	return h.scan(ctx, progress, func(reading) bool { return true })
}

// Refresh reads some of the secrets again: those that held one of the keys, those that could not be
// read, and those whose tags or labels have changed. The value of a version cannot change. The list
// of secrets can be some minutes old, so a change in the last minutes may be missed.
func (h *Holders) Refresh(ctx context.Context, keys ...apikey.Key) (*Holders, error) {
	return h.scan(ctx, nil, func(r reading) bool {
		return r.err != nil || slices.ContainsFunc(r.versions, func(v held) bool {
			return slices.ContainsFunc(keys, func(key apikey.Key) bool { return apikey.Contains(v.value, key) })
		})
	})
}

func (h *Holders) scan(ctx context.Context, progress func(done, total int), again func(reading) bool) (*Holders,
	error) {
	list, err := ListSecrets(ctx, h.cloud)
	if err != nil {
		return nil, err
	}
	known := map[string]reading{}
	for _, r := range h.secrets {
		known[r.listed.ARN] = r
	}
	all := slices.Concat(list.Secrets, list.issuers)
	next := &Holders{List: list, Unread: slices.Clone(list.Unknown), cloud: h.cloud, secrets: make([]reading, len(all))}
	var done atomic.Int64
	var group errgroup.Group
	group.SetLimit(readers)
	for i, l := range all {
		group.Go(func() error {
			before, seen := known[l.ARN]
			if seen && reflect.DeepEqual(before.listed, l) && !again(before) {
				next.secrets[i] = before
			} else {
				next.secrets[i] = read(ctx, h.cloud.Vault, l)
			}
			for n := range next.secrets[i].versions {
				next.secrets[i].versions[n].Issuer = i >= len(list.Secrets)
			}
			if n := int(done.Add(1)); progress != nil {
				progress(n, len(all))
			}
			return nil
		})
	}
	_ = group.Wait() // no function fails
	for _, r := range next.secrets {
		if r.err != nil {
			next.Unread = append(next.Unread, Unread{r.listed.Name, r.err})
		}
	}
	return next, ctx.Err()
}

// read reads one secret. Secrets Manager does not return values of a secret that is marked for
// deletion, so its labels must name the keys that it holds.
func read(ctx context.Context, v *vault.Vault, l awsclient.Listed) reading {
	r := reading{listed: l}
	s, err := v.Describe(ctx, l.ARN) // the list may be old
	if err != nil {
		r.err = err
		return r
	}
	for _, version := range s.Sorted() {
		found := held{Holder: Holder{Secret: s.Name, ARN: s.ARN, VersionID: version.ID, Deleted: s.Deleted},
			keyIDs: version.Keys}
		for _, stage := range []string{vault.Pending, vault.Current} {
			if version.Has(stage) {
				found.Stage = stage
			}
		}
		switch {
		case !s.Deleted:
			found.value, err = v.ReadIfAny(ctx, s.ARN, version.ID)
		case len(version.Keys) == 0 && version.Has(vault.Current):
			err = fmt.Errorf("the secret %s is marked for deletion, and no label says which key it holds", s.Name)
		}
		switch {
		case err == nil && !found.value.Empty():
			found.words = apikey.Words(found.value)
			if value, err := apikey.ParseValue(found.value, s.Tags[settings.TagField]); err == nil {
				found.own = value.Key()
				found.words = append(found.words, found.own)
			}
		case err != nil && !errors.Is(err, vault.ErrNoValue):
			r.err = err
		}
		err = nil
		r.versions = append(r.versions, found)
	}
	return r
}

// Without returns the holders without the secret that has the ARN.
func (h *Holders) Without(arn string) *Holders {
	others := *h
	var name string
	others.secrets = slices.DeleteFunc(slices.Clone(h.secrets), func(r reading) bool {
		if r.listed.ARN == arn {
			name = r.listed.Name
		}
		return r.listed.ARN == arn
	})
	others.Unread = slices.DeleteFunc(slices.Clone(h.Unread), func(u Unread) bool { return u.Secret == name })
	return &others
}

// OfKey returns the versions whose raw value contains the key's text in any place: current versions
// first, then pending versions, then all others.
func (h *Holders) OfKey(key apikey.Key) []Holder {
	return h.find(func(v held) (holds, own bool) { return apikey.Contains(v.value, key), v.own.Equal(key) })
}

// Of returns the versions that hold a key of the registry's list, in the same order as
// [Holders.OfKey]. A version holds the key if a label has its id, or if a text in the value matches
// its fingerprint. A text may match two keys, but the holder of the key is always found. If the
// format of the fingerprint is unknown, each version that has a key but no key label may hold it.
// These versions are last.
func (h *Holders) Of(k quilt.APIKey) []Holder {
	mark, ours := apikey.MarkOf(k.Name)
	holds := func(v held) (holds, own bool) {
		own = k.ID != "" && slices.Contains(v.keyIDs, k.ID) || v.Deleted && ours && mark == apikey.SecretMark(v.ARN) ||
			v.own.Fits(k.Fingerprint)
		return own || k.Fingerprint != "" && slices.ContainsFunc(v.words,
			func(word apikey.Key) bool { return word.Fits(k.Fingerprint) }), own
	}
	unsure := h.find(func(v held) (bool, bool) {
		known, _ := holds(v)
		return !known && k.Fingerprint != "" && len(v.keyIDs) == 0 &&
			slices.ContainsFunc(v.words, func(word apikey.Key) bool { return !word.Contradicts(k.Fingerprint) }), true
	})
	for i := range unsure {
		unsure[i].Unsure = true
	}
	return slices.Concat(h.find(holds), unsure)
}

func (h *Holders) find(look func(held) (holds, own bool)) []Holder {
	byStage := map[string][]Holder{}
	for _, r := range h.secrets {
		for _, v := range r.versions {
			if holds, own := look(v); holds {
				v.Beside = !own
				byStage[v.Stage] = append(byStage[v.Stage], v.Holder)
			}
		}
	}
	return slices.Concat(byStage[vault.Current], byStage[vault.Pending], byStage[""])
}

// Secret returns the name of a secret that holds a key of the registry's list, or "".
func (h *Holders) Secret(k quilt.APIKey) string {
	if holders := h.Of(k); len(holders) > 0 {
		return holders[0].Secret
	}
	return ""
}

// Scope returns the account and region, and how many secrets were read.
func (h *Holders) Scope() string { return h.Place.String() + ": " + h.Count() }

// Count returns how many secrets were read.
func (h *Holders) Count() string {
	all := len(h.secrets) + len(h.Unknown)
	return fmt.Sprintf("%d of %d managed secrets read", all-len(h.Unread), all)
}
