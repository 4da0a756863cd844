package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/settings/schedule"
	"quilt-rotate/internal/vault"
)

// Facts are the data that was read about one secret.
type Facts struct {
	Secret   vault.Secret
	Versions []awsclient.DatedVersion
	Journal  *Journal
	Trail    *Changes // of all keys; nil: there is no audit trail

	RotateLog Coverage
	RevokeLog Coverage
}

// Coverage is how far back a log can be read.
type Coverage struct {
	From  time.Time // time of the oldest possible line; zero: the log cannot be read
	Limit string    // why the log does not go back as far as the report, or ""
}

func (c Coverage) sees(t time.Time) bool { return !c.From.IsZero() && !t.Before(c.From) }

// Window is the time that the report is about.
type Window struct {
	Now, Since time.Time
	MaxGap     time.Duration // 0: as the schedule of each secret says
}

// Kinds of exceptions.
const (
	held           = "held"
	paused         = "paused"
	attention      = "needs-a-person"
	failedRotation = "rotation-failed"
	failedAction   = "revocation-failed"
	failedSweep    = "sweep-failed"
	orphan         = "orphan-revoked"
	off            = "rotation-off"
	moved          = "current-moved"
	deleted        = "deleted"
)

// Evidence draws the conclusions from the facts.
func (f Facts) Evidence(w Window) Secret {
	s := Secret{
		Secret: f.Secret.Name, ARN: f.Secret.ARN, Created: moment(f.Secret.Created), Deleted: f.Secret.Deleted,
		RotationOn: f.Secret.Rotation.Enabled, Rotations: []Rotation{}, Gaps: []Gap{}, Exceptions: []Exception{},
		Unseen: []string{},
	}
	s.setPolicy(f.Secret.Rotation, w.MaxGap)
	b := builder{Facts: f, Window: w, dated: map[string]awsclient.DatedVersion{}}
	for _, v := range f.Versions {
		b.dated[v.ID] = v
	}
	all := b.history()
	for i := range all {
		all[i].Replaced = b.replaced(all, i)
	}
	s.Gaps = b.gaps(all, Gap{Length: s.MaxGap})
	s.Exceptions = b.exceptions(all)
	for _, r := range all {
		if !r.Time.Before(w.Since) {
			s.Rotations = append(s.Rotations, r)
		}
	}
	s.Unseen = append(s.Unseen, b.unseen(s, all)...)
	return s
}

// setPolicy sets the maximum time between two rotations: the requested one, or the longest time
// that the schedule and its window allow.
func (s *Secret) setPolicy(r vault.Rotation, asked time.Duration) {
	if r.Rules != (vault.RotationRules{}) && (r.Enabled || r.Function != "") {
		s.Schedule = r.Rules.String()
	}
	if asked > 0 {
		s.MaxGap, s.Policy = Span(asked), "--max-gap"
		return
	}
	if !r.Enabled {
		return
	}
	rules, err := schedule.Days(r.Rules.AfterDays), error(nil)
	if r.Rules.Schedule != "" {
		rules, err = schedule.Parse(r.Rules.Schedule)
	}
	window, windowErr := rules.ParseWindow(r.Rules.Window)
	if err != nil || windowErr != nil || rules.Longest == 0 {
		return
	}
	s.MaxGap, s.Policy = Span(rules.Longest+window+revocation.OverdueAfter), "the schedule and its window"
}

type builder struct {
	Facts
	Window
	dated map[string]awsclient.DatedVersion
}

