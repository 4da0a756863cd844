// Package audit reports the API keys of a registry with findings, such as unused or expiring.
//
// [New] checks a list of keys and returns a [Report], which is written as a table, as JSON or as
// CSV. The time, the thresholds and the secrets that hold keys are input. The package sends no
// requests and revokes nothing.
//
//   - Dates of keys are compared with the registry's time.
//   - If the data for a finding is missing, no key has the finding, and it is in [Report.Unjudged]. For
//     example, no key has a date of last use, or not all managed secrets were read. Every format shows
//     this except CSV, which has only rows.
//   - Names are escaped in every format, so that they cannot become formulas, escape sequences or
//     additional lines.
//   - Only the fingerprint of a key is shown, even if a registry returns a whole key instead, or a name
//     contains a key.
package audit

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
)

// Default thresholds.
const (
	DefaultUnusedDays   = 90
	DefaultExpiringDays = 14
)

// Options are the thresholds, and the data about the secrets.
type Options struct {
	Now      time.Time // the registry's clock when it gave the list
	Registry string    // its host
	AskedBy  string    // the e-mail address of the user who asked
	Scope    string    // which secrets were read; "" if none could be listed
	Notes    []string  // other remarks about the secrets
	// Secret returns the managed secret that holds a key. It is nil if no secret was read.
	Secret func(quilt.APIKey) string
	// Elsewhere reports whether a name says that the key was created for a secret of another
	// account or region.
	Elsewhere func(name string) bool
	// Unread is why a secret may hold a key that Secret does not find. It is "" if all secrets were
	// read.
	Unread       string
	UnusedDays   int // [DefaultUnusedDays] if it is zero
	ExpiringDays int // [DefaultExpiringDays] if it is zero
}

// Report has all keys with their findings, and totals. Its times are UTC, to the second.
type Report struct {
	Registry     string
	AskedBy      string
	Scope        string
	At           time.Time
	UnusedDays   int
	ExpiringDays int
	Unjudged     []Finding // findings that could not be checked, in the order of [Findings]
	Notes        []string  // why, one sentence each
	Statuses     []StatusTotal
	Owners       []OwnerTotal   // the one with the most keys first
	Totals       []FindingTotal // all of [Findings], in their order
	Keys         []Key          // the worst first
}

// StatusTotal counts the keys of a status.
type StatusTotal struct {
	Status quilt.Status
	Keys   int
}

// OwnerTotal counts the keys of a user.
type OwnerTotal struct {
	Owner    string `json:"owner"`
	Keys     int    `json:"keys"`
	Expired  int    `json:"expired"`
	Findings int    `json:"findings"` // keys that have one or more
}

// FindingTotal counts the keys that have a finding.
type FindingTotal struct {
	Finding  Finding
	Keys     int
	Unjudged bool // Keys is zero then
}

// Key is one key with its findings.
type Key struct {
	ID           string       `json:"keyId"`
	Name         string       `json:"keyName"`
	Fingerprint  string       `json:"fingerprint"`
	Owner        string       `json:"owner"`
	Status       quilt.Status `json:"status"`
	CreatedAt    time.Time    `json:"createdAt"`
	ExpiresAt    time.Time    `json:"expiresAt"`
	LastUsedAt   *time.Time   `json:"lastUsedAt"`
	DaysToExpiry *int         `json:"daysToExpiry"` // whole days that are left; nil: it has expired
	DaysUnused   *int         `json:"daysUnused"`   // whole days since its last use; nil: it has none
	Secret       *string      `json:"secret"`       // the managed secret that holds it; nil: none is known
	Findings     []Finding    `json:"findings"`
}

// Expired reports whether the key has expired, by its status or by its date.
func (k Key) Expired() bool { return k.DaysToExpiry == nil }

