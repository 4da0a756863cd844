// Package revocation is the sweep: it marks versions of a secret that are superseded, revokes their
// keys when their grace period is over and nobody uses them any more, revokes keys that a crash
// left behind, and reports what a person must decide.
//
// What to do is derived from both services at each sweep ([Plan]), and no state is kept. So a sweep
// may fail, stall or run twice anywhere: the next one finds what is left. Two gates stand before
// every revocation: the current key logs in, and labels and protected values are read again.
//
// It never revokes a key whose text occurs anywhere in the raw value of AWSCURRENT or AWSPENDING,
// whatever label, version or fingerprint led to it. It never believes that a key does not exist, or
// is refused, without a second proof: see seenAsOurs and ask.
//
// Three risks remain if a person moves labels by hand. AWSCURRENT may move to a version at the very
// moment at which its key is revoked. It may move to a marked version and away again before a sweep
// sees it; then the grace period counts from the old mark (the quiet period counts all the same).
// And if a key label is moved while the registry shows fingerprints in an unknown form, the last
// use of another key is taken for this one's. `quilt-rotate rollback` avoids the first two: it logs
// in first, and removes the mark.
//
// A dry run ([Request].DryRun) looks and plans in the same way and stops there. It only reads. A
// [Sweeper] needs nothing of Lambda, so a command can run one on a person's machine.
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

// Vault is what a sweep needs of Secrets Manager; [vault.Vault] implements it. Every method is safe
// to repeat and safe for twins.
type Vault interface {
	// The reads change nothing, and a failure says nothing. They may lag behind a write: a label
	// that Describe does not show, and vault.ErrNoValue, are no evidence that nothing is there. A
	// value never changes; a label may move between two calls.
	Describe(ctx context.Context, secretID string) (vault.Secret, error)
	ReadIfAny(ctx context.Context, secretARN, versionID string) (redact.Text, error)
	ReadCurrent(ctx context.Context, secretID string) (redact.Text, error)
	VersionCreated(ctx context.Context, secretARN, versionID string) (time.Time, error)

	// The moves succeed if the label is where it was asked to be, whoever moved it. If they fail,
	// it was not seen there; a request may still arrive late. Attach fails if another version has
	// the label, Move if it has left from.
	Attach(ctx context.Context, secretARN, label, to string) error
	Move(ctx context.Context, secretARN, label, to, from string) error
	Detach(ctx context.Context, secretARN, label, from string) error
}

// Request asks for one sweep of one secret.
type Request struct {
	SecretID string
	DryRun   bool      // look and plan, and carry nothing out
	Time     time.Time // for which the sweep was scheduled; zero: no schedule started it
	Run      string    // the run of sweeps that it belongs to; "": a person asked for it

	RotateFunction string // unqualified ARN of the function whose secrets the run may rotate on need; "": none
}

// Outcome is how a sweep ended that did not fail.
type Outcome string

// The outcomes. A dry run has the one that the sweep would have.
const (
	Swept           Outcome = "swept"
	Paused          Outcome = "paused"           // sweeps are paused; a dry run shows the plan that waits all the same
	Deleted         Outcome = "deleted"          // the secret is marked for deletion
	NotBootstrapped Outcome = "not-bootstrapped" // it waits for its first key
)

// Result says what a sweep did, what it holds and why; after a dry run, what one would do now. It
// holds no key.
type Result struct {
	Secret      string     `json:"secret"`
	Outcome     Outcome    `json:"outcome"`
	PausedUntil *time.Time `json:"pausedUntil,omitempty"`
	PauseReason string     `json:"-"` // as the tag says it; for the log
	Actions     []Taken    `json:"actions"`
	Health      *Health    `json:"health,omitempty"`
	Notes       []string   `json:"notes,omitempty"`

	// Only in a dry run. If its look fails, what it saw before that is here.
	// those with labels: current, pending, previous, then by their marks, the latest first
	Versions  []Seen    `json:"versions,omitempty"`
	Keys      []KeyInfo `json:"keys,omitempty"`      // see [World.Ours]
	Registry  *Registry `json:"registry,omitempty"`  // nil: it was not asked, or refused the login
	WouldFail *Failure  `json:"wouldFail,omitempty"` // what the sweep would fail with, by its look or its plan
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

// Health is what the metrics and alarms are made from.
type Health struct {
	CurrentKeyID        string `json:"currentKeyId,omitempty"`               // "": not known
	CurrentKeyExpiresIn *Span  `json:"currentKeyExpiresInSeconds,omitempty"` // nil: not known, as its age; 0 is a time
	CurrentKeyAge       *Span  `json:"currentKeyAgeSeconds,omitempty"`
	OldestSuperseded    *Span  `json:"oldestSupersededSeconds,omitempty"` // nil: none is
	FreeLabels          int    `json:"freeLabels"`
	RotationUnderWay    bool   `json:"rotationUnderWay,omitempty"`
	RotationOff         bool   `json:"rotationOff,omitempty"`
	RotationOverdue     bool   `json:"rotationOverdue,omitempty"`
}

// Span is a length of time. JSON has its whole seconds, which programs in any language read.
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

	// RefusalWait is how long a revoked key may go on logging in before that is an error; zero: 10
	// seconds.
	RefusalWait time.Duration
	// RetryInterval is what the waits between attempts at a revocation start from; zero: 400
	// milliseconds.
	RetryInterval time.Duration
}
