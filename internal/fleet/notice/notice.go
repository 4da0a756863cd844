// Package notice defines the events that quilt-rotate puts on the account's default event bus. They
// say what a sweep of a secret did or found, that a secret is rotated on need, or that a run of
// sweeps was stopped. docs/events.schema.json describes them.
//
// The events are an API: rules and functions of other teams read them. They never contain a value,
// a key or a token.
package notice

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// Version is the version of the event format. A new field does not change it.
const Version = 1

// Finding is one thing that an event reports.
type Finding string

// The findings.
const (
	Stopped   Finding = "stopped"   // the run of sweeps was stopped
	OnNeed    Finding = "on-need"   // the secret is rotated now, outside its schedule
	Attention Finding = "attention" // a person has to decide, or a sweep failed
	Healed    Finding = "healed"    // a rotation on need has replaced the current key
	Orphan    Finding = "orphan"    // a key that no version held was revoked
	Revoked   Finding = "revoked"   // a superseded key was revoked
	Held      Finding = "held"      // a superseded key is past its grace period and still used
	Rotated   Finding = "rotated"   // the first sweep after a rotation marked the superseded key
)

// detailTypes lists the findings in the order of their importance, each with the detail type of its
// events.
var detailTypes = []struct {
	finding    Finding
	detailType string
}{
	{Stopped, "Quilt Sweep Run Stopped"}, {OnNeed, "Quilt Rotation On Need"}, {Attention, "Quilt Key Needs Attention"},
	{Healed, "Quilt Key Healed"}, {Orphan, "Quilt Key Orphan Revoked"}, {Revoked, "Quilt Key Revoked"},
	{Held, "Quilt Key Held"}, {Rotated, "Quilt Key Rotated"},
}

// DetailTypes lists all detail types.
func DetailTypes() (all []string) {
	for _, t := range detailTypes {
		all = append(all, t.detailType)
	}
	return all
}

// Event is an event without its source and its bus, which the state machine adds.
type Event struct {
	DetailType string `json:"detailType"`
	Detail     Detail `json:"detail"`
}

// Detail is what the event says.
type Detail struct {
	Version     int       `json:"version"`
	Secret      *Secret   `json:"secret,omitempty"` // nil: the event is about a run
	Registry    string    `json:"registry"`
	Findings    []Finding `json:"findings"` // the most important first
	NeedsPerson bool      `json:"needsPerson"`
	Message     string    `json:"message"` // one sentence; New puts the secret's name before it
	Keys        []Key     `json:"keys,omitempty"`
	More        int       `json:"more,omitempty"` // keys that are left out
	Failure     *Failure  `json:"failure,omitempty"`
	Run         string    `json:"run,omitempty"`
	Time        time.Time `json:"time"`
}

// Secret is the secret that an event is about, with the tags that its owner has set.
type Secret struct {
	ARN  string            `json:"arn"`
	Name string            `json:"name"`
	Tags map[string]string `json:"tags,omitempty"`
}

// Key is a key that a finding is about, and why.
type Key struct {
	Action      string     `json:"action"`
	Reason      string     `json:"reason"`
	KeyID       string     `json:"keyId,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	VersionID   string     `json:"versionId,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	LastUsedAt  *time.Time `json:"lastUsedAt,omitempty"`
}

// Failure is what a sweep failed with.
type Failure struct {
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
}

// EventBridge accepts events of up to 256 KB. Tags alone may have 77 KB: 50 tags with names of 128
// and values of 256 characters, up to 4 bytes each.
const (
	maxKeys  = 100
	maxError = 4000
)

// New returns an event with these details. It sorts the findings by importance, sets the detail
// type, and shortens what is over the limits.
func New(d Detail) *Event {
	d.Version, d.Time = Version, d.Time.UTC().Truncate(time.Second)
	e := Event{}
	found := d.Findings
	d.Findings = nil
	for _, t := range detailTypes {
		if slices.Contains(found, t.finding) {
			d.Findings = append(d.Findings, t.finding)
			if e.DetailType == "" {
				e.DetailType = t.detailType
			}
		}
	}
	if len(d.Keys) > maxKeys {
		d.Keys, d.More = d.Keys[:maxKeys], len(d.Keys)-maxKeys
	}
	if d.Failure != nil {
		d.Failure = &Failure{d.Failure.ErrorType, redact.Clip(d.Failure.Error, maxError)}
	}
	d.Message = strings.Map(withoutEscapes, redact.Clip(d.Message, maxError))
	if d.Secret != nil { // after Clip, because a name such as team/qk_pipeline is not a key
		d.Message = d.Secret.Name + ": " + d.Message
	}
	e.Detail = d
	return &e
}

// withoutEscapes replaces characters that break the JSON of a notification. EventBridge does not
// escape the text that an input transformer inserts (EventBridge user guide, "Amazon EventBridge
// input transformation").
func withoutEscapes(r rune) rune {
	switch {
	case r == '"' || r == '\\':
		return '\''
	case unicode.IsControl(r):
		return ' '
	}
	return r
}

// NewSecret returns what events say about a secret. If the secret could not be described, the name
// is taken from the ARN, in which a hyphen and six characters follow it. AWS's own tags are left
// out. Text that looks like a key is removed from the tags, because people paste keys into them.
func NewSecret(arn string, described vault.Secret) *Secret {
	s := &Secret{ARN: arn, Name: described.Name, Tags: map[string]string{}}
	if s.Name == "" {
		_, s.Name, _ = strings.Cut(arn, ":secret:")
		if i := strings.LastIndex(s.Name, "-"); i > 0 {
			s.Name = s.Name[:i]
		}
	}
	for name, value := range described.Tags {
		if !strings.HasPrefix(name, "aws:") {
			s.Tags[redact.Scrub(name)] = redact.Scrub(value)
		}
	}
	return s
}
