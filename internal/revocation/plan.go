package revocation

import (
	"slices"
	"time"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// Action is one thing to do, to hold or to report, and why.
type Action struct {
	Kind    Kind
	Reason  Reason
	Version string // id; "" for an orphan
	From    string // Relabel: the version that loses the label
	KeyID   string
	Key     *quilt.APIKey // what the registry says of the key, if it is known
	Until   time.Time     // when a wait is over by itself; zero: not by time alone
	Code    string        // of Secrets Manager's error, if it does not give the version's value
}

// Plan derives what is to be done from the world. It is pure and stateless, so a failed revocation
// is planned again.
//
// Nothing at all is done if a label is unknown, or if the current or the pending value cannot be
// read. Else the rules in planVersion, planKey and planMarked decide on each version: the first
// that fits. While a rotation is under way, nothing is done to versions. Orphans are revoked by the
// rules in planOrphans, always.
func Plan(w World, p Policy) []Action {
	for _, v := range w.Versions {
		if len(v.Unknown) > 0 {
			return []Action{{Kind: Report, Reason: UnknownLabel, Version: v.ID}}
		}
	}
	if v, bad := w.unreadable(); bad {
		return []Action{{Kind: Report, Reason: NoReference, Version: v.ID}}
	}
	var actions []Action
	for _, v := range w.Versions {
		actions = append(actions, planVersion(w, p, v)...)
	}
	actions = append(actions, planCurrent(w)...)
	for i, a := range actions {
		if w.underWay() && a.Kind != Report && a.Kind != Hold {
			actions[i] = Action{Kind: Report, Reason: RotationUnder, Version: a.Version, KeyID: a.KeyID, Key: a.Key}
		}
	}
	return append(actions, planOrphans(w, p)...)
}

func planVersion(w World, p Policy, v Version) []Action {
	switch {
	case v.Has(vault.Current) && len(v.Marks) > 0:
		return []Action{{Kind: Unmark, Reason: CurrentAgain, Version: v.ID}}
	case len(v.Keys) == 0 && len(v.Marks) > 0:
		return []Action{{Kind: Unmark, Reason: NoKeyLabel, Version: v.ID}}
	case len(v.Keys) == 0, v.Has(vault.Current), v.Has(vault.Pending):
		return nil
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
	a := Action{Kind: Report, Version: v.ID, KeyID: id, Code: v.Holds.Code}
	if known {
		a.Key = &row
	}
	readable, expired := v.Holds.State == Holds, known && row.Status == quilt.Expired
	next, inherited := w.successor(v)
	switch {
	case !readable && expired:
		return because(a, Unlabel, Expired)
	case v.Holds.State == Locked:
		return because(a, Report, Undecryptable)
	case !readable:
		return because(a, Report, UnreadableKey)
	case known && v.Holds.Key.Contradicts(row.Fingerprint), len(v.Keys) > 1 && w.protects(v.Holds.Key):
		return because(a, Report, Mislabelled)
	case inherited && known:
		a.Version, a.From = next.ID, v.ID
		return because(a, Relabel, KeyMoved)
	// its grace period starts again when the key is no longer in those values
	case w.protects(v.Holds.Key) && len(v.Marks) > 0:
		return because(a, Unmark, CurrentAgain)
	case w.protects(v.Holds.Key):
		return because(a, Report, SameKey)
	case !known && !asked:
		return because(a, Report, NotAsked)
	case !known && !answer.Logins && (answer.Absent || w.seenAsOurs(v, p.OwnerSince) || w.replacedAsRefused(v)):
		return because(a, Unlabel, Gone)
	case !known && !answer.Logins && len(v.Marks) > 0 && w.Now.After(lastMark(v).Add(longestLife)):
		return because(a, Unlabel, Expired)
	case !known:
		return because(a, Report, Foreign)
	case expired && (!quilt.SameUser(row.UserEmail, w.Owner) || w.madeForAnother(row)):
		return because(a, Unlabel, Expired)
	case !quilt.SameUser(row.UserEmail, w.Owner):
		a.Until = w.expiry(row)
		return because(a, Report, Foreign)
	case w.madeForAnother(row):
		a.Until = w.expiry(row)
		return because(a, Report, OtherSecret)
	case w.ambiguous(row):
		return because(a, Report, Ambiguous)
	case len(v.Marks) == 0:
		return because(a, Mark, Superseded)
	}
	return planMarked(w, p, v, row, a)
}

// planMarked decides on a valid superseded key, by time and use. If other keys show the same
// fingerprint, the label alone says which of them the version holds, and a person may have moved
// it: all of them count.
func planMarked(w World, p Policy, v Version, row quilt.APIKey, a Action) Action {
	since, graceEnd, promotable := w.times(v, p)
	expired, recorded, used := true, false, false
	for _, k := range w.alike(row) {
		expired = expired && k.Status == quilt.Expired
		recorded = recorded || k.LastUsedAt != nil
		used = used || k.LastUsedAt != nil && w.RegistryNow.Before(k.LatestUse().Add(p.Quiet))
	}
	holdEnd, limitOver := w.expiry(row), false
	if p.HoldLimit != nil {
		limit := graceEnd.Add(*p.HoldLimit)
		holdEnd, limitOver = slices.MinFunc([]time.Time{holdEnd, limit}, time.Time.Compare), !w.Now.Before(limit)
	}
	switch {
	case promotable:
		a.Until = since.Add(p.OrphanAge)
		return because(a, Report, MayBePromoted)
	case slices.ContainsFunc(w.Lagging, func(r vault.Replica) bool { return r.Status == replicationFailed }):
		return because(a, Report, ReplicaFailed)
	case len(w.Lagging) > 0:
		return because(a, Report, ReplicaLag)
	case w.Now.Before(graceEnd):
		a.Until = graceEnd
		return because(a, Report, InGrace)
	case expired:
		return because(a, Revoke, Expired)
	case used && limitOver:
		return because(a, Revoke, HoldLimitOver)
	case used:
		a.Until = holdEnd
		return because(a, Hold, StillUsed)
	case !recorded:
		return because(a, Revoke, GraceOverUnknown)
	}
	return because(a, Revoke, GraceOver)
}

// times are when the last of the versions that hold the same key as this one was superseded, and
// when the last of their grace periods ends. promotable says that one of them was never current,
// and that a stalled finishSecret could still promote it.
func (w World) times(v Version, p Policy) (since, end time.Time, promotable bool) {
	for _, x := range w.Versions {
		if len(x.Marks) > 0 && x.Holds.Key.Equal(v.Holds.Key) {
			since, end = later(since, lastMark(x)), later(end, graceEnd(x, p))
			promotable = promotable || !x.Has(vault.Previous) && w.Now.Before(lastMark(x).Add(p.OrphanAge))
		}
	}
	return since, end, promotable
}

// longestLife is how long a key can be valid (quilt: docs/api-reference/authentication.md).
const longestLife = 365 * 24 * time.Hour

// replicationFailed is the status of a replica region that no longer gets new values.
const replicationFailed = "Failed"

// expiry is when a key expires, on Secrets Manager's clock.
func (w World) expiry(row quilt.APIKey) time.Time { return row.ExpiresAt.Add(w.Now.Sub(w.RegistryNow)) }

// graceEnd is when the grace period of a marked version ends: as it is configured now, or as it was
// promised when the version was marked, whichever is later. Other tools may remove the tag that
// configured it.
func graceEnd(v Version, p Policy) time.Time {
	end := lastMark(v).Add(p.Grace)
	for _, m := range v.Marks {
		end = later(end, m.Until)
	}
	return end
}

// lastMark is the later one if two sweeps marked a version at once.
func lastMark(v Version) (last time.Time) {
	for _, m := range v.Marks {
		last = later(last, m.Since)
	}
	return last
}

func later(a, b time.Time) time.Time { return slices.MaxFunc([]time.Time{a, b}, time.Time.Compare) }

func because(a Action, kind Kind, reason Reason) Action {
	a.Kind, a.Reason = kind, reason
	return a
}

// planCurrent reports a current key without an id, or with a wrong one. If a person moved the label
// of a superseded key here, nothing else leads to that key.
func planCurrent(w World) (actions []Action) {
	current, _ := w.find(vault.Current)
	for _, id := range current.Keys {
		a := Action{Version: current.ID, KeyID: id}
		row, known := w.key(id)
		if known {
			a.Key = &row
		}
		switch {
		case known && current.Holds.Key.Contradicts(row.Fingerprint):
			actions = append(actions, because(a, Report, Mislabelled))
		case len(current.Keys) > 1 && !(known && current.holds(row)):
			actions = append(actions, because(a, Report, Ambiguous))
		}
	}
	_, known := w.currentKey()
	unknownForm := slices.ContainsFunc(w.List, func(k quilt.APIKey) bool { return !current.Holds.comparable(k) })
	a := Action{Version: current.ID, KeyID: current.Key()}
	switch {
	case len(actions) > 0, known && (!w.Listed || w.listCounts()):
		return actions
	case len(current.Keys) == 0 && unknownForm:
		return []Action{because(a, Report, NotComparable)}
	case !w.listCounts():
		return []Action{because(a, Report, ListIncomplete)}
	}
	return []Action{because(a, Report, Unidentified)}
}

// listCounts reports whether the registry's list holds the current key. One that does not is
// incomplete, and its absences are not evidence.
func (w World) listCounts() bool {
	current, _ := w.find(vault.Current)
	return slices.ContainsFunc(w.List, func(k quilt.APIKey) bool {
		return k.ID == current.Key() || len(current.Keys) == 0 && (current.holds(k) || !current.Holds.comparable(k))
	})
}

// comparable reports whether the fingerprint has a form that says whether the key is the version's.
func (h Holding) comparable(k quilt.APIKey) bool {
	return h.Key.Fits(k.Fingerprint) || h.Key.Contradicts(k.Fingerprint)
}

// planOrphans decides on keys that no version's label names. One is ours to revoke if its name has
// this secret's mark, it is older than the longest run of a createSecret that might still store it,
// and its fingerprint shows that no version holds it: not one with another key's label either,
// because a person may have moved that. The form of fingerprints is known if one of them fits the
// current key.
func planOrphans(w World, p Policy) []Action {
	if !w.listCounts() {
		return nil
	}
	current, _ := w.find(vault.Current)
	formKnown := slices.ContainsFunc(w.List, current.holds)
	var actions []Action
	for _, k := range w.candidates() {
		a := Action{Kind: Report, KeyID: k.ID, Key: &k}
		age := w.RegistryNow.Sub(k.CreatedAt)
		held, inField, unread, unknownForm := w.holders(k)
		if a.Version = held.ID; held.ID != "" && len(held.Keys) == 0 &&
			(held.Has(vault.Current) || held.Has(vault.Pending)) {
			continue // its label will follow
		}
		switch {
		case held.ID != "" && len(held.Keys) == 0: // superseded without a label: never acted on, so a person must
			a = because(a, Report, Unlabelled)
		case held.ID != "" || inField:
			a = because(a, Report, Ambiguous)
		case age < p.OrphanAge:
			a.Until = w.Now.Add(p.OrphanAge - age)
			a = because(a, Report, OrphanTooYoung)
		case unread:
			a = because(a, Report, UnreadOrphans)
		case unknownForm || !formKnown:
			a = because(a, Report, NotComparable)
		default:
			a = because(a, RevokeOrphan, Orphaned)
		}
		actions = append(actions, a)
	}
	return actions
}

// holders is the version that holds the key, as far as its fingerprint shows; whether AWSCURRENT's
// or AWSPENDING's value may contain it in another field; and whether a version that cannot be read,
// or compared, might hold it.
func (w World) holders(k quilt.APIKey) (held Version, inField, unread, unknownForm bool) {
	for _, v := range w.Versions {
		switch known := v.Holds.comparable(k); {
		case v.holds(k):
			held = v
		case v.Holds.State == Unread, v.Holds.State == Unreadable, v.Holds.State == Locked:
			unread = true
		case v.Holds.State == Holds && !known:
			unknownForm = true
		case v.Has(vault.Current) || v.Has(vault.Pending):
			inField = inField || known && v.Holds.Value.MayContain(k.Fingerprint)
		}
	}
	return held, inField, unread, unknownForm
}

// candidates are the valid keys in the list that were made for this secret, and that no label
// names.
func (w World) candidates() (keys []quilt.APIKey) {
	labelled, ours := w.labelled(), w.ours()
	for _, k := range w.List {
		if ours(k) && !labelled[k.ID] && quilt.SameUser(k.UserEmail, w.Owner) && k.Status != quilt.Expired {
			keys = append(keys, k)
		}
	}
	return keys
}
