package revocation_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/vault"
)

// An overseer holds the promises of the design against every single request, with an eye on both
// services that no function has: the key in AWSCURRENT works at every instant, and no key that
// somebody may still need is revoked.
type overseer struct {
	rig *sandboxtest.Rig

	mu          sync.Mutex
	secrets     []*sandboxtest.Secret
	lastCurrent map[string]time.Time // by key: when it was last seen in AWSCURRENT
	lastPending map[string]time.Time // by key: when it was last seen in AWSPENDING
	known       map[string]bool      // keys that were ever seen
	used        map[string]time.Time // by key: when a consumer used it last, which the registry may record coarsely
	// a label was moved while fingerprints had an unknown form: use is judged by another key's
	// record
	useUnsure bool
	// sweeps log in with keys that their session does not find: the registry records that as use
	ownLogins bool
	byHand    map[string]bool // keys of versions that AWSCURRENT was moved onto by hand: see movedByHand
	// keys that somebody revoked by hand while they were current: consumers wait for the rotation
	// on need
	revoked  map[string]bool
	clockOff time.Duration // how far the registry's clock may have moved against the other
	// by how much a mark may have been dated back: a sweep stalled in that very request
	lateMark   time.Duration
	requests   int
	violations []string
}

func newOverseer(r *sandboxtest.Rig, secrets ...*sandboxtest.Secret) *overseer {
	o := &overseer{rig: r, secrets: secrets, lastCurrent: map[string]time.Time{}, lastPending: map[string]time.Time{},
		used: map[string]time.Time{}, known: map[string]bool{}, byHand: map[string]bool{}, revoked: map[string]bool{}}
	o.look()
	return o
}

// oversee carries a request out, and looks before and after.
func (o *overseer) oversee(c *wire.Call, next func()) {
	o.mu.Lock()
	defer o.mu.Unlock() // one request at a time: so each look sees what this request did
	o.requests++
	if c.Service == "registry" && c.Operation == "apiKeyRevoke" {
		o.judge(c)
	}
	next()
	o.look()
}

// movedByHand admits the limit that the package's comment names: a person who moves AWSCURRENT to a
// marked version, and away again before a sweep sees it, leaves the old mark, and grace counts from
// there. The quiet period holds all the same.
func (o *overseer) movedByHand(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byHand[key] = true
}

// revokeByHand revokes the current key of a secret, as somebody does who is not told of this
// service.
func (o *overseer) revokeByHand(s *sandboxtest.Secret) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := s.CurrentKey().Reveal()
	if key, known := o.rig.Registry.KeyBySecret(text); known {
		o.revoked[text] = true
		o.rig.Registry.Delete(key.ID)
	}
}

// consumed says that a consumer uses the key now.
func (o *overseer) consumed(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used[key] = o.rig.Clock.Now()
}

// useIsUnsure admits the limit that the package's comment names: if a person moved a label, and
// fingerprints have an unknown form, the record of another key is taken for this one's.
func (o *overseer) useIsUnsure() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.useUnsure = true
}

// asksByLogin says that a sweep's session does not find the ids in labels of keys that are valid:
// the secret has another user's key now, or a person moved the label of a key that no longer
// exists. The sweep then logs in with the version's key.
func (o *overseer) asksByLogin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ownLogins = true
}

// seenBySweep ends what movedByHand admits: a sweep saw the key as the current one, and took the
// mark off.
func (o *overseer) seenBySweep(s *sandboxtest.Secret) {
	current := s.Holder(vault.Current)
	if len(vault.NewVersion(current.ID, current.Stages).Marks) > 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byHand, s.KeyIn(current).Reveal())
}

// clockMayBeOff admits that dates of use are the registry's own, whose clock moved by that much.
func (o *overseer) clockMayBeOff(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clockOff = d
}

func (o *overseer) violated(format string, args ...any) {
	if len(o.violations) < 5 {
		o.violations = append(o.violations, fmt.Sprintf(format, args...))
	}
}

// look records who holds what, and demands that each current key works.
func (o *overseer) look() {
	now := o.rig.Clock.Now()
	for _, s := range o.secrets {
		snapshot, err := o.rig.Secrets.Snapshot(s.ARN)
		if err != nil {
			o.violated("%s cannot be looked at: %v", s.Name, err)
			continue
		}
		if v, ok := snapshot.Holder(vault.Current); ok {
			if key := s.KeyIn(v); !key.IsZero() {
				o.lastCurrent[key.Reveal()] = now
				if !s.Valid(key) && !o.revoked[key.Reveal()] {
					o.violated("promise 1: the key %s in AWSCURRENT of %s does not log in", key, s.Name)
				}
			}
		}
		if v, ok := snapshot.Holder(vault.Pending); ok {
			if key := s.KeyIn(v); !key.IsZero() {
				o.lastPending[key.Reveal()] = now
			}
		}
	}
	for _, k := range o.rig.Registry.Keys() {
		o.known[k.Secret] = true
	}
}

