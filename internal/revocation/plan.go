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

// Plan returns what must be done, given the state of the two services. It is pure and stateless, so
// a failed revocation is planned again.
//
// If a label is unknown, or the current or the pending value cannot be read, nothing is done.
// Otherwise the rules in planVersion, planKey and planMarked decide on each version: the first rule
// that applies counts. While a rotation is under way, versions are only held or reported. The rules
// in planOrphans decide on orphans, also during a rotation.
func Plan(s Snapshot, p Policy) []Action {
	for _, v := range s.Versions {
		if len(v.Unknown) > 0 {
			return []Action{{Kind: Report, Reason: UnknownLabel, Version: v.ID}}
		}
	}
	if v, bad := s.unreadable(); bad {
		return []Action{{Kind: Report, Reason: NoReference, Version: v.ID}}
	}
	var actions []Action
	for _, v := range s.Versions {
		actions = append(actions, planVersion(s, p, v)...)
	}
	actions = append(actions, planCurrent(s)...)
	for i, a := range actions {
		if s.underWay() && a.Kind != Report && a.Kind != Hold {
			actions[i] = Action{Kind: Report, Reason: RotationUnder, Version: a.Version, KeyID: a.KeyID, Key: a.Key}
		}
	}
	return append(actions, planOrphans(s, p)...)
}

func planVersion(s Snapshot, p Policy, v Version) []Action {
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
		actions = append(actions, planKey(s, p, v, id))
	}
	return actions
}

// planKey decides on a key that a superseded version's label names.
func planKey(s Snapshot, p Policy, v Version, id string) Action {
	row, known := s.key(id)
	answer, asked := s.Answers[id]
	a := Action{Kind: Report, Version: v.ID, KeyID: id, Code: v.Holds.Code}
	if known {
		a.Key = &row
	}
	readable, expired := v.Holds.State == Holds, known && row.Status == quilt.Expired
	next, inherited := s.successor(v)
	switch {
	case !readable && expired:
		return because(a, Unlabel, Expired)
	case v.Holds.State == Locked:
		return because(a, Report, Undecryptable)
	case !readable:
		return because(a, Report, UnreadableKey)
	case known && v.Holds.Key.Contradicts(row.Fingerprint), len(v.Keys) > 1 && s.protects(v.Holds.Key):
		return because(a, Report, Mislabelled)
	case inherited && known:
		a.Version, a.From = next.ID, v.ID
		return because(a, Relabel, KeyMoved)
	// The grace period starts again when the key is no longer in those values.
	case s.protects(v.Holds.Key) && len(v.Marks) > 0:
		return because(a, Unmark, CurrentAgain)
	case s.protects(v.Holds.Key):
		return because(a, Report, SameKey)
	case !known && !asked:
		return because(a, Report, NotAsked)
	case !known && !answer.Logins && (answer.Absent || s.seenAsOurs(v, p.OwnerSince) || s.replacedAsRefused(v)):
		return because(a, Unlabel, Gone)
	case !known && !answer.Logins && len(v.Marks) > 0 && s.Now.After(lastMark(v).Add(longestLife)):
		return because(a, Unlabel, Expired)
	case !known:
		return because(a, Report, Foreign)
	case expired && (!quilt.SameUser(row.UserEmail, s.Owner) || s.madeForAnother(row)):
		return because(a, Unlabel, Expired)
	case !quilt.SameUser(row.UserEmail, s.Owner):
		a.Until = s.expiry(row)
		return because(a, Report, Foreign)
	case s.madeForAnother(row):
		a.Until = s.expiry(row)
		return because(a, Report, OtherSecret)
	case s.ambiguous(row):
		return because(a, Report, Ambiguous)
	case len(v.Marks) == 0:
		return because(a, Mark, Superseded)
	}
	return planMarked(s, p, v, row, a)
}

