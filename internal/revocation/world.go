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

// World is everything a plan is made from: what the two services said a moment ago, and nothing
// remembered.
type World struct {
	SecretARN   string
	Now         time.Time        // Secrets Manager's clock: marks are compared with it
	RegistryNow time.Time        // the registry's clock: its own dates are compared with it
	Owner       string           // e-mail of the current key's user
	Versions    []Version        // those with labels, in the order of their ids
	Listed      bool             // the list of all keys of the user was fetched
	List        []quilt.APIKey   // that list, if it counts: see [World.listCounts]
	Asked       map[string]Asked // by id: labelled keys that were asked for by their ids
	Lagging     []vault.Replica  // those that are not in sync
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
	Blank      HoldingState = "blank"      // it has room for a key, and none in it
	NoValue    HoldingState = "no-value"   // the version has no value (yet)
	Unreadable HoldingState = "unreadable" // no key can be found in it
	// Secrets Manager refuses to return it: its KMS key is disabled, for example
	Locked HoldingState = "undecryptable"
)

// Asked is what the registry says of a labelled key when it is asked by the key's id.
type Asked struct {
	Key    *quilt.APIKey // nil: the registry knows no such id among the keys of this user
	Logins bool          // it still logs in
	Absent bool          // no user has a key with that id: an administrator's session did not find it
}

// Policy is how long superseded keys live: the settings of the secret. Without a hold limit, a used
// key is held until it expires.
type Policy = settings.Revocation

// find is the version that has the label.
func (w World) find(label string) (Version, bool) {
	if i := slices.IndexFunc(w.Versions, func(v Version) bool { return v.Has(label) }); i >= 0 {
		return w.Versions[i], true
	}
	return Version{}, false
}

// underWay reports whether AWSPENDING sits on a version that is not current.
func (w World) underWay() bool {
	v, ok := w.find(vault.Pending)
	return ok && !v.Has(vault.Current)
}

// unreadable is the current or pending version if its value is not known, or none is current, so
// that nothing can be compared with it. A pending version that has no value yet protects nothing.
func (w World) unreadable() (Version, bool) {
	if current, _ := w.find(vault.Current); current.Holds.State != Holds {
		return current, true
	}
	pending, ok := w.find(vault.Pending)
	return pending, ok && !slices.Contains([]HoldingState{Holds, NoValue, Blank}, pending.Holds.State)
}

// protects reports whether the key's text occurs anywhere in AWSCURRENT's or AWSPENDING's value.
func (w World) protects(key apikey.Key) bool {
	return slices.ContainsFunc(w.Versions, func(v Version) bool {
		return (v.Has(vault.Current) || v.Has(vault.Pending)) && (v.Holds.Key.Equal(key) || v.Holds.Value.Contains(key))
	})
}

// alike are the keys at the registry that show the same fingerprint as this one, itself included.
func (w World) alike(row quilt.APIKey) []quilt.APIKey {
	return slices.DeleteFunc(w.rows(), func(k quilt.APIKey) bool { return k.Fingerprint != row.Fingerprint })
}

// ambiguous reports whether a key that is not this secret's shows the same fingerprint. Then only
// the label says that the version does not hold that key, and a person may have moved the label. By
// chance, six random characters must be equal.
func (w World) ambiguous(row quilt.APIKey) bool {
	labelled, ours := w.labelled(), w.ours()
	return slices.ContainsFunc(w.alike(row), func(k quilt.APIKey) bool {
		return k.ID != row.ID && (!quilt.SameUser(k.UserEmail, w.Owner) || !ours(k) &&
			(!labelled[k.ID] || w.madeForAnother(k)))
	})
}

// rows are the keys that the registry showed, each once.
func (w World) rows() []quilt.APIKey {
	rows := slices.DeleteFunc(slices.Clone(w.List), func(k quilt.APIKey) bool { return w.Asked[k.ID].Key != nil })
	for _, id := range slices.Sorted(maps.Keys(w.Asked)) {
		if k := w.Asked[id].Key; k != nil {
			rows = append(rows, *k)
		}
	}
	return rows
}

// ours reports whether a key's name has this secret's mark, which is computed once.
func (w World) ours() func(quilt.APIKey) bool {
	own := apikey.SecretMark(w.SecretARN)
	return func(row quilt.APIKey) bool {
		mark, marked := apikey.MarkOf(row.Name)
		return marked && mark == own
	}
}

// madeForAnother reports whether the key's name has another secret's mark. Two secrets share a key
// if somebody copied a value; then the other secret's sweep revokes it.
func (w World) madeForAnother(row quilt.APIKey) bool {
	_, marked := apikey.MarkOf(row.Name)
	return marked && !w.ours()(row)
}

