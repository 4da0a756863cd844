package revocation

import (
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// World is everything a plan is made from: what the two services said a moment ago, and nothing remembered.
type World struct {
	SecretARN   string
	Now         time.Time // Secrets Manager's clock: marks are compared with it
	RegistryNow time.Time // the registry's clock: its own dates are compared with it
	Owner       string    // e-mail of the current key's user
	Versions    []Version // those with labels, in the order of their ids
	List        []quilt.APIKey
	Asked       map[string]Asked // by id: labelled keys that the list lacks
	Lagging     []string         // replica regions that are not in sync
}

// Version is a version of the secret with what is known of its value.
type Version struct {
	vault.Version
	Holds Holding
}

// Holding is what is known of a version's value.
type Holding struct {
	State HoldingState
	Key   apikey.Key // with State Holds
}

// HoldingState tells how much is known of a version's value.
type HoldingState string

// What may be known of a value.
const (
	Unread     HoldingState = ""           // nobody needed to look
	Holds      HoldingState = "holds"      // it holds the key
	Blank      HoldingState = "blank"      // it has room for a key, and none in it
	NoValue    HoldingState = "no-value"   // the version has no value (yet)
	Unreadable HoldingState = "unreadable" // it could not be read, or no key can be found in it
)

// Asked is what the registry says of a labelled key that its list lacks. Absence is no evidence: a key is gone when its id is unknown
// and a login with the version's own value is refused.
type Asked struct {
	Key    *quilt.APIKey // nil: the registry knows no such id among the keys of this user
	Logins bool          // it still logs in
}

// Policy is how long superseded keys live.
type Policy struct {
	Grace     time.Duration
	Quiet     time.Duration
	HoldLimit *time.Duration // nil: a used key is held until it expires
	OrphanAge time.Duration
}

// find is the version that has the label.
func (w World) find(label string) (Version, bool) {
	for _, v := range w.Versions {
		if v.Has(label) {
			return v, true
		}
	}
	return Version{}, false
}

// underWay tells whether AWSPENDING sits on a version that is not current.
func (w World) underWay() bool {
	v, ok := w.find(vault.Pending)
	return ok && !v.Has(vault.Current)
}

// unreadable is a current or pending version whose key cannot be known, so that nothing can be compared with it. A pending version that has
// no value yet protects nothing.
func (w World) unreadable() (Version, bool) {
	for _, v := range w.Versions {
		isCurrent, isPending := v.Has(vault.Current), v.Has(vault.Pending)
		bad := v.Holds.State == Unread || v.Holds.State == Unreadable
		if (isCurrent || isPending) && bad || isCurrent && v.Holds.State != Holds {
			return v, true
		}
	}
	return Version{}, false
}

// protectedKeys are the keys in AWSCURRENT's and AWSPENDING's values.
func (w World) protectedKeys() []apikey.Key {
	var keys []apikey.Key
	for _, v := range w.Versions {
		if (v.Has(vault.Current) || v.Has(vault.Pending)) && v.Holds.State == Holds {
			keys = append(keys, v.Holds.Key)
		}
	}
	return keys
}

func (w World) protects(key apikey.Key) bool {
	for _, k := range w.protectedKeys() {
		if k.Equal(key) {
			return true
		}
	}
	return false
}

// protectedIDs are the ids in the labels of the current and the pending version.
func (w World) protectedIDs() map[string]bool {
	ids := map[string]bool{}
	for _, v := range w.Versions {
		if v.Has(vault.Current) || v.Has(vault.Pending) {
			for _, id := range v.Keys {
				ids[id] = true
			}
		}
	}
	return ids
}

// ambiguous tells whether another key than the holder's shows the row's fingerprint, at the registry or in a version. Then the label alone
// says which of them the id means, and hands can move labels: so neither is touched, and both are left to expire. (Fingerprints
// show six characters of a random key, so this takes malice or a registry with other fingerprints.)
func (w World) ambiguous(row quilt.APIKey, holder apikey.Key) bool {
	for _, k := range w.List {
		if k.ID != row.ID && k.Fingerprint == row.Fingerprint {
			return true
		}
	}
	for id, a := range w.Asked {
		if id != row.ID && a.Key != nil && a.Key.Fingerprint == row.Fingerprint {
			return true
		}
	}
	for _, v := range w.Versions {
		if v.holds(row) && !v.Holds.Key.Equal(holder) {
			return true
		}
	}
	return false
}

// madeForThis tells whether the key's name has this secret's mark.
func (w World) madeForThis(row quilt.APIKey) bool { return w.ours()(row) }

// ours is madeForThis for many keys: the mark, a hash, is made once.
func (w World) ours() func(quilt.APIKey) bool {
	own := apikey.SecretMark(w.SecretARN)
	return func(row quilt.APIKey) bool {
		mark, marked := apikey.MarkOf(row.Name)
		return marked && mark == own
	}
}

// madeForAnother tells whether the key's name has another secret's mark. Secrets come to share a key when somebody copies a value; then it is
// the other's to revoke.
func (w World) madeForAnother(row quilt.APIKey) bool {
	_, marked := apikey.MarkOf(row.Name)
	return marked && !w.madeForThis(row)
}

// heir is the version that a superseded version's key label belongs on: the current one, where it holds the same key and has no label. So does
// the one that was current last: a mark on an older version speaks of an earlier time, from which grace must not count.
func (w World) heir(v Version) (Version, bool) {
	for _, stage := range []string{vault.Current, vault.Previous} {
		h, ok := w.find(stage)
		fits := ok && h.ID != v.ID && len(h.Keys) == 0 && h.Holds.State == Holds && h.Holds.Key.Equal(v.Holds.Key)
		if fits && (stage == vault.Current || len(v.Marks) > 0 && !w.protects(v.Holds.Key)) {
			return h, true
		}
	}
	return Version{}, false
}

// markedBefore tells whether a version other than the one that was current last has a mark: then that one's value must be known too.
func (w World) markedBefore() bool {
	for _, v := range w.Versions {
		if len(v.Keys) > 0 && len(v.Marks) > 0 && !v.Has(vault.Previous) && !v.Has(vault.Current) {
			return true
		}
	}
	return false
}

// key is what the registry says of an id, by its list or when it was asked.
func (w World) key(id string) (quilt.APIKey, bool) {
	for _, k := range w.List {
		if k.ID == id {
			return k, true
		}
	}
	if a, ok := w.Asked[id]; ok && a.Key != nil {
		return *a.Key, true
	}
	return quilt.APIKey{}, false
}

// currentKey is what the registry says of the current key.
func (w World) currentKey() (quilt.APIKey, bool) {
	current, ok := w.find(vault.Current)
	if !ok || current.Holds.State != Holds {
		return quilt.APIKey{}, false
	}
	return w.keyOf(current)
}

// keyOf is what the registry says of a version's key: by the id in its label, else by its fingerprint, where only one key shows it.
func (w World) keyOf(v Version) (quilt.APIKey, bool) {
	if len(v.Keys) > 0 {
		return w.key(v.Key())
	}
	if v.Holds.State != Holds {
		return quilt.APIKey{}, false
	}
	var fit []quilt.APIKey
	for _, k := range w.List {
		if v.Holds.Key.Fits(k.Fingerprint) {
			fit = append(fit, k)
		}
	}
	if len(fit) != 1 {
		return quilt.APIKey{}, false
	}
	return fit[0], true
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