// judge demands that a key which is about to be revoked is nobody's.
func (o *overseer) judge(c *wire.Call) {
	key, ok := o.victim(c)
	if !ok {
		return // gone already
	}
	now := o.rig.Clock.Now()
	held := false
	for _, s := range o.secrets {
		snapshot, _ := o.rig.Secrets.Snapshot(s.ARN)
		for _, v := range snapshot.Versions {
			if s.KeyIn(v).Reveal() != key.Secret {
				continue
			}
			held = true
			if has(v, vault.Current) || has(v, vault.Pending) {
				o.violated("promise 2: the key %s is revoked while %s holds it under %v", key.Fingerprint, s.Name,
					v.Stages)
			}
		}
	}
	grace, orphanAge, quiet := o.rig.RevokeEnv.Grace-time.Second-o.lateMark, o.rig.RevokeEnv.OrphanAge-time.Second,
		o.rig.RevokeEnv.Quiet
	current, wasCurrent := o.lastCurrent[key.Secret]
	pending, wasPending := o.lastPending[key.Secret]
	switch {
	case wasCurrent && !o.byHand[key.Secret] && now.Sub(current) < grace:
		o.violated("promise 2: the key %s is revoked %s after it was current", key.Fingerprint, now.Sub(current))
	case wasCurrent && o.rig.RevokeEnv.HoldLimit == nil && key.Status == "ACTIVE" && !o.useUnsure && !o.ownLogins &&
		!key.LastUsedAt.IsZero() && now.Sub(key.LastUsedAt) < quiet-time.Second-o.clockOff:
		o.violated("promise 2: the key %s is revoked %s after its last use", key.Fingerprint, now.Sub(key.LastUsedAt))
	case wasCurrent && o.rig.RevokeEnv.HoldLimit == nil && key.Status == "ACTIVE" && !o.useUnsure &&
		now.Sub(o.used[key.Secret]) < quiet-time.Second-o.clockOff:
		o.violated("promise 2: the key %s is revoked %s after a consumer used it", key.Fingerprint,
			now.Sub(o.used[key.Secret]))
	case !wasCurrent && wasPending && now.Sub(pending) < orphanAge:
		o.violated("promise 2: the key %s, which a stalled finishSecret could make current, is revoked %s after it "+
			"was pending", key.Fingerprint, now.Sub(pending))
	case !wasCurrent && !wasPending && !held && now.Sub(key.CreatedAt) < orphanAge && !o.lostItsRace(c, key):
		o.violated("promise 2: the key %s, which may yet be stored, is revoked %s after it was made", key.Fingerprint,
			now.Sub(key.CreatedAt))
	}
}

func (o *overseer) victim(c *wire.Call) (quiltregistry.APIKey, bool) {
	var body struct {
		Variables struct{ ID, Secret string }
	}
	_ = json.Unmarshal(c.Body, &body)
	for _, k := range o.rig.Registry.Keys() {
		if k.ID == body.Variables.ID || k.Secret == body.Variables.Secret {
			return k, true
		}
	}
	return quiltregistry.APIKey{}, false
}

// lostItsRace reports whether some version of the key's secret was filled with another key after
// this one was made: then its own createSecret may revoke it, which knows that the other one stands
// where its own would.
func (o *overseer) lostItsRace(c *wire.Call, key quiltregistry.APIKey) bool {
	if sandboxtest.ProcessOf(c) == "" {
		return false
	}
	for _, s := range o.secrets {
		snapshot, _ := o.rig.Secrets.Snapshot(s.ARN)
		for _, v := range snapshot.Versions {
			if !v.Empty && (has(v, vault.Pending) || has(v, vault.Current)) && s.KeyIn(v).Reveal() != key.Secret {
				return true
			}
		}
	}
	return false
}

func has(v awssecrets.Version, label string) bool {
	for _, l := range v.Stages {
		if l == label {
			return true
		}
	}
	return false
}

// keyText is a key that was printed: a fingerprint has its dots after three characters.
var keyText = regexp.MustCompile(`qk_[^\s".\\]{7,}`)

// verdict is the first broken promise, or "".
func (o *overseer) verdict() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.violations) > 0 {
		return o.violations[0]
	}
	if leak := keyText.FindString(o.rig.Output.String()); leak != "" {
		return "promise 4: a key was printed: " + leak
	}
	return ""
}

// tell looks for keys in an event.
func (o *overseer) tell(event notice.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text, _ := json.Marshal(event)
	if leak := keyText.FindString(string(text)); leak != "" {
		o.violated("promise 4: a key is in an event: %s", leak)
	}
}

// leftBehind demands, at the end of all grace, that no key can be used that was made for the
// secret, or that a label of it names, except the current one.
func (o *overseer) leftBehind(s *sandboxtest.Secret) string {
	current, ours := s.CurrentKey(), s.Ours()
	for _, v := range s.Snapshot().Versions {
		ours = append(ours, vault.NewVersion(v.ID, v.Stages).Keys...)
	}
	left := 0
	for _, k := range o.rig.Registry.Keys() {
		if slices.Contains(ours, k.ID) && k.Secret != current.Reveal() && k.Status != quiltregistry.StatusExpired {
			left++
		}
	}
	if left > 0 {
		return fmt.Sprintf("promise 3: %d keys of %s are left behind\n%s", left, s.Name, s.Labels())
	}
	return ""
}
