// Package report collects the evidence that auditors ask for: when each secret's key was rotated,
// how old the replaced key was, when that key was revoked and that the registry then refused it,
// the gaps between rotations, and the exceptions.
//
// [Facts.Evidence] is pure: it concludes from facts that were read. [Read] reads them from Secrets
// Manager, from the log groups of the functions and, if it is configured, from the registry's audit
// trail. The report writes itself as a table, as JSON, as CSV and as an HTML page.
//
//   - Each line names its sources ([Source]). A value that was derived from the order of versions is
//     marked.
//   - A missing log line is not evidence. Unseen lists what could not be read, and each gap says whether
//     the log covers it.
//   - Times come from AWS: from CloudWatch Logs for lines, from Secrets Manager for versions.
//   - The report shows ids and fingerprints of keys, never a key.
//
// It changes nothing.
package report

import (
	"strconv"
	"time"

	"quilt-rotate/internal/cli/awsclient"
)

// Source is where the data of a line comes from.
type Source string

// The sources.
const (
	Log      Source = "log"      // a log line of one of the functions
	Versions Source = "versions" // Secrets Manager: the secret, its versions, their dates and labels
	Trail    Source = "trail"    // the audit trail of the registry
)

// Meanings explain the sources, in the order in which they are shown.
var Meanings = []struct {
	Source  Source `json:"source"`
	Meaning string `json:"meaning"`
}{
	{Log, "a log line of the rotate or the revoke function (CloudWatch Logs)"},
	{Versions, "the dates and labels of the secret's versions (Secrets Manager)"},
	{Trail, "the audit trail of the registry (Athena)"},
}

// Report is the evidence about some secrets. The JSON fields are a contract: fields may be
// added, and the meaning of a field never changes.
type Report struct {
	Place   awsclient.Place `json:"place"`
	Time    time.Time       `json:"time"` // Secrets Manager's clock
	Since   time.Time       `json:"since"`
	Unseen  []string        `json:"unseen"` // what could not be read for all or many secrets
	Secrets []Secret        `json:"secrets"`
}

// Secret is the evidence about one secret.
type Secret struct {
	Secret     string      `json:"secret"`
	ARN        string      `json:"arn,omitempty"`
	Created    *time.Time  `json:"created,omitempty"`
	Deleted    bool        `json:"deleted,omitempty"`  // marked for deletion
	RotationOn bool        `json:"rotationOn"`         // now
	Schedule   string      `json:"schedule,omitempty"` // as it is now
	MaxGap     Span        `json:"maxGapSeconds"`      // longest time that is allowed between rotations; 0: not known
	Policy     string      `json:"policy,omitempty"`   // where MaxGap is from
	Rotations  []Rotation  `json:"rotations"`          // and other new versions, the oldest first
	Gaps       []Gap       `json:"gaps"`
	Exceptions []Exception `json:"exceptions"`
	Unseen     []string    `json:"unseen"`
	Error      string      `json:"error,omitempty"` // why it could not be read
	Hint       string      `json:"hint,omitempty"`
}

// Kind is how a version became current.
type Kind string

// The kinds.
const (
	Rotated Kind = "rotation"
	OnNeed  Kind = "rotation-on-need" // of the state machine of the sweeps: the key was refused, or about to expire
	First   Kind = "first-value"      // the version with which the secret was created
	Written Kind = "written"          // not by a rotation in the log: by bootstrap, recover or another tool
	Unknown Kind = "not-known"        // there is no log line, and the log does not go back that far
)

// ByRotation reports whether a rotation made the version current.
func (k Kind) ByRotation() bool { return k == Rotated || k == OnNeed }

// Rotation is a version that became current.
type Rotation struct {
	Time        time.Time `json:"time"` // when it became current, or when it was registered
	Kind        Kind      `json:"kind"`
	VersionID   string    `json:"versionId"`
	KeyID       string    `json:"keyId,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	CreatedBy   string    `json:"createdBy,omitempty"` // the registry user that created the key
	Failures    int       `json:"failures,omitempty"`  // steps of this rotation that failed before it succeeded
	Sources     []Source  `json:"sources"`
	Replaced    *Replaced `json:"replaced,omitempty"` // nil: not known, or it is the first version

	unsure bool // it may never have become current
}

// Replaced is the key that was current before.
type Replaced struct {
	VersionID   string   `json:"versionId,omitempty"`
	KeyID       string   `json:"keyId,omitempty"`
	Fingerprint string   `json:"fingerprint,omitempty"`
	Derived     bool     `json:"derived,omitempty"` // from the order of the versions: no line names it
	Age         *Span    `json:"ageSeconds,omitempty"`
	AgeAtLeast  bool     `json:"ageAtLeast,omitempty"` // the key may be older than the version that held it
	AgeSources  []Source `json:"ageSources,omitempty"`
	End         End      `json:"end"`
}

// State is the state of a replaced key.
type State string

// The states.
const (
	Revoked   State = "revoked"       // by the sweep, which then checked that the registry refuses the key
	Gone      State = "gone"          // the sweep found that the key no longer exists, so something else revoked it
	Elsewhere State = "revoked-there" // only the trail shows the revocation
	Expired   State = "expired"
	InGrace   State = "in-grace"
	Waiting   State = "waiting" // it has a label, and the sweep has not revoked it yet
	Again     State = "current" // a rollback made it current again
	NotSeen   State = "not-seen"
)

// End is the end of a replaced key.
type End struct {
	State       State      `json:"state"`
	Time        *time.Time `json:"time,omitempty"`
	RefusedSeen bool       `json:"refusedSeen"`      // the registry refused a later login with the key
	Reason      string     `json:"reason,omitempty"` // the sweep's, such as grace-over
	By          string     `json:"by,omitempty"`     // the registry user, as the trail says it
	Until       *time.Time `json:"until,omitempty"`  // of the grace period
	Sources     []Source   `json:"sources"`
}

// Gap is a time without a rotation that is longer than the policy allows.
type Gap struct {
	From    time.Time  `json:"from"`
	To      *time.Time `json:"to,omitempty"` // nil: it continues
	Length  Span       `json:"seconds"`
	AtLeast bool       `json:"atLeast,omitempty"` // it may have begun earlier
	Covered bool       `json:"covered"`           // the log goes back to its beginning and would show a rotation
	Sources []Source   `json:"sources"`
}

// Exception is something that an auditor asks about.
type Exception struct {
	Kind    string     `json:"kind"`
	From    time.Time  `json:"from"`
	To      *time.Time `json:"to,omitempty"` // when it was last seen
	Times   int        `json:"times,omitempty"`
	What    string     `json:"what"`
	Reason  string     `json:"reason,omitempty"`
	Version string     `json:"versionId,omitempty"`
	KeyID   string     `json:"keyId,omitempty"`
	Sources []Source   `json:"sources"`
}

// Span is a length of time. JSON has whole seconds.
type Span time.Duration

// MarshalJSON writes whole seconds.
func (s Span) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, int64(time.Duration(s).Seconds()), 10), nil
}

// Days are whole days.
func (s Span) Days() int { return int(time.Duration(s) / day) }

const day = 24 * time.Hour