// history returns the versions that became current, the oldest first.
func (b *builder) history() []Rotation {
	var all []Rotation
	replaced := map[string]bool{}
	for _, l := range b.Journal.cutOvers {
		replaced[l.ReplacedVersion] = true
		r := Rotation{Time: l.at, Kind: Rotated, VersionID: l.Version, KeyID: l.KeyID, Fingerprint: l.Fingerprint,
			CreatedBy: l.Owner, Failures: b.Journal.failures(l.Version), Sources: []Source{Log}}
		if create, ok := b.Journal.created[l.Version]; ok {
			r.KeyID, r.CreatedBy = cmp.Or(r.KeyID, create.KeyID), cmp.Or(r.CreatedBy, create.Owner)
			r.Fingerprint = cmp.Or(r.Fingerprint, create.Fingerprint)
		}
		if _, ok := b.dated[l.Version]; ok {
			r.Sources = append(r.Sources, Versions)
		}
		if revocation.OnNeed(l.Version) {
			r.Kind = OnNeed
		}
		all = append(all, r)
	}
	for _, v := range b.Versions {
		if _, logged := b.Journal.cutOvers[v.ID]; logged {
			continue
		}
		if kind := b.unlogged(v, replaced[v.ID]); kind != "" {
			create := b.Journal.created[v.ID]
			all = append(all, Rotation{Time: v.Created, Kind: kind, VersionID: v.ID,
				KeyID: cmp.Or(v.Key(), create.KeyID), Fingerprint: create.Fingerprint, CreatedBy: create.Owner,
				Failures: b.Journal.failures(v.ID), Sources: []Source{Versions},
				unsure: kind == Unknown && !v.Has(vault.Current) && !v.Has(vault.Previous) && !replaced[v.ID]})
		}
	}
	slices.SortFunc(all, func(x, y Rotation) int {
		return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.VersionID, y.VersionID))
	})
	for i := range all {
		if by := b.Trail.creator(all[i].KeyID); by != "" {
			all[i].CreatedBy, all[i].Sources = by, append(all[i].Sources, Trail)
		}
	}
	return all
}

// unlogged returns the kind of a version that became current without a log line, or "" if nothing
// shows that it became current.
func (b *builder) unlogged(v awsclient.DatedVersion, replaced bool) Kind {
	_, created := b.Journal.created[v.ID]
	current := v.Has(vault.Current) || v.Has(vault.Previous) || replaced
	first := !b.Secret.Created.IsZero() && v.Created.Sub(b.Secret.Created).Abs() < time.Minute
	last := b.Secret.Rotation.Last
	switch {
	case v.Has(vault.Pending) && !v.Has(vault.Current):
		return ""
	case first:
		return First
	case current && created, current && v.Has(vault.Current) && !last.IsZero() && !last.Before(v.Created) &&
		last.Sub(v.Created) < day:
		if revocation.OnNeed(v.ID) {
			return OnNeed
		}
		return Rotated // Secrets Manager says when it last rotated the secret
	case current && b.RotateLog.sees(v.Created):
		return Written
	case current, len(v.Keys)+len(v.Marks) > 0 && !b.RotateLog.sees(v.Created):
		return Unknown
	}
	return ""
}

// replaced returns the key that the i-th version replaced, and whether it was revoked.
func (b *builder) replaced(all []Rotation, i int) *Replaced {
	old := Replaced{}
	if l, ok := b.Journal.cutOvers[all[i].VersionID]; ok && l.ReplacedVersion != "" {
		old.VersionID, old.KeyID = l.ReplacedVersion, l.ReplacedKeyID
	} else if i > 0 {
		old.VersionID, old.Derived = all[i-1].VersionID, true
	} else {
		return nil
	}
	var before Rotation
	if at := slices.IndexFunc(all, func(r Rotation) bool { return r.VersionID == old.VersionID }); at >= 0 {
		before = all[at]
	}
	version := b.dated[old.VersionID]
	old.KeyID = cmp.Or(old.KeyID, before.KeyID, version.Key())
	if end := b.lastEnd(old); old.KeyID == "" {
		old.KeyID = end.KeyID
	}
	old.Fingerprint = cmp.Or(before.Fingerprint, b.lastEnd(old).Fingerprint)
	b.age(&old, before, version, all[i].Time)
	old.End = b.end(old)
	return &old
}

