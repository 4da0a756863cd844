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

// VersionInfo is a version of the secret as a dry run shows it: its labels, what is known of its
// value, and what the registry says about its key.
type VersionInfo struct {
	Version         string       `json:"versionId"`
	Stages          []string     `json:"stages"`          // all its labels, sorted
	Value           HoldingState `json:"value,omitempty"` // none: it could not be read this time
	SupersededSince *time.Time   `json:"supersededSince,omitempty"`
	// the first version in the list that holds the same key
	SameKeyAs string `json:"sameKeyAs,omitempty"`
	KeyInfo
}

// KeyInfo is everything about a key except its text, as the registry shows it. If the registry's
// fingerprint does not fit the key in the value, Fingerprint is that of the key in the value.
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

// Registry is what a dry run found out about the registry.
type Registry struct {
	Time     time.Time `json:"time"`               // its own clock, which its dates are compared with
	Owner    string    `json:"owner"`              // e-mail of the current key's user
	ByIssuer bool      `json:"byIssuer,omitempty"` // the current key may not list keys, so the issuing credential did
	// UseRecorded reports whether the registry records when a key was used; nil: not known. Each
	// dry run logs in with the current key. If that key and all others show no use, the registry
	// does not record it. (This may be wrong if the login of this dry run is the key's first use.)
	UseRecorded *bool `json:"useRecorded,omitempty"`
}

// Failure is an error with its error type.
type Failure struct {
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
}

// newFailure returns nil if err is nil.
func newFailure(err error) *Failure {
	if err = fault.Named(err); err == nil {
		return nil
	}
	return &Failure{ErrorType: fault.TypeName(err), Error: err.Error()}
}

// Preview carries out a dry run and puts the error that a sweep would fail with into the result. It
// fails only if ctx has ended.
func (s *Sweeper) Preview(ctx context.Context, req Request) (Result, error) {
	req.DryRun = true
	result, err := s.Sweep(ctx, req)
	if err != nil {
		result.WouldFail = newFailure(err)
	}
	return result, ctx.Err()
}

// show adds what only a dry run shows. It reads the other values after the plan was made, because a
// sweep does not read them, and they must not change the plan.
func (s *sweep) show(ctx context.Context) {
	if err := s.readValues(ctx, func(Version) bool { return true }); err != nil {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("not every value could be read: %v", err))
	}
	s.result.Versions = versionInfos(s.Snapshot)
	for _, k := range s.Ours() {
		s.result.Keys = append(s.result.Keys, newKeyInfo(k))
	}
	if !s.RegistryNow.IsZero() {
		s.result.Registry = &Registry{Time: s.RegistryNow, Owner: s.Owner, ByIssuer: s.byIssuer,
			UseRecorded: s.useRecorded()}
	}
}

func versionInfos(s Snapshot) []VersionInfo {
	var rows []VersionInfo
	versions := slices.Clone(s.Versions)
	slices.SortStableFunc(versions, func(a, b Version) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), lastMark(b).Compare(lastMark(a)))
	})
	for i, v := range versions {
		row := VersionInfo{Version: v.ID, Stages: slices.Sorted(slices.Values(v.Stages)), Value: v.Holds.State,
			KeyInfo: KeyInfo{KeyID: v.Key()}}
		key, known := s.keyOf(v)
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

// rank returns the place of a version in the list: current, pending, previous, then all others.
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

// useRecorded reports whether the registry shows when any of the keys was used. It returns nil if
// that is not known.
func (s Snapshot) useRecorded() *bool {
	recorded := slices.ContainsFunc(s.rows(), func(k quilt.APIKey) bool { return k.LastUsedAt != nil })
	if _, known := s.currentKey(); !recorded && !known {
		return nil
	}
	return &recorded
}
