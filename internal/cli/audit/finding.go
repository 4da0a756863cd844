package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Finding is a property of a key that an administrator should look at. The names do not change,
// because pipelines rely on them.
type Finding string

// The findings. A key that has expired has no other finding than [Expired].
const (
	Expired   Finding = "expired"    // has expired, and is still listed
	Expiring  Finding = "expiring"   // expires within N days
	Unused    Finding = "unused"     // neither created nor used within N days
	NeverUsed Finding = "never-used" // not used since it was created, a day ago or earlier
	Unmanaged Finding = "unmanaged"  // held by no managed secret
	Elsewhere Finding = "elsewhere"  // created for a secret of another account or region, which may hold it
	Name      Finding = "name"       // its name does not follow the convention, see [FollowsConvention]
)

// firstUse is how long a new key may be without use before that is a finding.
const firstUse = 24 * time.Hour

// known is in the order in which reports show them, the most pressing first.
var known = []Finding{Expired, Expiring, Unused, NeverUsed, Unmanaged, Elsewhere, Name}

func (f Finding) rank() int { return slices.Index(known, f) }

// UnknownFindingError says that no finding has the name.
type UnknownFindingError struct{ Name string }

func (e *UnknownFindingError) Error() string {
	return fmt.Sprintf("%q is not a finding: use %s", e.Name, words(known, ", "))
}

// UnmarshalText reads the name of a finding. It fails with an [*UnknownFindingError].
func (f *Finding) UnmarshalText(text []byte) error {
	name := Finding(strings.TrimSpace(string(text)))
	if name.rank() < 0 {
		return &UnknownFindingError{Name: string(name)}
	}
	*f = name
	return nil
}

// means describes a finding in a few words, for people.
func (r Report) means(f Finding) string {
	switch f {
	case Expired:
		return "has expired"
	case Expiring:
		return fmt.Sprintf("expires within %d days", r.ExpiringDays)
	case Unused:
		return fmt.Sprintf("not used for %d days", r.UnusedDays)
	case NeverUsed:
		return "not used since it was created"
	case Unmanaged:
		return "no managed secret holds it"
	case Elsewhere:
		return "created for a secret elsewhere"
	case Name:
		return "not purpose-environment-date"
	}
	return string(f)
}
