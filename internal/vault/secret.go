package vault

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Secret is the description of a secret: everything except its values.
type Secret struct {
	ARN      string
	Name     string
	Now      time.Time // from the response's Date header; without it, the caller's time
	Created  time.Time // zero: not known
	Deleted  bool      // scheduled for deletion
	Rotation Rotation
	Tags     map[string]string
	Versions map[string]Version // by id; only versions with labels
	Replicas []Replica
	KMSKey   string // id, ARN or alias; "" is the AWS managed key

	PrimaryRegion string // "" if the secret was never replicated
}

// ReplicaOf returns the primary region if this secret is a replica, and "" otherwise. Secrets
// Manager refuses changes of a replica.
func (s Secret) ReplicaOf() string {
	fields := strings.SplitN(s.ARN, ":", 5) // arn:aws:secretsmanager:<region>:…
	if len(fields) > 3 && fields[3] == s.PrimaryRegion {
		return ""
	}
	return s.PrimaryRegion
}

// Rotation is a secret's rotation configuration.
type Rotation struct {
	Enabled  bool
	Function string    // ARN
	Last     time.Time // zero if it was never rotated
	Next     time.Time // zero if no rotation is scheduled
	Rules    RotationRules
}

// RotationRules say when a secret is rotated: after a number of days, or on a schedule. With the
// zero RotationRules, the secret is not rotated automatically.
type RotationRules struct {
	AfterDays int    // used if Schedule is empty
	Schedule  string // such as "rate(30 days)" or "cron(0 4 ? * SUN *)"
	Window    string // such as "4h"; "" is the default of Secrets Manager
}

// String returns the rules for a person, such as "rate(30 days), window 2h". If there is a
// schedule, AfterDays is ignored, because Secrets Manager calculates it from the schedule (API
// reference, RotationRulesType).
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

// InSync is the status of a replica that has the same values as the primary secret.
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
// tagged, which is the time in the tag of older releases. The result is zero if there is no pause,
// and in the past if all pauses are over.
func (s Secret) PausedUntil(tagged time.Time) time.Time {
	for _, v := range s.Versions {
		tagged = slices.MaxFunc(append(slices.Clone(v.Pauses), tagged), time.Time.Compare)
	}
	return tagged
}

// Labels returns the number of staging labels on all versions, including those of Secrets Manager.
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