// successor is the version that the key label of a superseded version belongs on: the current one,
// if it holds the same key and has no key label. Otherwise it is the version that was current last,
// on the same conditions, because a mark on an older version records an earlier time, from which
// the grace period must not count.
func (w World) successor(v Version) (Version, bool) {
	for _, stage := range []string{vault.Current, vault.Previous} {
		next, ok := w.find(stage)
		fits := ok && next.ID != v.ID && len(next.Keys) == 0 && next.Holds.State == Holds &&
			next.Holds.Key.Equal(v.Holds.Key)
		if fits && (stage == vault.Current || len(v.Marks) > 0 && !w.protects(v.Holds.Key)) {
			return next, true
		}
	}
	return Version{}, false
}

// key is what the registry says of an id, when it was asked for it or in its list.
func (w World) key(id string) (quilt.APIKey, bool) {
	if k := w.Asked[id].Key; k != nil {
		return *k, true
	}
	if i := slices.IndexFunc(w.List, func(k quilt.APIKey) bool { return k.ID == id }); i >= 0 {
		return w.List[i], true
	}
	return quilt.APIKey{}, false
}

// missing are the ids in the labels of versions to judge that the registry has not shown.
func (w World) missing() (ids []string) {
	for _, v := range w.Versions {
		if v.Has(vault.Pending) && !v.Has(vault.Current) || v.Holds.State != Holds || !v.Has(vault.Current) &&
			w.protects(v.Holds.Key) {
			continue
		}
		for _, id := range v.Keys {
			if _, known := w.key(id); !known {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// seenAsOurs reports whether a sweep saw a version's key among the keys of this user: a sweep wrote
// the version's mark, and this user still has a key of ours that is older, so the secret was not
// moved to another user since then. If it was moved to another user and back, ownerSince shows it.
// The two services' clocks are compared, and dates have whole seconds.
func (w World) seenAsOurs(v Version, ownerSince time.Time) bool {
	mark, offset := lastMark(v), w.Now.Sub(w.RegistryNow)
	labelled, ours := w.labelled(), w.ours()
	return len(v.Keys) == 1 && !mark.Before(ownerSince) && slices.ContainsFunc(w.rows(), func(k quilt.APIKey) bool {
		before := !k.CreatedAt.Add(offset).After(mark.Add(2 * time.Second))
		return (labelled[k.ID] || ours(k)) && quilt.SameUser(k.UserEmail, w.Owner) && before
	})
}

// replacedAsRefused reports whether a rotation on need has replaced the version's key because the
// registry refused it, while another credential of the same user logged in. If that user's session
// does not find the id now, and the key is still refused, it no longer exists, although no sweep
// has marked it.
func (w World) replacedAsRefused(v Version) bool {
	current, _ := w.find(vault.Current)
	return v.Has(vault.Previous) && strings.HasPrefix(current.ID, TokenRefused)
}

// currentKey is what the registry says of the current key.
func (w World) currentKey() (quilt.APIKey, bool) {
	current, _ := w.find(vault.Current)
	return w.keyOf(current)
}

// keyOf is what the registry says of a version's key: by the id in its label, else by its
// fingerprint, if only one key shows it. If a person moved another key's label here, the label of
// the key that fits counts.
func (w World) keyOf(v Version) (quilt.APIKey, bool) {
	for _, id := range v.Keys {
		if row, known := w.key(id); known && v.holds(row) {
			return row, true
		}
	}
	if len(v.Keys) > 0 {
		return w.key(v.Key())
	}
	return quilt.OnlyFit(w.List, v.Holds.Key)
}

// labelled are the ids that any version's label names.
func (w World) labelled() map[string]bool {
	ids := map[string]bool{}
	for _, v := range w.Versions {
		for _, id := range v.Keys {
			ids[id] = true
		}
	}
	return ids
}

// Ours are the keys of this secret, the current one included: those whose names have its mark, and
// those that it holds under their labels. They are to be revoked when the secret is retired. If the
// registry's list does not count, only the keys that it was asked for by their ids are known.
//
// [Plan] revokes no other key. Another user's key is not among them, nor one that was made for
// another secret, nor one that only a label connects with this secret, if the fingerprint does not
// prove that the version holds it. It is not known whether somebody copied a value of this secret
// into another one, which then needs the same key.
func (w World) Ours() []quilt.APIKey {
	ours := w.ours()
	return slices.DeleteFunc(w.rows(), func(k quilt.APIKey) bool {
		return !quilt.SameUser(k.UserEmail, w.Owner) || !ours(k) && (w.madeForAnother(k) || !w.keeps(k))
	})
}

// keeps reports whether a version holds the key, and is its label's place: the one that names it,
// or the current one, whose label will follow.
func (w World) keeps(row quilt.APIKey) bool {
	return slices.ContainsFunc(w.Versions, func(v Version) bool {
		labelled := slices.Contains(v.Keys, row.ID) || v.Has(vault.Current) && len(v.Keys) == 0
		return labelled && v.holds(row) && !w.ambiguous(row)
	})
}

// holds reports whether the key in the version's value can be the registry's, as far as its
// fingerprint shows.
func (v Version) holds(row quilt.APIKey) bool {
	return v.Holds.Key.Fits(row.Fingerprint)
}
