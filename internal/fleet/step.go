// Package fleet is a run of sweeps: one that goes through all secrets of the account and region.
// The state machine drives it. It asks the revoke function for the next step, has it sweep the
// secrets of that step, 20 at a time, and hands the outcomes to the next step.
//
// All that a run knows is the [State], which the state machine carries from step to step. So each
// step may be asked for again, and two runs may go on at the same time: sweeps are safe for twins,
// and both runs ask for a rotation with the same token.
package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/revocation"
)

// Step asks what to do next.
type Step struct {
	RotateFunction string    `json:"rotateFunction"` // its unqualified ARN
	Time           time.Time `json:"time"`           // at which the run was scheduled
	Run            string    `json:"run"`            // its execution
	Limit          int       `json:"limit"`          // secrets in an answer; 0: [DefaultLimit]
	State          State     `json:"state"`          // of the last answer; at the start none
	Results        []Outcome `json:"results"`        // of the sweeps that the last answer asked for
}

// Outcome is what is kept of the answer of a sweep: see [revocation.Answer].
type Outcome struct {
	Outcome revocation.Outcome `json:"outcome"`
	// Secret and Error are only there if the function did not answer: the ARN, and what the
	// invocation failed with.
	Secret string           `json:"secretId,omitempty"`
	Error  string           `json:"error,omitempty"`
	Rotate *revocation.Need `json:"rotate,omitempty"`
	Event  *Put             `json:"event,omitempty"` // of the sweep; nil: it had none
}

// Put reports whether the state machine could put an event on the bus.
type Put struct {
	Put bool `json:"put"`
}

// State is what a run knows.
type State struct {
	NextToken string            `json:"nextToken,omitempty"` // of the list of secrets
	Listed    bool              `json:"listed,omitempty"`    // to its end
	Pages     int               `json:"pages,omitempty"`     // in this execution
	Sent      int               `json:"sent,omitempty"`      // secrets of the last answer
	Lost      int               `json:"lost,omitempty"`      // events that could not be put
	Swept     int               `json:"swept,omitempty"`     // with those that failed
	Failed    int               `json:"failed,omitempty"`
	Rotate    []revocation.Need `json:"rotate,omitempty"` // the secrets that need a rotation
}

// Do is what the state machine does next.
type Do string

// What it can do.
const (
	Sweep    Do = "sweep"    // the secrets, and then ask for the next step
	Continue Do = "continue" // in a new execution with this state
	Rotate   Do = "rotate"   // the secrets that need it; the run is over
	Done     Do = "done"     // nothing: the run is over
	Stop     Do = "stop"     // fail, with the event
)

// Answer is the next step. Its lists may be empty, but are always there.
type Answer struct {
	Do        Do            `json:"do"`
	Secrets   []string      `json:"secrets"` // ARNs
	State     State         `json:"state"`
	Rotations []Rotation    `json:"rotations"`
	Event     *notice.Event `json:"event,omitempty"` // with Stop
	Lost      int           `json:"lost,omitempty"`  // events of the run that could not be put
}

// Rotation is a call of RotateSecret.
type Rotation struct {
	SecretID string                `json:"secretId"`
	Token    string                `json:"token"`
	Reason   revocation.NeedReason `json:"reason"`
	// RemovePending is the version that AWSPENDING is taken off before: it has had no value for
	// over an hour.
	RemovePending string        `json:"removePending,omitempty"`
	Event         *notice.Event `json:"event"`
}

// Limits of a run.
const (
	DefaultLimit = 1000
	maxPages     = 200 // of an execution: each is 10 to 20 of the 25,000 events that its history may have

	// The brake: a release that fails everywhere must not reach every secret. It decides after each
	// page.
	firstPage   = 100
	brakeFailed = 10
	brakeShare  = 0.2

	// If so many need a rotation, the registry is the problem, not the keys.
	mostRotations      = 5
	mostRotationsShare = 0.05
	maxRotations       = 200    // that a state has room for
	maxRotationARNs    = 30_000 // bytes of their ARNs
)

// verdict is what the state alone decides.
type verdict struct {
	do      Do     // "": the listing goes on
	message string // with Stop
}

// add counts the outcomes of a page. A sweep without an outcome failed: Step Functions itself ended
// its execution.
func (s State) add(results []Outcome) State {
	s.Rotate = append([]revocation.Need(nil), s.Rotate...)
	missing := max(0, s.Sent-len(results))
	s.Swept, s.Failed, s.Sent = s.Swept+len(results)+missing, s.Failed+missing, 0
	for _, r := range results {
		if r.Outcome == revocation.Failed || r.Outcome == "" {
			s.Failed++
		}
		if r.Rotate != nil {
			s.Rotate = append(s.Rotate, *r.Rotate)
		}
		if r.Event != nil && !r.Event.Put {
			s.Lost++
		}
	}
	return s
}

// judge decides whether the run goes on, from what it knows.
func (s State) judge() verdict {
	tooMany := len(s.Rotate) > mostRotations && float64(len(s.Rotate)) > mostRotationsShare*float64(s.Swept)
	arns := 0
	for _, need := range s.Rotate {
		arns += len(need.SecretID)
	}
	switch {
	case s.Failed >= brakeFailed && float64(s.Failed) > brakeShare*float64(s.Swept):
		return verdict{do: Stop, message: "many sweeps fail, so the run was stopped"}
	case len(s.Rotate) > maxRotations, arns > maxRotationARNs, s.Listed && tooMany:
		return verdict{do: Stop, message: "many secrets need a rotation, so none was rotated: check the registry first"}
	case s.Listed && len(s.Rotate) > 0:
		return verdict{do: Rotate}
	case s.Listed:
		return verdict{do: Done}
	case s.Pages >= maxPages:
		return verdict{do: Continue}
	}
	return verdict{}
}

// Token is the ClientRequestToken of a rotation on need: the same for all that ask in the same
// hour, so that Secrets Manager creates one version.
func Token(need revocation.Need, at time.Time) string {
	prefix := map[revocation.NeedReason]string{revocation.NeedRefused: revocation.TokenRefused,
		revocation.NeedExpires: revocation.TokenExpires}[need.Reason]
	sum := sha256.Sum256([]byte(need.SecretID + at.UTC().Format("2006-01-02T15")))
	return prefix + hex.EncodeToString(sum[:20])
}
