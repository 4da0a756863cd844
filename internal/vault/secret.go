package vault

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Secret is what DescribeSecret returns of a secret: everything but its values.
type Secret struct {
	ARN      string
	Name     string
	Now      time.Time // Secrets Manager's own clock, from this answer's Date header; without one, the caller's
	Deleted  bool      // marked for deletion
	Rotation Rotation
	Tags     map[string]string
	Versions map[string]Version // by id; those with labels only
	Replicas []Replica
	KMSKey   string // id, ARN or alias; "": the key of the account that AWS manages

	PrimaryRegion string // "": the secret was never replicated
}

// ReplicaOf returns the primary region if this copy of the secret is a replica, which Secrets
// Manager does not let anybody change; "" if it is not.
func (s Secret) ReplicaOf() string {
	if fields := strings.SplitN(s.ARN, ":", 5); s.PrimaryRegion == "" || len(fields) > 3 &&
		fields[3] == s.PrimaryRegion {
		return ""
	}
	return s.PrimaryRegion
}

// Rotation is a secret's rotation configuration.
type Rotation struct {
	Enabled  bool
	Function string    // ARN
	Last     time.Time // zero: never
	Next     time.Time // zero: not scheduled
	Rules    RotationRules
}

// RotationRules say when a secret is rotated: after so many days, or by an expression. The zero
// RotationRules: never by itself.
type RotationRules struct {
	AfterDays int    // 0: by Schedule
	Schedule  string // "rate(30 days)" or "cron(0 4 ? * SUN *)"; "": by AfterDays
	Window    string // "4h"; "": as long as the service's default
}

// String shows them to a person, such as "rate(30 days), window 2h". AfterDays counts only without
// a schedule: beside one, Secrets Manager calculates it from the schedule (API reference,
// RotationRulesType).
func (r RotationRules) String() string {
	text := r.Schedule
	switch {
	case text == "" && r.AfterDays == 1:
		text = "every day"
	case text == "":
		text = fmt.Sprintf("every %d days", r.AfterDays)
	}
	if r.Window != "" {
		text += ", window " + r.Window
	}
	return text
}

// Replica is a replica region of a secret.
type Replica struct {
	Region, Status string
}

// InSync is the status of a replica that has the primary's values.
const InSync = "InSync"

// Holder returns the version that has the label; ok is false if no version has it.
func (s Secret) Holder(label string) (v Version, ok bool) {
	for _, v := range s.Versions {
		if v.Has(label) {
			return v, true
		}
	}
	return Version{}, false
}

// PausedUntil returns until when sweeps are paused: the latest time of all pause labels and of
// tagged, which is the time in the tag of older releases. It is zero if there is none, and in the
// past if all pauses are over.
func (s Secret) PausedUntil(tagged time.Time) time.Time {
	for _, v := range s.Versions {
		tagged = slices.MaxFunc(append(slices.Clone(v.Pauses), tagged), time.Time.Compare)
	}
	return tagged
}

// Labels counts the staging labels of all versions, including the service's own.
func (s Secret) Labels() int {
	n := 0
	for _, v := range s.Versions {
		n += len(v.Stages)
	}
	return n
}

// Sorted returns the versions in the order of their ids.
func (s Secret) Sorted() []Version {
	return slices.SortedFunc(maps.Values(s.Versions), func(a, b Version) int { return cmp.Compare(a.ID, b.ID) })
}