// New checks the keys and returns the report.
func New(keys []quilt.APIKey, o Options) Report {
	r := Report{
		Registry: o.Registry, AskedBy: o.AskedBy, Scope: o.Scope, At: seconds(o.Now), Notes: slices.Clone(o.Notes),
		UnusedDays: cmp.Or(o.UnusedDays, DefaultUnusedDays), ExpiringDays: cmp.Or(o.ExpiringDays, DefaultExpiringDays),
	}
	judge := judge{now: o.Now, unused: days(r.UnusedDays), expiring: days(r.ExpiringDays), secrets: o}
	judge.useRecorded = len(keys) == 0 || slices.ContainsFunc(keys,
		func(k quilt.APIKey) bool { return k.LastUsedAt != nil })
	if !judge.useRecorded {
		r.cannotJudge("unused and never-used were not checked: no key has a date of last use, so the registry may "+
			"not record it", Unused, NeverUsed)
	}
	if o.Unread == "" && slices.ContainsFunc(keys, judge.cannotCompare) {
		judge.secrets.Unread = "the registry shows fingerprints in an unknown format"
		o.Unread = judge.secrets.Unread
	}
	switch {
	case o.Secret == nil:
		r.cannotJudge("unmanaged and elsewhere were not checked: "+o.Unread, Unmanaged, Elsewhere)
	case o.Unread != "":
		r.cannotJudge("unmanaged was not checked: "+o.Unread, Unmanaged)
	}
	for _, k := range keys {
		r.Keys = append(r.Keys, judge.key(k))
	}
	slices.SortStableFunc(r.Keys, worstFirst)
	r.count()
	return r
}

func (r *Report) cannotJudge(why string, findings ...Finding) {
	r.Notes = append(r.Notes, why)
	r.Unjudged = append(r.Unjudged, findings...)
	slices.SortFunc(r.Unjudged, func(a, b Finding) int { return a.rank() - b.rank() })
}

