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
type HoldingState int

// What may be known of a value.
const (
	Unread     HoldingState = iota // nobody needed to look
	Holds                          // it holds the key
	Blank                          // it has room for a key, and none in it
	NoValue                        // the version has no value (yet)
	Unreadable                     // it could not be read, or no key can be found in it
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
	Force     bool // skips grace, quiet period and hold; skips no gate
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

// protectedIDs are the ids that may be a protected key's: the ids in the labels of its version, and the ids of all keys in the list that show
// its fingerprint, unless its label's key shows that too and so tells it from the others.
func (w World) protectedIDs() map[string]bool {
	ids := map[string]bool{}
	for _, v := range w.Versions {
		if !v.Has(vault.Current) && !v.Has(vault.Pending) {
			continue
		}
		told := false
		for _, id := range v.Keys {
			ids[id] = true
			row, known := w.key(id)
			told = told || known && v.Holds.State == Holds && len(v.Keys) == 1 && row.Fingerprint == v.Holds.Key.Fingerprint()
		}
		for _, k := range w.List {
			if !told && v.Holds.State == Holds && k.Fingerprint == v.Holds.Key.Fingerprint() {
				ids[k.ID] = true
			}
		}
	}
	return ids
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

// currentKey is what the registry says of the current key: by the id in its label, else by its fingerprint, where only one key shows it.
func (w World) currentKey() (quilt.APIKey, bool) {
	current, ok := w.find(vault.Current)
	if !ok || current.Holds.State != Holds {
		return quilt.APIKey{}, false
	}
	if len(current.Keys) > 0 {
		return w.key(current.Key())
	}
	var fit []quilt.APIKey
	for _, k := range w.List {
		if k.Fingerprint == current.Holds.Key.Fingerprint() {
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
