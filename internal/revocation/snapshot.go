package revocation

import (
	"maps"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Snapshot is everything that a plan is derived from: what the two services have just returned. It
// contains nothing from earlier sweeps.
type Snapshot struct {
	SecretARN   string
	Now         time.Time            // Secrets Manager's clock, which marks are compared with
	RegistryNow time.Time            // the registry's clock, which its dates are compared with
	Owner       string               // e-mail of the current key's user
	Versions    []Version            // those with labels, in the order of their ids
	Listed      bool                 // the list of all keys of the user was fetched
	List        []quilt.APIKey       // that list, if it counts: see [Snapshot.listCounts]
	Answers     map[string]KeyAnswer // about labelled keys that were asked for, by their ids
	Lagging     []vault.Replica      // those that are not in sync
}

// Version is a version of the secret with what is known of its value.
type Version struct {
	vault.Version
	Holds Holding
}

// Holding is what is known of a version's value.
type Holding struct {
	State HoldingState
	Value apikey.Value // what was read
	Key   apikey.Key   // with State Holds
	Code  string       // with State Locked: of Secrets Manager's error
}

// HoldingState says how much is known of a version's value.
type HoldingState string

// What may be known of a value.
const (
	Unread     HoldingState = ""           // it was not needed
	Holds      HoldingState = "holds"      // it holds the key
	Blank      HoldingState = "blank"      // it has a place for a key, but no key
	NoValue    HoldingState = "no-value"   // the version has no value (yet)
	Unreadable HoldingState = "unreadable" // no key can be found in it
	// Secrets Manager refuses to return the value, for example because its KMS key is disabled.
	Locked HoldingState = "undecryptable"
)

// KeyAnswer is what the registry says about a labelled key when it is asked for the key's id.
type KeyAnswer struct {
	Key    *quilt.APIKey // nil: the registry knows no such id among the keys of this user
	Logins bool          // it still logs in
	Absent bool          // no user has a key with that id: an administrator's session did not find it
}

// Policy is the settings of the secret: how long superseded keys stay valid. Without a hold limit,
// a used key is held until it expires.
type Policy = settings.Revocation

// find returns the version that has the label.
func (s Snapshot) find(label string) (Version, bool) {
	if i := slices.IndexFunc(s.Versions, func(v Version) bool { return v.Has(label) }); i >= 0 {
		return s.Versions[i], true
	}
	return Version{}, false
}

// underWay reports whether AWSPENDING is on a version that is not current.
func (s Snapshot) underWay() bool {
	v, ok := s.find(vault.Pending)
	return ok && !v.Has(vault.Current)
}

// unreadable returns the current or the pending version if no key can be compared with its value,
// because the value is not known or no version is current. A pending version that has no value yet
// protects nothing.
func (s Snapshot) unreadable() (Version, bool) {
	if current, _ := s.find(vault.Current); current.Holds.State != Holds {
		return current, true
	}
	pending, ok := s.find(vault.Pending)
	return pending, ok && !slices.Contains([]HoldingState{Holds, NoValue, Blank}, pending.Holds.State)
}

// protects reports whether the key's text occurs anywhere in AWSCURRENT's or AWSPENDING's value.
func (s Snapshot) protects(key apikey.Key) bool {
	return slices.ContainsFunc(s.Versions, func(v Version) bool {
		return (v.Has(vault.Current) || v.Has(vault.Pending)) && (v.Holds.Key.Equal(key) || v.Holds.Value.Contains(key))
	})
}

// sameFingerprint returns the keys at the registry that have the same fingerprint as row, row
// included.
func (s Snapshot) sameFingerprint(row quilt.APIKey) []quilt.APIKey {
	return slices.DeleteFunc(s.rows(), func(k quilt.APIKey) bool { return k.Fingerprint != row.Fingerprint })
}

// ambiguous reports whether a key that is not this secret's has the same fingerprint. Then only the
// label says that the version does not hold that key, and a person may have moved the label. This
// is rare: six random characters of the two keys must be equal.
func (s Snapshot) ambiguous(row quilt.APIKey) bool {
	labelled, ours := s.labelled(), s.ours()
	return slices.ContainsFunc(s.sameFingerprint(row), func(k quilt.APIKey) bool {
		return k.ID != row.ID && (!quilt.SameUser(k.UserEmail, s.Owner) || !ours(k) &&
			(!labelled[k.ID] || s.madeForAnother(k)))
	})
}

// rows returns the keys that the registry showed, each once.
func (s Snapshot) rows() []quilt.APIKey {
	rows := slices.DeleteFunc(slices.Clone(s.List), func(k quilt.APIKey) bool { return s.Answers[k.ID].Key != nil })
	for _, id := range slices.Sorted(maps.Keys(s.Answers)) {
		if k := s.Answers[id].Key; k != nil {
			rows = append(rows, *k)
		}
	}
	return rows
}

// ours returns a function that reports whether a key's name has this secret's mark. The mark is
// computed once.
func (s Snapshot) ours() func(quilt.APIKey) bool {
	own := apikey.SecretMark(s.SecretARN)
	return func(row quilt.APIKey) bool {
		mark, marked := apikey.MarkOf(row.Name)
		return marked && mark == own
	}
}

// madeForAnother reports whether the key's name has another secret's mark. If somebody copied a
// value, two secrets share a key. Then the other secret's sweep revokes it.
func (s Snapshot) madeForAnother(row quilt.APIKey) bool {
	_, marked := apikey.MarkOf(row.Name)
	return marked && !s.ours()(row)
}

// successor returns the version that the key label of a superseded version must move to. It is the
// current version if that holds the same key and has no key label. Otherwise it is the previous
// version on the same conditions: the mark on the older version records an earlier time, and the
// grace period must not count from it.
func (s Snapshot) successor(v Version) (Version, bool) {
	for _, stage := range []string{vault.Current, vault.Previous} {
		next, ok := s.find(stage)
		fits := ok && next.ID != v.ID && len(next.Keys) == 0 && next.Holds.State == Holds &&
			next.Holds.Key.Equal(v.Holds.Key)
		if fits && (stage == vault.Current || len(v.Marks) > 0 && !s.protects(v.Holds.Key)) {
			return next, true
		}
	}
	return Version{}, false
}

// key returns what the registry says about an id, in an answer about it or in the list.
func (s Snapshot) key(id string) (quilt.APIKey, bool) {
	if k := s.Answers[id].Key; k != nil {
		return *k, true
	}
	if i := slices.IndexFunc(s.List, func(k quilt.APIKey) bool { return k.ID == id }); i >= 0 {
		return s.List[i], true
	}
	return quilt.APIKey{}, false
}

// missing returns the ids in key labels that the plan must decide on and that the registry has not
// shown.
func (s Snapshot) missing() (ids []string) {
	for _, v := range s.Versions {
		if v.Has(vault.Pending) && !v.Has(vault.Current) || v.Holds.State != Holds || !v.Has(vault.Current) &&
			s.protects(v.Holds.Key) {
			continue
		}
		for _, id := range v.Keys {
			if _, known := s.key(id); !known {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// seenAsOurs reports whether an earlier sweep saw a version's key among the keys of this user. It
// did so if it wrote the version's mark and this user still has an older key of ours: then the
// secret was not moved to another user since. If the secret was moved to another user and back,
// ownerSince shows it. The difference of the two services' clocks counts, and dates have whole
// seconds.
func (s Snapshot) seenAsOurs(v Version, ownerSince time.Time) bool {
	mark, offset := lastMark(v), s.Now.Sub(s.RegistryNow)
	labelled, ours := s.labelled(), s.ours()
	return len(v.Keys) == 1 && !mark.Before(ownerSince) && slices.ContainsFunc(s.rows(), func(k quilt.APIKey) bool {
		before := !k.CreatedAt.Add(offset).After(mark.Add(2 * time.Second))
		return (labelled[k.ID] || ours(k)) && quilt.SameUser(k.UserEmail, s.Owner) && before
	})
}

// replacedAsRefused reports whether a rotation on need replaced the version's key because the
// registry refused the key while another credential of the same user logged in. If that user's
// session does not find the id now, and the key is still refused, the key no longer exists,
// although no sweep has marked its version.
func (s Snapshot) replacedAsRefused(v Version) bool {
	current, _ := s.find(vault.Current)
	return v.Has(vault.Previous) && strings.HasPrefix(current.ID, TokenRefused)
}

// currentKey returns what the registry says about the current key.
func (s Snapshot) currentKey() (quilt.APIKey, bool) {
	current, _ := s.find(vault.Current)
	return s.keyOf(current)
}

// keyOf returns what the registry says about a version's key. It finds the key by the id in its
// label, or without a label by the fingerprint, if only one key has it. If a person moved another
// key's label to this version, the label of the key with the right fingerprint counts.
func (s Snapshot) keyOf(v Version) (quilt.APIKey, bool) {
	for _, id := range v.Keys {
		if row, known := s.key(id); known && v.holds(row) {
			return row, true
		}
	}
	if len(v.Keys) > 0 {
		return s.key(v.Key())
	}
	return quilt.OnlyFit(s.List, v.Holds.Key)
}

// labelled returns the ids in the key labels of all versions.
func (s Snapshot) labelled() map[string]bool {
	ids := map[string]bool{}
	for _, v := range s.Versions {
		for _, id := range v.Keys {
			ids[id] = true
		}
	}
	return ids
}

// Ours returns the keys of this secret, the current key included: those whose names have the
// secret's mark, and those that its versions hold under their labels. They must be revoked when the
// secret is retired. If the registry's list does not count, only the keys that were asked for by
// their ids are known.
//
// [Plan] revokes no other key. Ours leaves out keys of another user and keys that were created for
// another secret. It also leaves out a key that only a label connects with this secret, if the
// fingerprint does not prove that the version holds it. Ours cannot tell whether somebody copied a
// value of this secret into another secret, which then needs the same key.
func (s Snapshot) Ours() []quilt.APIKey {
	ours := s.ours()
	return slices.DeleteFunc(s.rows(), func(k quilt.APIKey) bool {
		return !quilt.SameUser(k.UserEmail, s.Owner) || !ours(k) && (s.madeForAnother(k) || !s.keeps(k))
	})
}

// keeps reports whether a version holds the key and has its label. The current version may have no
// key label yet.
func (s Snapshot) keeps(row quilt.APIKey) bool {
	return slices.ContainsFunc(s.Versions, func(v Version) bool {
		labelled := slices.Contains(v.Keys, row.ID) || v.Has(vault.Current) && len(v.Keys) == 0
		return labelled && v.holds(row) && !s.ambiguous(row)
	})
}

// holds reports whether the key in the version's value can be the registry's, as far as its
// fingerprint shows.
func (v Version) holds(row quilt.APIKey) bool {
	return v.Holds.Key.Fits(row.Fingerprint)
}