// age finds out how old the key was at the rotation.
func (b *builder) age(old *Replaced, before Rotation, version awsclient.DatedVersion, at time.Time) {
	var since time.Time
	source := Versions
	switch created, ok := b.Journal.created[old.VersionID]; {
	case !b.Trail.created(old.KeyID).IsZero():
		since, source = b.Trail.created(old.KeyID), Trail
	case ok:
		since, source = created.at, Log
	case !version.Created.IsZero():
		since, old.AgeAtLeast = version.Created, !before.Kind.ByRotation()
	case !before.Time.IsZero():
		since, source, old.AgeAtLeast = before.Time, Log, true
	default:
		return
	}
	age := Span(max(0, at.Sub(since)))
	old.Age, old.AgeSources = &age, []Source{source}
}

// lastEnd returns the last log line about the revocation of a key.
func (b *builder) lastEnd(old Replaced) (end line) {
	for _, l := range b.Journal.ends {
		sameVersion := l.Version != "" && l.Version == old.VersionID
		unnamed := old.KeyID == "" || l.KeyID == ""
		sameKey := l.KeyID != "" && l.KeyID == old.KeyID
		if (sameKey || sameVersion && unnamed) && !l.at.Before(end.at) {
			end = l
		}
	}
	return end
}

// end returns whether a key was revoked, from the sweep's line, or from the trail, or from the
// labels.
func (b *builder) end(old Replaced) End {
	version := b.dated[old.VersionID]
	at, by := b.Trail.revoked(old.KeyID)
	switch l := b.lastEnd(old); {
	case version.Has(vault.Current):
		return End{State: Again, Sources: []Source{Versions}}
	case !l.at.IsZero():
		e := End{State: Gone, Time: &l.at, RefusedSeen: true, Reason: string(l.Reason), Sources: []Source{Log}}
		switch {
		case l.Reason == revocation.NotRevoked, l.Action == revocation.Unlabel && l.Reason == revocation.Expired:
			e.State, e.RefusedSeen = Expired, false
		case l.Action == revocation.Revoke:
			e.State = Revoked
		}
		if !at.IsZero() {
			e.By, e.Sources = by, append(e.Sources, Trail)
		}
		return e
	case !at.IsZero():
		return End{State: Elsewhere, Time: &at, By: by, Sources: []Source{Trail}}
	}
	for _, m := range version.Marks {
		if m.Until.After(b.Now) {
			return End{State: InGrace, Until: moment(m.Until), Sources: []Source{Versions}}
		}
	}
	if len(version.Keys) > 0 {
		return End{State: Waiting, Sources: []Source{Versions}}
	}
	return End{State: NotSeen, Sources: []Source{}}
}

// gaps returns the times without a rotation that are longer than the policy allows. The time before
// the first rotation counts from the first version, and the time after the last one until now.
func (b *builder) gaps(all []Rotation, most Gap) []Gap {
	found := []Gap{}
	if most.Length == 0 {
		return found
	}
	from, atLeast := b.Since, true
	if b.Secret.Created.After(b.Since) {
		from, atLeast = b.Secret.Created, false
	}
	sources := []Source{Versions}
	judge := func(to time.Time, goesOn bool) {
		if length := to.Sub(from); length > time.Duration(most.Length) && to.After(b.Since) {
			g := Gap{From: from, To: moment(to), Length: Span(length), AtLeast: atLeast,
				Covered: b.RotateLog.sees(from), Sources: sources}
			if goesOn {
				g.To = nil
			}
			found = append(found, g)
		}
	}
	for i, r := range all {
		if r.Kind == Written && i > 0 || r.unsure {
			continue // it may have changed another field, or may never have become current
		}
		judge(r.Time, false)
		from, atLeast, sources = r.Time, false, r.Sources
	}
	if !b.Secret.Deleted {
		judge(b.Now, true)
	}
	return found
}

