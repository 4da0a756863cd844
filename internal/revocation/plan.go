package revocation

import (
	"time"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// Action is one thing to do, to hold or to tell, and why.
type Action struct {
	Kind    Kind
	Reason  Reason
	Version string // id; "" for an orphan
	From    string // Relabel: the version that loses the label
	KeyID   string
	Mark    vault.Mark    // Mark: the one to write
	Key     *quilt.APIKey // what the registry says of the key, where it is known
	Until   time.Time     // when a wait is over by itself; zero: not by time alone
}

// Plan derives what is to be done from the world. It knows no clock and no service, and remembers nothing: a revocation that failed is
// simply found again.
//
// Its rules, in order. The first that fits a version decides on it.
//
//	a label is unknown                                  → nothing at all (fail closed)
//	the current or pending value cannot be read         → nothing at all (nor where nothing is current)
//	current, with a mark                                → Unmark
//	a mark, and no key label                            → Unmark
//	no key label                                        → never acted on
//	current or pending                                  → never acted on
//	its value cannot be read                            → Report
//	its label leads to another key than its value       → Report
//	the version that is, or was last, current holds
//	  the same key and has no label                     → Relabel
//	it holds the current or the pending key             → never acted on
//	another key shows the same fingerprint              → Report
//	the registry gave no answer for its key             → Report
//	its key is another user's, or another secret's      → Report
//	the registry knows its key no more                  → Unlabel
//	no mark                                             → Mark
//	never current, and younger than the orphan age      → wait
//	a replica region lags                               → wait
//	grace is not over                                   → wait
//	its key has expired                                 → Revoke
//	used within the quiet period, hold limit not over   → Hold
//	else                                                → Revoke
//
// While a rotation is under way nothing is done to versions. Orphans are revoked by [planOrphans]'s rules, always.
func Plan(w World, p Policy) []Action {
	for _, v := range w.Versions {
		if len(v.Unknown) > 0 {
			return []Action{{Kind: Report, Reason: UnknownLabel, Version: v.ID}}
		}
	}
	if v, ok := w.unreadable(); ok {
		return []Action{{Kind: Report, Reason: UnreadableKey, Version: v.ID}}
	}
	if _, ok := w.find(vault.Current); !ok {
		return []Action{{Kind: Report, Reason: UnreadableKey}}
	}
	var actions []Action
	for _, v := range w.Versions {
		actions = append(actions, planVersion(w, p, v)...)
	}
	actions = append(actions, planCurrent(w)...)
	if w.underWay() {
		actions = waitForRotation(actions)
	}
	return append(actions, planOrphans(w, p)...)
}

// waitForRotation keeps what is only told.
func waitForRotation(actions []Action) []Action {
	for i, a := range actions {
		if a.Kind != Report && a.Kind != Hold {
			actions[i] = Action{Kind: Report, Reason: RotationUnder, Version: a.Version, KeyID: a.KeyID, Key: a.Key}
		}
	}
	return actions
}

func planVersion(w World, p Policy, v Version) []Action {
	switch {
	case v.Has(vault.Current) && len(v.Marks) > 0:
		return []Action{{Kind: Unmark, Reason: CurrentAgain, Version: v.ID}}
	case len(v.Keys) == 0 && len(v.Marks) > 0:
		return []Action{{Kind: Unmark, Reason: NoKeyLabel, Version: v.ID}}
	case len(v.Keys) == 0, v.Has(vault.Current), v.Has(vault.Pending):
		return nil
	case v.Holds.State != Holds:
		return []Action{{Kind: Report, Reason: UnreadableKey, Version: v.ID, KeyID: v.Key()}}
	}
	var actions []Action
	for _, id := range v.Keys {
		actions = append(actions, planKey(w, p, v, id))
	}
	return actions
}

// planKey decides on a key that a superseded version's label names.
func planKey(w World, p Policy, v Version, id string) Action {
	row, known := w.key(id)
	answer, asked := w.Asked[id]
	a := Action{Kind: Report, Version: v.ID, KeyID: id}
	if known {
		a.Key = &row
	}
	heir, inherited := w.heir(v)
	switch {
	case known && !v.Holds.Key.Fits(row.Fingerprint), len(v.Keys) > 1 && w.protects(v.Holds.Key), w.protectedIDs()[id]:
		return because(a, Report, Mislabelled)
	case inherited && known && !w.ambiguous(row, v.Holds.Key):
		a.Version, a.From = heir.ID, v.ID
		return because(a, Relabel, KeyMoved)
	case w.protects(v.Holds.Key):
		return because(a, Report, SameKey)
	case known && w.ambiguous(row, v.Holds.Key):
		return because(a, Report, Ambiguous)
	case !known && !asked:
		return because(a, Report, NotAsked)
	case !known && answer.Logins, known && row.UserEmail != w.Owner:
		return because(a, Report, Foreign)
	case !known:
		return because(a, Unlabel, Gone)
	case w.madeForAnother(row):
		return because(a, Report, OtherSecret)
	case len(v.Marks) == 0:
		a.Mark = vault.NewMark(v.ID, w.Now).Promising(p.Grace)
		return because(a, Mark, Superseded)
	}
	return planMarked(w, p, v, row, a)
}

// planMarked decides on a live superseded key, by time and use.
func planMarked(w World, p Policy, v Version, row quilt.APIKey, a Action) Action {
	since := lastMark(v)
	graceEnd := graceEnd(v, p)
	promotable := !v.Has(vault.Previous) && w.Now.Before(since.Add(p.OrphanAge))
	used := row.LastUsedAt != nil && w.RegistryNow.Before(row.LatestUse().Add(p.Quiet))
	limitOver := p.HoldLimit != nil && !w.Now.Before(graceEnd.Add(*p.HoldLimit))
	switch {
	case promotable:
		a.Until = since.Add(p.OrphanAge)
		return because(a, Report, MayBePromoted)
	case len(w.Lagging) > 0:
		return because(a, Report, ReplicaLag)
	case w.Now.Before(graceEnd):
		a.Until = graceEnd
		return because(a, Report, InGrace)
	case row.Status == quilt.Expired:
		return because(a, Revoke, Expired)
	case used && limitOver:
		return because(a, Revoke, HoldLimitOver)
	case used:
		a.Until = holdEnd(p, graceEnd, row, w)
		return because(a, Hold, StillUsed)
	case row.LastUsedAt == nil:
		return because(a, Revoke, GraceOverUnknown)
	}
	return because(a, Revoke, GraceOver)
}

// holdEnd is when a hold ends at the latest: with the hold limit, where one is set, else when the key expires (on Secrets Manager's clock).
func holdEnd(p Policy, graceEnd time.Time, row quilt.APIKey, w World) time.Time {
	end := row.ExpiresAt.Add(w.Now.Sub(w.RegistryNow))
	if p.HoldLimit != nil && graceEnd.Add(*p.HoldLimit).Before(end) {
		end = graceEnd.Add(*p.HoldLimit)
	}
	return end
}

// graceEnd is when the grace period of a marked version ends: as it is configured now, or as it was promised when the version was marked,
// whichever is later. Other tools may remove the tag that configured it.
func graceEnd(v Version, p Policy) time.Time {
	end := lastMark(v).Add(p.Grace)
	for _, m := range v.Marks {
		if m.Until.After(end) {
			end = m.Until
		}
	}
	return end
}

// lastMark is the later one where two sweeps marked a version at once.
func lastMark(v Version) time.Time {
	var last time.Time
	for _, m := range v.Marks {
		if m.Since.After(last) {
			last = m.Since
		}
	}
	return last
}

func because(a Action, kind Kind, reason Reason) Action {
	a.Kind, a.Reason = kind, reason
	return a
}

// planCurrent tells of a current key without an id, or with a wrong one: it will not be found when it is superseded.
func planCurrent(w World) []Action {
	current, ok := w.find(vault.Current)
	if !ok || current.Holds.State != Holds {
		return nil
	}
	if !w.listCounts() {
		return []Action{{Kind: Report, Reason: ListIncomplete, Version: current.ID, KeyID: current.Key()}}
	}
	row, known := w.currentKey()
	switch {
	case !known:
		return []Action{{Kind: Report, Reason: Unidentified, Version: current.ID}}
	case !current.Holds.Key.Fits(row.Fingerprint):
		return []Action{{Kind: Report, Reason: Mislabelled, Version: current.ID, KeyID: row.ID, Key: &row}}
	}
	return nil
}

// listCounts tells whether the registry's list holds the current key. One that does not is incomplete, and counts for nothing.
func (w World) listCounts() bool {
	current, ok := w.find(vault.Current)
	if !ok || current.Holds.State != Holds {
		return false
	}
	for _, k := range w.List {
		if k.ID == current.Key() || len(current.Keys) == 0 && current.Holds.Key.Fits(k.Fingerprint) {
			return true
		}
	}
	return false
}

// planOrphans decides on keys that no version's label names. One is ours to revoke when its name has this secret's mark, it is older than
// the longest run of a createSecret that might still store it, and no version holds it, as far as its fingerprint tells: not one with
// another key's label either, since somebody may have moved that. If a version cannot be read, none is revoked this time.
func planOrphans(w World, p Policy) []Action {
	if !w.listCounts() {
		return nil
	}
	labelled, ours := w.labelled(), w.ours()
	var actions []Action
	for _, k := range w.List {
		if !ours(k) || labelled[k.ID] || k.UserEmail != w.Owner {
			continue
		}
		orphan := k // whose address is taken, so that not every key of the list is moved to the heap
		a := Action{Kind: Report, KeyID: k.ID, Key: &orphan}
		age := w.RegistryNow.Sub(k.CreatedAt)
		switch held, unread := w.holders(k); {
		case len(held.Keys) == 0 && (held.Has(vault.Current) || held.Has(vault.Pending)): // its label will follow
		case held.ID != "" && len(held.Keys) == 0: // superseded without a label: never acted on, so somebody must
			a.Version = held.ID
			actions = append(actions, because(a, Report, Unlabelled))
		case held.ID != "":
			a.Version = held.ID
			actions = append(actions, because(a, Report, Ambiguous))
		case age < p.OrphanAge:
			a.Until = w.Now.Add(p.OrphanAge - age)
			actions = append(actions, because(a, Report, OrphanTooYoung))
		case unread:
			actions = append(actions, because(a, Report, UnreadOrphans))
		default:
			actions = append(actions, because(a, RevokeOrphan, Orphaned))
		}
	}
	return actions
}

// holders tells which version holds the key, as far as its fingerprint tells, and whether one that cannot be read might.
func (w World) holders(k quilt.APIKey) (held Version, unread bool) {
	for _, v := range w.Versions {
		if v.holds(k) {
			held = v
		}
		unread = unread || v.Holds.State == Unread || v.Holds.State == Unreadable
	}
	return held, unread
}

// orphanCandidates tells whether any key in the list may be an orphan, so that the values of versions without a key label must be read.
func (w World) orphanCandidates() bool {
	labelled, ours := w.labelled(), w.ours()
	for _, k := range w.List {
		if ours(k) && !labelled[k.ID] {
			return true
		}
	}
	return false
}
