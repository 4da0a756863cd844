package revocation_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/vault"
)

// A truth is what really is: every key with its secret, and every version with its value. A sweep
// sees a [Snapshot] of it, with the lies that services and people say.
//
// Two things are taken for granted, because nothing could show that they are not so: what the
// registry says of a key that it does name is true (its fingerprint, owner, dates), and a mark is
// not older than the moment at which its version was superseded.
type truth struct {
	now      time.Time // Secrets Manager's clock
	skew     time.Duration
	keys     []*trueKey
	versions []*trueVersion
	lagging  []vault.Replica
	lies     lies

	hashed      bool // the registry shows hashes in the place of fingerprints
	deactivated bool // the other user is, for now
}

type trueKey struct {
	id, name, owner  string
	secret           apikey.Key
	created, expires time.Time // on the registry's clock
	used             *time.Time
	revoked          bool
}

type trueVersion struct {
	id     string
	holds  Holding
	labels []string
}

type lies struct {
	omitted map[string]bool // from the list
	noList  bool
	unasked map[string]bool // whose answer does not come
	unread  bool            // versions without a key label are not read
}

func (t *truth) registryNow() time.Time { return t.now.Add(t.skew) }

func (t *truth) byID(id string) *trueKey {
	for _, k := range t.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

func (t *truth) logsIn(key apikey.Key) bool {
	for _, k := range t.keys {
		if k.secret.Equal(key) {
			return !k.revoked && t.registryNow().Before(k.expires) && (k.owner == owner || !t.deactivated)
		}
	}
	return false
}

func (t *truth) row(k *trueKey) quilt.APIKey {
	row := quilt.APIKey{ID: k.id, Name: k.name, Fingerprint: k.secret.Fingerprint(), CreatedAt: k.created,
		ExpiresAt: k.expires, LastUsedAt: k.used,
		Status: quilt.Active, UserEmail: k.owner, RegistryTime: t.registryNow()}
	if !t.registryNow().Before(k.expires) {
		row.Status = quilt.Expired
	}
	if t.hashed {
		row.Fingerprint = "sha256:" + k.id
	}
	return row
}

func (t *truth) holder(label string) *trueVersion {
	for _, v := range t.versions {
		if slices.Contains(v.labels, label) {
			return v
		}
	}
	return nil
}

// world is what a sweep sees: as its look does, it asks for labelled keys that the list lacks, and
// lets the version's value log in.
func (t *truth) world() Snapshot {
	w := Snapshot{SecretARN: thisARN, Now: t.now, RegistryNow: t.registryNow(), Owner: owner, Listed: true,
		Answers: map[string]KeyAnswer{}, Lagging: t.lagging}
	listed := map[string]bool{}
	for _, k := range t.keys {
		if k.owner == owner && !k.revoked && !t.lies.noList && !t.lies.omitted[k.id] {
			w.List = append(w.List, t.row(k))
			listed[k.id] = true
		}
	}
	for _, v := range t.versions {
		if len(v.labels) == 0 {
			continue // deprecated: Secrets Manager does not show it
		}
		seen := Version{Version: vault.NewVersion(v.id, v.labels), Holds: v.holds}
		protected := seen.Has(vault.Current) || seen.Has(vault.Pending)
		if t.lies.unread && !protected && len(seen.Keys) == 0 && !seen.Has(vault.Previous) {
			seen.Holds = Holding{}
		}
		w.Versions = append(w.Versions, seen)
		for _, id := range seen.Keys {
			if protected || seen.Holds.State != Holds || listed[id] || t.lies.unasked[id] {
				continue
			}
			if k := t.byID(id); k != nil && k.owner == owner && !k.revoked {
				w.Answers[id] = KeyAnswer{Key: ptr(t.row(k))}
			} else {
				w.Answers[id] = KeyAnswer{Logins: t.logsIn(seen.Holds.Key)}
			}
		}
	}
	return w
}

// carryOut does what an action says, on the truth. It reports whether that changed anything.
func (t *truth) carryOut(a Action) bool {
	switch a.Kind {
	case Mark:
		t.label(a.Version, vault.NewMark(a.Version, t.now).Promising(grace).Label())
	case Unmark:
		t.unmark(a.Version)
	case Relabel:
		t.unmark(a.From)
		t.unlabel(a.From, vault.KeyLabel(a.KeyID))
		t.label(a.Version, vault.KeyLabel(a.KeyID))
	case Unlabel:
		t.unmark(a.Version)
		t.unlabel(a.Version, vault.KeyLabel(a.KeyID))
	case Revoke:
		held, labelled := t.acted(a), t.byID(a.KeyID)
		changed := held != nil && held.owner == owner && !held.revoked
		if changed {
			held.revoked = true
		}
		if labelled != nil && !labelled.revoked && labelled.owner == owner { // the label named another key
			return changed
		}
		t.unmark(a.Version)
		t.unlabel(a.Version, vault.KeyLabel(a.KeyID))
	case RevokeOrphan:
		t.byID(a.KeyID).revoked = true
	default:
		return false
	}
	return true
}

// acted is the key that an action is about: the one that the version holds, or that of the id.
func (t *truth) acted(a Action) *trueKey {
	if a.Kind != Mark && a.Kind != Revoke {
		return t.byID(a.KeyID)
	}
	for _, k := range t.keys {
		if v := t.version(a.Version); v.holds.State == Holds && k.secret.Equal(v.holds.Key) {
			return k
		}
	}
	return nil
}

func (t *truth) version(id string) *trueVersion {
	for _, v := range t.versions {
		if v.id == id {
			return v
		}
	}
	panic("no version " + id)
}

func (t *truth) label(id, label string) {
	v := t.version(id)
	if !slices.Contains(v.labels, label) {
		v.labels = append(v.labels, label)
	}
}

func (t *truth) unlabel(id, label string) {
	v := t.version(id)
	v.labels = slices.DeleteFunc(v.labels, func(l string) bool { return l == label })
}

func (t *truth) unmark(id string) {
	v := t.version(id)
	for _, m := range vault.NewVersion(id, v.labels).Marks {
		t.unlabel(id, m.Label())
	}
}

// String shows the truth in failures, without keys.
func (t *truth) String() string {
	text := fmt.Sprintf("now %s, the registry %s, lagging %v, lies %+v\n", t.now.Format(time.DateTime), t.skew,
		t.lagging, t.lies)
	for _, k := range t.keys {
		text += fmt.Sprintf("key %s %s %q of %s, made %s, until %s, used %v, revoked %t\n", k.id, k.secret, k.name,
			k.owner, k.created.Format(time.DateTime), k.expires.Format(time.DateTime), k.used, k.revoked)
	}
	for _, v := range t.versions {
		text += fmt.Sprintf("version %s holds %q", v.id, v.holds.State)
		for _, k := range t.keys {
			if v.holds.State == Holds && k.secret.Equal(v.holds.Key) {
				text += " " + k.id
			}
		}
		text += fmt.Sprintf(" %v\n", v.labels)
	}
	return text
}

// manner says what may be drawn: honest truths are those in which time must bring every superseded
// key to its end.
type manner struct{ honest bool }

func drawTruth(r *rapid.T, m manner) *truth {
	t := &truth{now: later.Add(seconds(r, "now", 0, 3600)), skew: seconds(r, "skew", -36000, 36000)}
	for i := range rapid.IntRange(2, 7).Draw(r, "keys") {
		t.keys = append(t.keys, drawKey(r, t, i))
	}
	current := t.keys[0] // the first gate: it logs in, and is the owner's
	current.owner, current.expires = owner, t.registryNow().Add(2400*time.Hour)
	free := map[string]bool{} // labels that sit nowhere yet
	for _, k := range t.keys {
		free[k.id] = true
	}
	t.hashed, t.deactivated = chance(r, "hashed", 15), chance(r, "deactivated", 50)
	n := rapid.IntRange(1, 6).Draw(r, "versions")
	for i := range n {
		t.versions = append(t.versions, drawVersion(r, t, i, free, m))
	}
	t.versions[0].holds = Holding{State: Holds, Key: current.secret}
	if chance(r, "in another field", 15) {
		t.versions[0].holds.Value = valueOf("https://x:" + rapid.SampledFrom(t.keys).Draw(r, "field").secret.Reveal() +
			"@host")
	}
	drawStages(r, t)
	if !m.honest {
		drawLies(r, t)
	}
	return t
}

func seconds(r *rapid.T, name string, least, most int) time.Duration {
	return time.Duration(rapid.IntRange(least, most).Draw(r, name)) * time.Second
}

func chance(r *rapid.T, name string, percent int) bool {
	return rapid.IntRange(1, 100).Draw(r, name) <= percent
}

func drawKey(r *rapid.T, t *truth, i int) *trueKey {
	id := fmt.Sprintf("k%d", i)
	k := &trueKey{id: id, owner: owner, secret: keyOf(id)}
	if chance(r, "twin", 25) {
		k.secret = twinOf(id)
	}
	k.name = rapid.SampledFrom([]string{
		apikey.Name("pipeline", marked, thisARN), apikey.Name("pipeline", marked, thisARN), apikey.Name("pipeline",
			marked, otherARN), "by hand",
	}).Draw(r, "name")
	if chance(r, "foreign", 10) {
		k.owner = "other@example.com"
	}
	age := rapid.SampledFrom([]time.Duration{time.Second, orphanAge - time.Second, orphanAge, 30 * time.Hour,
		1000 * time.Hour}).Draw(r, "age")
	k.created = t.registryNow().Add(-age)
	k.expires = k.created.Add(rapid.SampledFrom([]time.Duration{24 * time.Hour, 1200 * time.Hour,
		2400 * time.Hour}).Draw(r, "life"))
	switch rapid.IntRange(0, 3).Draw(r, "use") {
	case 0:
		k.used = ptr(t.registryNow().Add(-seconds(r, "used", 0, 200000)))
	case 1:
		k.used = ptr(t.registryNow().Add(-quiet + seconds(r, "edge", -1, 1)))
	case 2:
		k.used = ptr(t.registryNow().Add(time.Minute))
	}
	k.revoked = chance(r, "revoked", 15) && i > 0
	return k
}

func drawVersion(r *rapid.T, t *truth, i int, free map[string]bool, m manner) *trueVersion {
	v := &trueVersion{id: fmt.Sprintf("v%d-00000000", i)}
	k := rapid.SampledFrom(t.keys).Draw(r, "holds")
	v.holds = Holding{State: Holds, Key: k.secret}
	if !m.honest && chance(r, "odd value", 10) {
		v.holds = Holding{State: rapid.SampledFrom([]HoldingState{Blank, NoValue, Unreadable, Locked}).Draw(r, "state")}
	}
	attach := func(id string) {
		if free[id] {
			v.labels, free[id] = append(v.labels, vault.KeyLabel(id)), false
		}
	}
	if chance(r, "own label", 75) {
		attach(k.id)
	}
	if chance(r, "moved label", 15) {
		attach(rapid.SampledFrom(t.keys).Draw(r, "moved").id)
	}
	if !m.honest && chance(r, "label of no key", 5) {
		attach("never-was")
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(r, "marks") {
		if k.owner != owner { // a mark is written when the key is the current user's
			break
		}
		since := rapid.SampledFrom([]time.Duration{0, time.Second, orphanAge - time.Second, orphanAge,
			grace - time.Second, grace, 100 * time.Hour}).Draw(r, "since")
		if label := vault.NewMark(v.id, t.now.Add(-since)).Label(); !slices.Contains(v.labels, label) {
			v.labels = append(v.labels, label)
		}
	}
	if chance(r, "their label", 20) {
		v.labels = append(v.labels, fmt.Sprintf("theirs-%d", i))
	}
	if !m.honest && chance(r, "unknown label", 2) {
		v.labels = append(v.labels, "quilt-next")
	}
	return v
}

func drawStages(r *rapid.T, t *truth) {
	t.versions[0].labels = append(t.versions[0].labels, vault.Current)
	if len(t.versions) > 1 && chance(r, "previous", 70) {
		t.versions[1].labels = append(t.versions[1].labels, vault.Previous)
	}
	if chance(r, "pending", 30) {
		v := rapid.SampledFrom(t.versions).Draw(r, "pending version")
		v.labels = append(v.labels, vault.Pending)
	}
	if chance(r, "lag", 10) {
		t.lagging = lagging
	}
}

func drawLies(r *rapid.T, t *truth) {
	t.lies = lies{omitted: map[string]bool{}, unasked: map[string]bool{}, noList: chance(r, "no list", 10),
		unread: chance(r, "unread", 30)}
	for _, k := range t.keys {
		t.lies.omitted[k.id] = chance(r, "omitted", 15)
		t.lies.unasked[k.id] = chance(r, "unasked", 10)
	}
}

func drawPolicy(r *rapid.T) Policy {
	p := Policy{Grace: grace, Quiet: quiet, OrphanAge: orphanAge}
	if chance(r, "short", 20) {
		p.Grace, p.Quiet, p.OrphanAge = time.Second, time.Second, 2*time.Second
	}
	if chance(r, "limited", 30) {
		p.HoldLimit = limit(rapid.SampledFrom([]time.Duration{0, time.Second, 48 * time.Hour}).Draw(r, "hold limit"))
	}
	return p
}

// checkAction demands what no action may ever do, judged by the truth.
func checkAction(r *rapid.T, t *truth, p Policy, a Action) {
	fail := func(why string) { r.Fatalf("%s: %s\n%s", describe(a), why, t) }
	if a.Kind == Hold || a.Kind == Report {
		return
	}
	underWay := false
	for _, label := range []string{vault.Current, vault.Pending} {
		v := t.holder(label)
		if v == nil {
			continue
		}
		underWay = underWay || !slices.Contains(v.labels, vault.Current)
		k := t.acted(a)
		acts := a.Kind != Relabel && a.Kind != Unmark // which take nothing from a key
		if acts && k != nil && !k.revoked &&
			!(a.Kind == Unlabel && (movedLabel(t, a) || !t.registryNow().Before(k.expires))) &&
			(v.holds.State == Holds && k.secret.Equal(v.holds.Key) || v.holds.Value.Contains(k.secret)) {
			fail("the key is in " + label + "'s value")
		}
	}
	if underWay && a.Kind != RevokeOrphan {
		fail("a rotation is under way")
	}
	if a.Kind == RevokeOrphan || (a.Kind == Revoke || a.Kind == Mark) && !movedLabel(t, a) {
		checkOurs(t, a, fail)
	}
	switch a.Kind {
	case RevokeOrphan:
		checkOrphan(t, p, a, fail)
	case Revoke:
		checkTime(t, p, a, fail)
	case Unlabel:
		if k := t.byID(a.KeyID); !movedLabel(t, a) && k != nil && !k.revoked && t.registryNow().Before(k.expires) {
			fail("its key is valid, or will be, and would be without its label")
		}
	}
}

// movedLabel reports whether a person moved a key's label to a version of another key, which
// nothing that the registry shows may say.
func movedLabel(t *truth, a Action) bool {
	return a.Version != "" && t.byID(a.KeyID) != t.acted(Action{Kind: Revoke, Version: a.Version})
}

func checkOurs(t *truth, a Action, fail func(string)) {
	k := t.byID(a.KeyID)
	mark, marked := "", false
	if k != nil {
		mark, marked = apikey.MarkOf(k.name)
	}
	switch {
	case k == nil || k.revoked:
		fail("there is no such key")
	case k.owner != owner:
		fail("the key is another user's")
	case marked && mark != apikey.SecretMark(thisARN):
		fail("the key was made for another secret")
	}
}

func checkOrphan(t *truth, p Policy, a Action, fail func(string)) {
	k := t.byID(a.KeyID)
	if t.registryNow().Sub(k.created) < p.OrphanAge {
		fail("the key is too young")
	}
	for _, v := range t.versions {
		if len(v.labels) > 0 && v.holds.State == Holds && v.holds.Key.Equal(k.secret) {
			fail("the version " + v.id + " holds it")
		}
	}
}

// checkTime demands that no version that holds the key is in its time still, by its own marks.
func checkTime(t *truth, p Policy, a Action, fail func(string)) {
	k := t.acted(a)
	if k == nil || k.revoked {
		return // nothing is revoked
	}
	led := vault.NewVersion(a.Version, t.version(a.Version).labels)
	if len(led.Marks) == 0 {
		fail("the version has no mark")
	}
	for _, v := range t.versions {
		if v.holds.State != Holds || !v.holds.Key.Equal(k.secret) || !slices.Contains(v.labels, vault.KeyLabel(k.id)) {
			continue
		}
		for _, m := range vault.NewVersion(v.id, v.labels).Marks {
			if t.now.Before(m.Since.Add(p.Grace)) {
				fail("the grace of the version " + v.id + " is not over")
			}
			if !slices.Contains(v.labels, vault.Previous) && t.now.Before(m.Since.Add(p.OrphanAge)) {
				fail("the version " + v.id + " may yet be promoted")
			}
		}
	}
	// Use is judged by what the registry shows. It shows nothing of a key that its list omits, if a
	// person moved another key's label to the version.
	seen := t.byID(a.KeyID) == k || !t.hashed && !t.lies.noList && !t.lies.omitted[k.id]
	if p.HoldLimit == nil && seen && k.used != nil && t.registryNow().Before(k.expires) &&
		t.registryNow().Before(k.used.Add(p.Quiet)) {
		fail("the key is used")
	}
	if len(t.lagging) > 0 {
		fail("a replica lags")
	}
}

// TestPlanNeverTouchesWhatIsNeeded checks that no plan revokes a key that somebody may need,
// whatever the services return and people change.
func TestPlanNeverTouchesWhatIsNeeded(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		truth, policy := drawTruth(r, manner{}), drawPolicy(r)
		for _, a := range Plan(truth.world(), policy) {
			checkAction(r, truth, policy, a)
		}
	})
}