// planMarked decides on a superseded key by time and use. If other keys have the same fingerprint,
// only the label says which of them the version holds, and a person may have moved the label. So
// the uses of all these keys count.
func planMarked(s Snapshot, p Policy, v Version, row quilt.APIKey, a Action) Action {
	since, graceEnd, promotable := s.times(v, p)
	expired, recorded, used := true, false, false
	for _, k := range s.sameFingerprint(row) {
		expired = expired && k.Status == quilt.Expired
		recorded = recorded || k.LastUsedAt != nil
		used = used || k.LastUsedAt != nil && s.RegistryNow.Before(k.LatestUse().Add(p.Quiet))
	}
	holdEnd, limitOver := s.expiry(row), false
	if p.HoldLimit != nil {
		limit := graceEnd.Add(*p.HoldLimit)
		holdEnd, limitOver = slices.MinFunc([]time.Time{holdEnd, limit}, time.Time.Compare), !s.Now.Before(limit)
	}
	switch {
	case promotable:
		a.Until = since.Add(p.OrphanAge)
		return because(a, Report, MayBePromoted)
	case slices.ContainsFunc(s.Lagging, func(r vault.Replica) bool { return r.Status == replicationFailed }):
		return because(a, Report, ReplicaFailed)
	case len(s.Lagging) > 0:
		return because(a, Report, ReplicaLag)
	case s.Now.Before(graceEnd):
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

// times looks at the marked versions that hold the same key as v. It returns when the last of them
// was superseded, and when the last of their grace periods ends. promotable reports whether one of
// them was never current and a stalled finishSecret could still promote it.
func (s Snapshot) times(v Version, p Policy) (since, end time.Time, promotable bool) {
	for _, x := range s.Versions {
		if len(x.Marks) > 0 && x.Holds.Key.Equal(v.Holds.Key) {
			since, end = later(since, lastMark(x)), later(end, graceEnd(x, p))
			promotable = promotable || !x.Has(vault.Previous) && s.Now.Before(lastMark(x).Add(p.OrphanAge))
		}
	}
	return since, end, promotable
}

// longestLife is how long a key can be valid (quilt: docs/api-reference/authentication.md).
const longestLife = 365 * 24 * time.Hour

// replicationFailed is the status of a replica region that no longer gets new values.
const replicationFailed = "Failed"

// expiry returns when a key expires, by Secrets Manager's clock.
func (s Snapshot) expiry(row quilt.APIKey) time.Time {
	return row.ExpiresAt.Add(s.Now.Sub(s.RegistryNow))
}

// graceEnd returns when the grace period of a marked version ends. It is the later of two times:
// the end by the current configuration, and the end that was promised when the version was marked.
// So a tool that removes the tag shortens no grace period.
func graceEnd(v Version, p Policy) time.Time {
	end := lastMark(v).Add(p.Grace)
	for _, m := range v.Marks {
		end = later(end, m.Until)
	}
	return end
}

// lastMark returns the time of the version's mark. If two sweeps marked the version at the same
// time, the later mark counts.
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

// planCurrent reports a current key whose id is not known or is wrong. If a person moved the label
// of a superseded key to the current version, nothing else leads to that key.
func planCurrent(s Snapshot) (actions []Action) {
	current, _ := s.find(vault.Current)
	for _, id := range current.Keys {
		a := Action{Version: current.ID, KeyID: id}
		row, known := s.key(id)
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
	_, known := s.currentKey()
	unknownForm := slices.ContainsFunc(s.List, func(k quilt.APIKey) bool { return !current.Holds.comparable(k) })
	a := Action{Version: current.ID, KeyID: current.Key()}
	switch {
	case len(actions) > 0, known && (!s.Listed || s.listCounts()):
		return actions
	case len(current.Keys) == 0 && unknownForm:
		return []Action{because(a, Report, NotComparable)}
	case !s.listCounts():
		return []Action{because(a, Report, ListIncomplete)}
	}
	return []Action{because(a, Report, Unidentified)}
}

// listCounts reports whether the registry's list contains the current key. A list without it is
// incomplete, so a key that is missing in it may exist.
func (s Snapshot) listCounts() bool {
	current, _ := s.find(vault.Current)
	return slices.ContainsFunc(s.List, func(k quilt.APIKey) bool {
		return k.ID == current.Key() || len(current.Keys) == 0 && (current.holds(k) || !current.Holds.comparable(k))
	})
}

// comparable reports whether the fingerprint has a known form, which shows whether the version
// holds the key.
func (h Holding) comparable(k quilt.APIKey) bool {
	return h.Key.Fits(k.Fingerprint) || h.Key.Contradicts(k.Fingerprint)
}

// planOrphans decides on keys that no version's label names. A key is revoked on three conditions:
//
//   - Its name has this secret's mark.
//   - It is older than the orphan age, so no createSecret can still store it.
//   - Its fingerprint shows that no version holds it. This includes versions with the label of
//     another key, because a person may have moved that label.
//
// The form of fingerprints is known if one of them fits the current key.
func planOrphans(s Snapshot, p Policy) []Action {
	if !s.listCounts() {
		return nil
	}
	current, _ := s.find(vault.Current)
	formKnown := slices.ContainsFunc(s.List, current.holds)
	var actions []Action
	for _, k := range s.candidates() {
		a := Action{Kind: Report, KeyID: k.ID, Key: &k}
		age := s.RegistryNow.Sub(k.CreatedAt)
		held, inField, unread, unknownForm := s.holders(k)
		if a.Version = held.ID; held.ID != "" && len(held.Keys) == 0 &&
			(held.Has(vault.Current) || held.Has(vault.Pending)) {
			continue // a rotation will attach its label
		}
		switch {
		case held.ID != "" && len(held.Keys) == 0: // superseded without a label: a person must decide
			a = because(a, Report, Unlabelled)
		case held.ID != "" || inField:
			a = because(a, Report, Ambiguous)
		case age < p.OrphanAge:
			a.Until = s.Now.Add(p.OrphanAge - age)
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

// holders looks for the version that holds the key, by its fingerprint. inField reports whether the
// value of AWSCURRENT or AWSPENDING may contain the key in another field. unread and unknownForm
// report whether a version that cannot be read, or cannot be compared, may hold it.
func (s Snapshot) holders(k quilt.APIKey) (held Version, inField, unread, unknownForm bool) {
	for _, v := range s.Versions {
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

// candidates returns the valid keys in the list that were created for this secret and that no label
// names.
func (s Snapshot) candidates() (keys []quilt.APIKey) {
	labelled, ours := s.labelled(), s.ours()
	for _, k := range s.List {
		if ours(k) && !labelled[k.ID] && quilt.SameUser(k.UserEmail, s.Owner) && k.Status != quilt.Expired {
			keys = append(keys, k)
		}
	}
	return keys
}
