// Package revocation sweeps a secret. A sweep marks superseded versions, revokes their keys when
// the grace period is over and nobody uses them, revokes orphans, and reports what a person must
// decide. Read plan.go first: it decides. The rest reads the state of the two services and acts.
//
// Each sweep derives what to do from the state of both services ([Plan]). The package keeps no
// state. So a sweep may fail, stall or run twice at any point: the next sweep finds what is left.
// Two gates stand before every revocation: the current key logs in, and labels and protected values
// are read again.
//
// The package never revokes a key whose text occurs anywhere in the raw value of AWSCURRENT or
// AWSPENDING, whatever label, version or fingerprint names it. It never concludes that a key does
// not exist, or is refused, without a second proof: see seenAsOurs and ask.
//
// Three risks remain if a person moves labels by hand:
//
//   - AWSCURRENT moves to a version while the key of that version is being revoked.
//   - AWSCURRENT moves to a marked version and away again before a sweep sees it. Then the grace
//     period counts from the old mark. The quiet period still counts.
//   - A key label moves while the registry shows fingerprints in an unknown form. Then the last use
//     of another key is taken for the use of this key.
//
// `quilt-rotate rollback` avoids the first two: it logs in first, and removes the mark.
//
// A dry run ([Request].DryRun) reads and plans in the same way, and then stops. It changes nothing.
// A [Sweeper] does not depend on Lambda, so a command can run a sweep on a person's machine.
package revocation

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Vault is what a sweep needs of Secrets Manager. [vault.Vault] implements it. Every method may be
// called again, and may run twice at the same time.
type Vault interface {
	// The reads change nothing, and nothing follows from a failure. They may lag behind a write: if
	// Describe does not show a label, or ReadIfAny returns vault.ErrNoValue, the label or the value
	// may exist. A value never changes. A label may move between two calls.
	Describe(ctx context.Context, secretID string) (vault.Secret, error)
	ReadIfAny(ctx context.Context, secretARN, versionID string) (redact.Text, error)
	ReadCurrent(ctx context.Context, secretID string) (redact.Text, error)
	VersionCreated(ctx context.Context, secretARN, versionID string) (time.Time, error)

	// These calls succeed if the label is where the caller wants it, whoever moved it. If a call
	// fails, the label was not seen there, but the request may still arrive late. Attach fails if
	// another version has the label. Move fails if the label is no longer on from.
	Attach(ctx context.Context, secretARN, label, to string) error
	Move(ctx context.Context, secretARN, label, to, from string) error
	Detach(ctx context.Context, secretARN, label, from string) error
}

// Request asks for one sweep of one secret.
type Request struct {
	SecretID string
	DryRun   bool      // read and plan, and change nothing
	Time     time.Time // for which the sweep was scheduled; zero: no schedule started it
	Run      string    // the run of sweeps that the sweep belongs to; "": a person started it

	RotateFunction string // unqualified ARN of the function whose secrets the run may rotate on need; "": none
}

// Outcome says how a sweep ended.
type Outcome string

// The outcomes. A dry run has the one that the sweep would have.
const (
	Swept           Outcome = "swept"
	Paused          Outcome = "paused"           // sweeps are paused; a dry run still shows the plan
	Deleted         Outcome = "deleted"          // the secret is marked for deletion
	NotBootstrapped Outcome = "not-bootstrapped" // it waits for its first key
)

// Result says what a sweep did, which keys it holds, and why. After a dry run, it says what a sweep
// would do now. It contains no text of a key.
type Result struct {
	Secret      string     `json:"secret"`
	Outcome     Outcome    `json:"outcome"`
	PausedUntil *time.Time `json:"pausedUntil,omitempty"`
	PauseReason string     `json:"-"` // from the tag, for the log
	Actions     []Taken    `json:"actions"`
	Health      *Health    `json:"health,omitempty"`
	Notes       []string   `json:"notes,omitempty"`

	// These fields are set only in a dry run. If it fails, they contain what was read before that.
	// Versions has those with labels: current, pending, previous, then by their marks, the latest
	// first.
	Versions  []VersionInfo `json:"versions,omitempty"`
	Keys      []KeyInfo     `json:"keys,omitempty"`      // see [Snapshot.Ours]
	Registry  *Registry     `json:"registry,omitempty"`  // nil: it was not asked, or it refused the login
	WouldFail *Failure      `json:"wouldFail,omitempty"` // what the sweep would fail with
}

// Taken is one action of the plan and its outcome. In a dry run, Done is false.
type Taken struct {
	Action      Kind       `json:"action"`
	Reason      Reason     `json:"reason"`
	Version     string     `json:"versionId,omitempty"`
	KeyID       string     `json:"keyId,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Owner       string     `json:"owner,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	LastUsedAt  *time.Time `json:"lastUsedAt,omitempty"`
	Done        bool       `json:"done"`
	Error       string     `json:"error,omitempty"`
	// Secrets Manager's error, if it refuses to return the version's value
	Code string `json:"code,omitempty"`
}

// Health is the state of the secret that metrics and alarms report.
type Health struct {
	CurrentKeyID        string `json:"currentKeyId,omitempty"`               // "": not known
	CurrentKeyExpiresIn *Span  `json:"currentKeyExpiresInSeconds,omitempty"` // nil: not known, like its age
	CurrentKeyAge       *Span  `json:"currentKeyAgeSeconds,omitempty"`
	OldestSuperseded    *Span  `json:"oldestSupersededSeconds,omitempty"` // nil: none is
	FreeLabels          int    `json:"freeLabels"`
	RotationUnderWay    bool   `json:"rotationUnderWay,omitempty"`
	RotationOff         bool   `json:"rotationOff,omitempty"`
	RotationOverdue     bool   `json:"rotationOverdue,omitempty"`
}

// Span is a duration. In JSON it is a number of whole seconds.
type Span struct{ time.Duration }

// MarshalJSON writes whole seconds.
func (s Span) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, int64(s.Seconds()), 10), nil
}

// UnmarshalJSON reads whole seconds.
func (s *Span) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseInt(string(text), 10, 64)
	s.Duration = time.Duration(seconds) * time.Second
	return err
}

// Sweeper sweeps. It is safe for concurrent use.
type Sweeper struct {
	Vault    Vault
	Registry issuer.Registry
	Settings settings.Revoke
	Log      *slog.Logger

	// RefusalWait is how long a revoked key may still log in before this is an error. Zero means 10
	// seconds.
	RefusalWait time.Duration
	// RetryInterval is the first wait between two attempts to revoke a key. Zero means 400
	// milliseconds.
	RetryInterval time.Duration
}