// TestPlanRevokesOnlyOwnKeys checks that a plan revokes only keys of this secret, and no key of another
// user or secret.
func TestPlanRevokesOnlyOwnKeys(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		truth, policy := drawTruth(r, manner{}), drawPolicy(r)
		w := truth.world()
		ours := map[string]bool{}
		for _, k := range w.Ours() {
			if ours[k.ID] {
				r.Fatalf("the key %s is named twice\n%s", k.ID, truth)
			}
			ours[k.ID] = true
			checkOurs(truth, Action{KeyID: k.ID}, func(why string) { r.Fatalf("%s is ours: %s\n%s", k.ID, why, truth) })
		}
		for _, a := range Plan(w, policy) {
			// with hashes, only the value says whose key it is
			if (a.Kind == Revoke && !truth.hashed || a.Kind == RevokeOrphan) && !ours[a.KeyID] {
				r.Fatalf("%s: the key is not among ours\n%s", describe(a), truth)
			}
		}
	})
}

// TestPlanChangesNothing checks that the planner is pure: the same snapshot gives the same plan and
// is not changed.
func TestPlanChangesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		truth, policy := drawTruth(r, manner{}), drawPolicy(r)
		seen, untouched := truth.world(), truth.world()
		first, second := Plan(seen, policy), Plan(untouched, policy)
		if diff := cmp.Diff(first, second, cmp.AllowUnexported(vault.Mark{})); diff != "" {
			r.Fatalf("two plans of one world differ:\n%s", diff)
		}
		for _, a := range first {
			if a.Key != nil {
				a.Key.Name = "changed by who got the plan"
			}
		}
		if diff := cmp.Diff(truth.world(), seen, cmp.AllowUnexported(vault.Mark{}),
			cmpopts.IgnoreTypes(apikey.Value{})); diff != "" {
			r.Fatalf("planning changed the world:\n%s", diff)
		}
	})
}