func (b *builder) exceptions(all []Rotation) []Exception {
	list := []Exception{}
	for _, p := range b.Journal.all() {
		if p.to.Before(b.Since) {
			continue
		}
		e := Exception{Kind: p.kind, From: p.from, To: moment(p.to), Times: p.times, Version: p.version, KeyID: p.key,
			Reason: p.reason, Sources: []Source{Log}}
		switch p.kind {
		case held:
			e.What = "the replaced key was kept past its grace period, because it was still used"
		case paused:
			e.What = "the sweeps of the secret were paused, so no key was revoked"
		case attention:
			e.What = "the sweep left the key to a person"
		case failedRotation:
			e.What, e.Reason = "a step of a rotation failed; the current key stayed", e.Reason+": "+p.last.Error
			if _, done := b.Journal.cutOvers[p.version]; done {
				e.What = "a step of a rotation failed; the rotation succeeded later"
			}
		case failedAction:
			e.What, e.Reason = "the sweep failed to "+p.reason+" the key, and tried again", p.last.Error
		case failedSweep:
			e.What, e.Reason = "the sweep failed", e.Reason+": "+p.last.Error
		}
		list = append(list, e)
	}
	for _, l := range b.Journal.ends {
		if l.Action == revocation.RevokeOrphan && !l.at.Before(b.Since) {
			list = append(list, Exception{Kind: orphan, From: l.at, KeyID: l.KeyID, Reason: string(l.Reason),
				What:    "a key that no version held, left by an interrupted rotation, was revoked",
				Sources: []Source{Log}})
		}
	}
	slices.SortStableFunc(list, func(x, y Exception) int { return x.From.Compare(y.From) })
	return append(list, b.now(all)...)
}

// now returns the exceptions that Secrets Manager shows at the moment.
func (b *builder) now(all []Rotation) (list []Exception) {
	note := func(kind, what, reason, version string) {
		list = append(list, Exception{Kind: kind, From: b.Now, What: what, Reason: reason, Version: version,
			Sources: []Source{Versions}})
	}
	if until := managed.PausedUntil(b.Secret); until != nil {
		note(paused, "the sweeps of the secret are paused until "+clock(*until),
			b.Secret.Tags[settings.TagPauseReason], "")
	}
	if b.Secret.Deleted {
		note(deleted, "the secret is marked for deletion", "", "")
	} else if !b.Secret.Rotation.Enabled {
		note(off, "rotation is switched off", "", "")
	}
	current, _ := b.Secret.Holder(vault.Current)
	if i := slices.IndexFunc(all, func(r Rotation) bool { return r.VersionID == current.ID }); i >= 0 &&
		slices.ContainsFunc(all[i+1:], func(r Rotation) bool { return r.Kind.ByRotation() }) {
		note(moved, "AWSCURRENT is not on the version of the last rotation: somebody moved it back, by quilt-rotate "+
			"rollback or by hand; the time is not known", "", current.ID)
	}
	return list
}

// unseen returns what is not known about the secret.
func (b *builder) unseen(s Secret, all []Rotation) (list []string) {
	for _, c := range []Coverage{b.RotateLog, b.RevokeLog} {
		if c.Limit != "" && b.Secret.Created.Before(c.From) {
			list = append(list, c.Limit)
		}
	}
	older, derived, notSeen := 0, 0, 0
	for _, v := range b.Versions {
		listed := slices.ContainsFunc(all, func(r Rotation) bool { return r.VersionID == v.ID })
		if len(v.Stages) == 0 && !listed && !b.RotateLog.sees(v.Created) && !v.Created.Before(b.Since) {
			older++
		}
	}
	for _, r := range s.Rotations {
		if r.Replaced != nil && r.Replaced.Derived {
			derived++
		}
		if r.Replaced != nil && r.Replaced.End.State == NotSeen {
			notSeen++
		}
	}
	if older > 0 {
		list = append(list, fmt.Sprintf("%s without labels are older than the log: whether they became current is "+
			"not known", plural(older, "version")))
	}
	if derived > 0 {
		list = append(list, fmt.Sprintf("the replaced version is derived from the order of the versions in "+
			"%s: no log line names it (an older release wrote the line, or there is no line), and a rollback in "+
			"between is not seen", plural(derived, "case")))
	}
	if notSeen > 0 {
		text := plural(notSeen, "replaced key") + ": no log line of a sweep and no label shows whether it was revoked"
		if b.Trail == nil {
			text += "; a revocation by a person or a command is only in the audit trail"
		}
		list = append(list, text)
	}
	if s.MaxGap == 0 {
		list = append(list, "gaps are not reported, because no schedule says how often to rotate the key "+
			"(give --max-gap)")
	}
	return list
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