func worstFirst(a, b Key) int {
	return cmp.Or(slices.CompareFunc(a.ranks(), b.ranks(), cmp.Compare[int]), a.ExpiresAt.Compare(b.ExpiresAt),
		cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

// ranks ends with a rank that no finding has, so that a key with more findings comes before one
// with fewer.
func (k Key) ranks() []int {
	ranks := make([]int, 0, len(k.Findings)+1)
	for _, f := range k.Findings {
		ranks = append(ranks, f.rank())
	}
	return append(ranks, len(known))
}

func (r *Report) count() {
	statuses, findings, owners := map[quilt.Status]int{}, map[Finding]int{}, map[string]*OwnerTotal{}
	for _, k := range r.Keys {
		statuses[k.Status]++
		o := owners[strings.ToLower(k.Owner)]
		if o == nil {
			o = &OwnerTotal{Owner: k.Owner}
			owners[strings.ToLower(k.Owner)] = o
		}
		o.Keys++
		if k.Expired() {
			o.Expired++
		}
		if len(k.Findings) > 0 {
			o.Findings++
		}
		for _, f := range k.Findings {
			findings[f]++
		}
	}
	for _, s := range slices.Sorted(maps.Keys(statuses)) {
		r.Statuses = append(r.Statuses, StatusTotal{s, statuses[s]})
	}
	for _, o := range owners {
		r.Owners = append(r.Owners, *o)
	}
	slices.SortFunc(r.Owners, func(a, b OwnerTotal) int { return cmp.Or(b.Keys-a.Keys, cmp.Compare(a.Owner, b.Owner)) })
	for _, f := range known {
		r.Totals = append(r.Totals, FindingTotal{f, findings[f], slices.Contains(r.Unjudged, f)})
	}
}

// Fails returns those of the given findings that at least one key has. No key has a finding in
// [Report.Unjudged], so the caller must check both.
func (r Report) Fails(on []Finding) []Finding {
	var failed []Finding
	for _, t := range r.Totals {
		if t.Keys > 0 && slices.Contains(on, t.Finding) {
			failed = append(failed, t.Finding)
		}
	}
	return failed
}

// judge has the data that each key is compared with.
type judge struct {
	now              time.Time
	unused, expiring time.Duration
	useRecorded      bool
	secrets          Options
}

func (j judge) key(k quilt.APIKey) Key {
	secret := ""
	if j.secrets.Secret != nil {
		secret = j.secrets.Secret(k)
	}
	key := Key{
		ID: redact.Scrub(k.ID), Name: redact.Scrub(k.Name), Fingerprint: fingerprint(k.Fingerprint),
		Owner:  redact.Scrub(k.UserEmail),
		Status: k.Status, CreatedAt: seconds(k.CreatedAt), ExpiresAt: seconds(k.ExpiresAt),
	}
	if secret != "" {
		key.Secret = &secret
	}
	if k.LastUsedAt != nil {
		used := seconds(*k.LastUsedAt)
		key.LastUsedAt, key.DaysUnused = &used, wholeDays(j.now.Sub(*k.LastUsedAt))
	}
	if left := k.ExpiresAt.Sub(j.now); left > 0 && k.Status != quilt.Expired {
		key.DaysToExpiry = wholeDays(left)
	}
	key.Findings = j.findings(k, secret)
	return key
}

// findings returns the findings of a key in the order of [Findings]. An expired key has no other
// finding.
func (j judge) findings(k quilt.APIKey, secret string) []Finding {
	left := k.ExpiresAt.Sub(j.now)
	if k.Status == quilt.Expired || left <= 0 {
		return []Finding{Expired}
	}
	lastUse := k.CreatedAt // a new key that was never used is not unused yet
	if k.LastUsedAt != nil {
		lastUse = *k.LatestUse()
	}
	found := []Finding{}
	for _, f := range []struct {
		finding Finding
		has     bool
	}{
		{Expiring, left <= j.expiring},
		{Unused, j.useRecorded && j.now.Sub(lastUse) > j.unused},
		{NeverUsed, j.useRecorded && k.LastUsedAt == nil && j.now.Sub(k.CreatedAt) >= firstUse},
		{Unmanaged, j.secrets.Secret != nil && j.secrets.Unread == "" && secret == "" && !j.elsewhere(k.Name)},
		{Elsewhere, secret == "" && j.elsewhere(k.Name)},
		{Name, !FollowsConvention(k.Name)},
	} {
		if f.has {
			found = append(found, f.finding)
		}
	}
	return found
}

// cannotCompare reports whether it cannot be known which secret holds the key: no label names the
// key, and its fingerprint has an unknown format.
func (j judge) cannotCompare(k quilt.APIKey) bool {
	return !apikey.Key{}.Contradicts(k.Fingerprint) && j.secrets.Secret != nil && j.secrets.Secret(k) == ""
}

func (j judge) elsewhere(name string) bool {
	return j.secrets.Elsewhere != nil && j.secrets.Elsewhere(name)
}

// fingerprintForm matches fingerprints of different lengths, because the registry does not document
// the length. It never matches a whole key.
var fingerprintForm = regexp.MustCompile(`^\S{0,12}(\.{3}|…|\*{3,8})\S{0,8}$`)

func fingerprint(s string) string {
	if fingerprintForm.MatchString(s) {
		return s
	}
	return redact.Scrub(s)
}

func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

const day = 24 * time.Hour

func days(n int) time.Duration { return time.Duration(n) * day }

// wholeDays returns zero for a time in the future, because clocks differ.
func wholeDays(d time.Duration) *int {
	n := int(max(d, 0) / day)
	return &n
}

// inDays and daysAgo format the days for people.
func (k Key) inDays() string {
	if k.Expired() {
		return "expired"
	}
	return fmt.Sprintf("in %d d", *k.DaysToExpiry)
}

func (k Key) daysAgo() string {
	switch {
	case k.LastUsedAt == nil:
		return "never"
	case *k.DaysUnused == 0:
		return "today"
	}
	return fmt.Sprintf("%d d ago", *k.DaysUnused)
}

// words joins the findings.
func words(findings []Finding, separator string) string {
	names := make([]string, len(findings))
	for i, f := range findings {
		names[i] = string(f)
	}
	return strings.Join(names, separator)
}