// settle carries plans out until one has nothing to do. Every action is checked, and a revocation
// stands behind the gate: it is left to the next plan when an action before it changed its
// version's labels.
func settle(r *rapid.T, t *truth, p Policy) {
	for range 8 {
		done := false
		plan := Plan(t.world(), p)
		seen := map[string][]string{}
		for _, v := range t.versions {
			seen[v.id] = slices.Clone(v.labels)
		}
		for _, a := range plan {
			checkAction(r, t, p, a)
		}
		for _, a := range plan {
			if a.Kind != Revoke || slices.Equal(seen[a.Version], t.version(a.Version).labels) {
				done = t.carryOut(a) || done
			}
		}
		if !done {
			return
		}
	}
	r.Fatalf("sweeps at one moment find something to do for ever: %v\n%s", Plan(t.world(), p), t)
}

// TestPlanEnds checks that a few sweeps at the same time leave nothing to do, so that labels are
// not written forever.
func TestPlanEnds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		settle(r, drawTruth(r, manner{}), drawPolicy(r))
	})
}

// identifiable reports whether labels, names and fingerprints lead to the key and to it alone: a
// superseded key of ours that they lead to must end.
func (t *truth) identifiable(k *trueKey) bool {
	for _, other := range t.keys {
		if other != k && other.secret.Fingerprint() == k.secret.Fingerprint() {
			return false
		}
	}
	mark, named := apikey.MarkOf(k.name)
	ours := named && mark == apikey.SecretMark(thisARN)
	label := t.holder(vault.KeyLabel(k.id))
	held := false
	for _, v := range t.versions {
		held = held || len(v.labels) > 0 && v.holds.State == Holds && v.holds.Key.Equal(k.secret)
	}
	switch {
	case k.owner != owner, named && !ours:
		return false
	case label == nil && t.hashed, t.versions[0].holds.Value.Contains(k.secret):
		return false
	case label != nil:
		return label.holds.State == Holds && label.holds.Key.Equal(k.secret)
	}
	return ours && !held && t.listCounts()
}

