package report

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
)

// The patterns select the lines that [Journal.Add] reads. Other lines, such as those of hourly
// sweeps with nothing to do, are not fetched from CloudWatch Logs.
const (
	rotatePattern = `{ ($.step = "createSecret") || ($.step = "finishSecret") || ($.level = "ERROR") }`
	revokePattern = `{ ($.action = "revoke") || ($.action = "revoke-orphan") || ($.action = "unlabel") || ` +
		`($.reason = "expired-not-revoked") || ($.outcome = "paused") || ($.level = "WARN") || ($.level = "ERROR") }`
)

// A line is a log line of one of the functions (rotation.Handler, revocation.Handler).
type line struct {
	Level, Step, Outcome, Secret, Version, Fingerprint, Owner, ErrorType, Error string

	KeyID           string `json:"keyId"`
	ReplacedVersion string `json:"replacedVersion"` // since a release that also names the replaced key
	ReplacedKeyID   string `json:"replacedKeyId"`
	Action          revocation.Kind
	Reason          revocation.Reason
	PauseReason     string
	Actions         *int // of the line of a whole sweep

	at time.Time
}

// A Journal has the log lines about one secret: a line for each rotation and each revoked key.
// Lines that every sweep repeats, such as those of a held key, are kept as periods, so the size
// does not depend on the number of sweeps.
type Journal struct {
	created  map[string]line // by version: when its key was stored
	cutOvers map[string]line // by version: when it became current
	ends     []line          // of keys
	periods  map[periodKey][]*period
}

type periodKey struct {
	kind, version, key, reason string
}

// A period is a time in which the functions logged the same state again and again.
type period struct {
	periodKey
	from, to time.Time
	times    int
	last     line
}

// Journals are the journals of all secrets, by ARN.
type Journals struct {
	BySecret map[string]*Journal
	Unread   int // lines that the functions did not write
}

// NewJournals returns journals of the secrets with these ARNs. Lines of others are dropped.
func NewJournals(arns ...string) *Journals {
	j := &Journals{BySecret: map[string]*Journal{}}
	for _, arn := range arns {
		j.BySecret[arn] = &Journal{map[string]line{}, map[string]line{}, nil, map[periodKey][]*period{}}
	}
	return j
}

// Add reads a line. Other programs may write to the same log group, so a line of another form is
// only counted.
func (j *Journals) Add(at time.Time, text string) {
	var l line
	if json.Unmarshal([]byte(text), &l) != nil {
		j.Unread++
		return
	}
	journal := j.BySecret[l.Secret]
	if journal == nil {
		return
	}
	l.at = at.UTC()
	for _, field := range []*string{&l.Version, &l.Fingerprint, &l.Owner, &l.ErrorType, &l.KeyID, &l.ReplacedVersion,
		&l.ReplacedKeyID, &l.PauseReason, (*string)(&l.Reason)} {
		*field = redact.Clip(*field, 256)
	}
	l.Error = redact.Clip(l.Error, 300)
	journal.add(l)
}

func (j *Journal) add(l line) {
	failed := l.Error != "" || l.ErrorType != ""
	switch {
	case l.Step != "" && failed:
		j.extend(periodKey{failedRotation, l.Version, "", l.ErrorType}, l)
	case l.Step == string(rotation.Create):
		keepFirst(j.created, l)
	case l.Step == string(rotation.Finish):
		j.cutOver(l)
	case l.Step != "":
	case l.Action != "" && failed:
		j.extend(periodKey{failedAction, l.Version, l.KeyID, string(l.Action)}, l)
	case l.Action == revocation.Hold:
		j.extend(periodKey{held, l.Version, l.KeyID, string(l.Reason)}, l)
	case l.Action == revocation.Revoke, l.Action == revocation.RevokeOrphan, l.Action == revocation.Unlabel,
		l.Reason == revocation.NotRevoked:
		j.ends = append(j.ends, l)
	case l.Action != "":
		j.extend(periodKey{attention, l.Version, l.KeyID, string(l.Reason)}, l)
	case l.Outcome == string(revocation.Paused):
		j.extend(periodKey{paused, "", "", l.PauseReason}, l)
	case failed && l.Actions != nil:
		j.extend(periodKey{failedSweep, "", "", l.ErrorType}, l)
	}
}

func keepFirst(lines map[string]line, l line) {
	if first, ok := lines[l.Version]; !ok || l.at.Before(first.at) {
		lines[l.Version] = l
	}
}

// cutOver keeps the line of the cut-over itself, which names the replaced version. It drops the
// line of a later call, which found that the cut-over was done. The lines of older releases name no
// version. Then the first line counts.
func (j *Journal) cutOver(l line) {
	if known, ok := j.cutOvers[l.Version]; ok && known.ReplacedVersion == "" && l.ReplacedVersion != "" {
		delete(j.cutOvers, l.Version)
	} else if ok && known.ReplacedVersion != "" && l.ReplacedVersion == "" {
		return
	}
	keepFirst(j.cutOvers, l)
}

// lull is the maximum time between two lines of the same period. Sweeps run every hour, and one may
// be missed.
const lull = 26 * time.Hour

// extend adds a line to the period that it belongs to. Pages of CloudWatch Logs may come out of
// order, so the periods are joined in the end.
func (j *Journal) extend(key periodKey, l line) {
	list := j.periods[key]
	for _, p := range list {
		if !l.at.Before(p.from.Add(-lull)) && !l.at.After(p.to.Add(lull)) {
			p.add(period{from: l.at, to: l.at, times: 1, last: l})
			return
		}
	}
	j.periods[key] = append(list, &period{key, l.at, l.at, 1, l})
}

func (p *period) add(o period) {
	if o.from.Before(p.from) {
		p.from = o.from
	}
	if !o.to.Before(p.to) {
		p.to, p.last = o.to, o.last
	}
	p.times += o.times
}

// all returns the periods of all kinds, the earliest first.
func (j *Journal) all() []period {
	var joined []period
	for _, list := range j.periods {
		slices.SortFunc(list, func(a, b *period) int { return a.from.Compare(b.from) })
		last := -1
		for _, p := range list {
			if last >= 0 && !p.from.After(joined[last].to.Add(lull)) {
				joined[last].add(*p)
				continue
			}
			joined, last = append(joined, *p), len(joined)
		}
	}
	slices.SortFunc(joined, func(a, b period) int {
		return cmp.Or(a.from.Compare(b.from), cmp.Compare(a.kind, b.kind), cmp.Compare(a.version, b.version),
			cmp.Compare(a.key, b.key), cmp.Compare(a.reason, b.reason))
	})
	return joined
}

// failures counts the steps of a rotation that failed.
func (j *Journal) failures(version string) (n int) {
	for key, list := range j.periods {
		if key.kind == failedRotation && key.version == version {
			for _, p := range list {
				n += p.times
			}
		}
	}
	return n
}
