package revocation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// Seen is a version of the secret as a dry run shows it: its labels, what is known of its value,
// and what the registry says of its key.
type Seen struct {
	Version         string       `json:"versionId"`
	Stages          []string     `json:"stages"`          // all its labels, in the order of their letters
	Value           HoldingState `json:"value,omitempty"` // none: it could not be read this time
	SupersededSince *time.Time   `json:"supersededSince,omitempty"`
	// the version before it in the list that holds the very same key
	SameKeyAs string `json:"sameKeyAs,omitempty"`
	KeyInfo
}

// KeyInfo is everything about a key but its text. The fingerprint is that of the key in the value,
// if there is one and the registry's does not fit it; all else is the registry's, or not known.
type KeyInfo struct {
	KeyID       string       `json:"keyId,omitempty"`
	KeyName     string       `json:"keyName,omitempty"`
	Fingerprint string       `json:"fingerprint,omitempty"`
	Owner       string       `json:"owner,omitempty"`
	Status      quilt.Status `json:"status,omitempty"`
	CreatedAt   time.Time    `json:"createdAt,omitzero"`
	ExpiresAt   time.Time    `json:"expiresAt,omitzero"`
	LastUsedAt  *time.Time   `json:"lastUsedAt,omitempty"`
}

// Registry is what the look learned of the registry.
type Registry struct {
	Time     time.Time `json:"time"`               // its own clock, which its dates are compared with
	Owner    string    `json:"owner"`              // e-mail of the current key's user
	ByIssuer bool      `json:"byIssuer,omitempty"` // the current key may not list keys, so the issuing credential did
	// UseRecorded reports whether the registry records when a key was used; nil: not known. It does
	// not if a key that we logged in with ourselves, as every look does with the current one, shows
	// no use. (Of a key whose first use is this look the answer may come too early.)
	UseRecorded *bool `json:"useRecorded,omitempty"`
}

// Failure is an error by the name that operators know it by.
type Failure struct {
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
}

// newFailure names an error; nil if there is none.
func newFailure(err error) *Failure {
	if err = fault.Named(err); err == nil {
		return nil
	}
	return &Failure{ErrorType: fault.TypeName(err), Error: err.Error()}
}

// Look is a dry run, as the function answers it: what a sweep would fail with is in the result. It
// fails only if ctx has ended.
func (s *Sweeper) Look(ctx context.Context, req Request) (Result, error) {
	req.DryRun = true
	result, err := s.Sweep(ctx, req)
	if err != nil {
		result.WouldFail = newFailure(err)
	}
	return result, ctx.Err()
}

// show fills what only a dry run shows. It reads the values that no rule needed, after the plan is
// made: what a sweep would not know must not change what it would do.
func (s *sweep) show(ctx context.Context) {
	if err := s.readValues(ctx, func(Version) bool { return true }); err != nil {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("not every value could be read: %v", err))
	}
	s.result.Versions = seen(s.World)
	for _, k := range s.Ours() {
		s.result.Keys = append(s.result.Keys, newKeyInfo(k))
	}
	if !s.RegistryNow.IsZero() {
		s.result.Registry = &Registry{Time: s.RegistryNow, Owner: s.Owner, ByIssuer: s.byIssuer,
			UseRecorded: s.useRecorded()}
	}
}

func seen(w World) []Seen {
	var rows []Seen
	versions := slices.Clone(w.Versions)
	slices.SortStableFunc(versions, func(a, b Version) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), lastMark(b).Compare(lastMark(a)))
	})
	for i, v := range versions {
		row := Seen{Version: v.ID, Stages: slices.Sorted(slices.Values(v.Stages)), Value: v.Holds.State,
			KeyInfo: KeyInfo{KeyID: v.Key()}}
		key, known := w.keyOf(v)
		if known {
			row.KeyInfo = newKeyInfo(key)
		}
		if v.Holds.State == Holds && !v.holds(key) {
			row.Fingerprint = v.Holds.Key.Fingerprint()
		}
		if since := lastMark(v); !since.IsZero() {
			row.SupersededSince = &since
		}
		sameKey := func(x Version) bool { return v.Holds.State == Holds && x.Holds.Key.Equal(v.Holds.Key) }
		if first := slices.IndexFunc(versions, sameKey); first >= 0 && first < i {
			row.SameKeyAs = versions[first].ID
		}
		rows = append(rows, row)
	}
	return rows
}

// rank orders versions as a person looks for them.
func rank(v Version) int {
	for i, stage := range []string{vault.Current, vault.Pending, vault.Previous} {
		if v.Has(stage) {
			return i
		}
	}
	return 3
}

func newKeyInfo(k quilt.APIKey) KeyInfo {
	return KeyInfo{
		KeyID: k.ID, KeyName: k.Name, Fingerprint: k.Fingerprint, Owner: k.UserEmail, Status: k.Status,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt,
	}
}

// useRecorded reports whether the registry records use: it shows that of some key, or not even that
// of the current one.
func (w World) useRecorded() *bool {
	recorded := slices.ContainsFunc(w.rows(), func(k quilt.APIKey) bool { return k.LastUsedAt != nil })
	if _, known := w.currentKey(); !recorded && !known {
		return nil
	}
	return &recorded
}