// listCounts reports whether the current version's label, if it has one, is that of a key in the
// list.
func (t *truth) listCounts() bool {
	current := t.versions[0]
	for _, id := range vault.NewVersion(current.id, current.labels).Keys {
		k := t.byID(id)
		return k.owner == owner && !k.revoked
	}
	return true
}

// TestEverySupersededKeyIsRevokedInTime checks that every key of the secret that is neither current
// nor pending is revoked or expires, if the services are correct and no consumer uses it.
func TestEverySupersededKeyIsRevokedInTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		truth, policy := drawTruth(r, manner{honest: true}), drawPolicy(r)
		for _, v := range truth.versions { // the rotation ends: what pended is unstuck
			truth.unlabel(v.id, vault.Pending)
		}
		truth.lagging = nil
		current := truth.versions[0].holds.Key
		var doomed []*trueKey
		for _, k := range truth.keys {
			if !k.secret.Equal(current) && truth.identifiable(k) {
				doomed = append(doomed, k)
			}
		}
		for range 12 {
			settle(r, truth, policy)
			truth.now = truth.now.Add(13 * time.Hour)
		}
		for _, k := range doomed {
			if !k.revoked && truth.registryNow().Before(k.expires) {
				r.Fatalf("the key %s is left behind: %v\n%s", k.id, plan(&scene{truth.world(), policy}), truth)
			}
		}
		if k := truth.keys[0]; k.revoked {
			r.Fatalf("the current key is revoked\n%s", truth)
		}
	})
}
