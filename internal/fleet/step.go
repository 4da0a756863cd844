// Package fleet carries out the steps of a run, which sweeps all managed secrets of the account and
// region. The state machine drives a run. It asks the revoke function for the next step, calls it
// to sweep the secrets of that step, 20 at a time, and passes the outcomes to the next step.
//
// The package keeps nothing. The state of a run is [State], which the state machine passes from
// step to step. So a step may be repeated, and two runs may go on at the same time: a secret may be
// swept twice at once, and both runs start a rotation with the same token. The package never sweeps
// and never rotates; its only calls list and describe secrets.
package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/revocation"
)

// Step is a request for the next step of a run.
type Step struct {
	RotateFunction string    `json:"rotateFunction"` // its unqualified ARN
	Time           time.Time `json:"time"`           // at which the run was scheduled
	Run            string    `json:"run"`            // its execution
	Limit          int       `json:"limit"`          // secrets in an answer; 0: [DefaultLimit]
	State          State     `json:"state"`          // of the last answer; empty at the start
	Results        []Outcome `json:"results"`        // of the sweeps that the last answer asked for
}

// Outcome is the part of a sweep's answer that the state machine keeps: see [revocation.Answer].
type Outcome struct {
	Outcome revocation.Outcome `json:"outcome"`
	// Secret and Error are set only if the function did not answer: the ARN, and the error of the
	// invocation.
	Secret string           `json:"secretId,omitempty"`
	Error  string           `json:"error,omitempty"`
	Rotate *revocation.Need `json:"rotate,omitempty"`
	Event  *Put             `json:"event,omitempty"` // of the sweep; nil: it had none
}

// Put reports whether the state machine could put an event on the bus.
type Put struct {
	Put bool `json:"put"`
}

// State is the state of a run.
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

// Do says what the state machine must do next.
type Do string

// The values of Do.
const (
	Sweep    Do = "sweep"    // the secrets, and then ask for the next step
	Continue Do = "continue" // in a new execution with this state
	Rotate   Do = "rotate"   // the secrets that need it; the run is over
	Done     Do = "done"     // nothing: the run is over
	Stop     Do = "stop"     // fail, with the event
)

// Answer is the next step. Its lists may be empty, but never null.
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
	// RemovePending is the version from which AWSPENDING is removed before the call. It has had no
	// value for over an hour.
	RemovePending string        `json:"removePending,omitempty"`
	Event         *notice.Event `json:"event"`
}

// Limits of a run.
const (
	DefaultLimit = 1000
	maxPages     = 200 // of an execution: each is 10 to 20 of the 25,000 events that its history may have

	// The brake stops a run in which many sweeps fail, so that a faulty release does not reach
	// every secret. It decides after each page.
	firstPage   = 100
	brakeFailed = 10
	brakeShare  = 0.2

	// If more secrets than these need a rotation, the cause is probably the registry and not the
	// keys.
	mostRotations      = 5
	mostRotationsShare = 0.05
	maxRotations       = 200    // in a state
	maxRotationARNs    = 30_000 // bytes of their ARNs in a state
)

// verdict is what follows from the state alone.
type verdict struct {
	do      Do     // "": the listing goes on
	message string // with Stop
}

// add counts the outcomes of a page. A sweep without an outcome counts as failed: Step Functions
// ended its execution.
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

// judge decides whether the run continues.
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
		return verdict{do: Stop, message: "many secrets need a rotation, so none was rotated; check the registry first"}
	case s.Listed && len(s.Rotate) > 0:
		return verdict{do: Rotate}
	case s.Listed:
		return verdict{do: Done}
	case s.Pages >= maxPages:
		return verdict{do: Continue}
	}
	return verdict{}
}

// Token returns the ClientRequestToken of a rotation on need. It is the same for all runs of an
// hour, so that Secrets Manager creates one version.
func Token(need revocation.Need, at time.Time) string {
	prefix := revocation.TokenExpires
	if need.Reason == revocation.NeedRefused {
		prefix = revocation.TokenRefused
	}
	sum := sha256.Sum256([]byte(need.SecretID + at.UTC().Format("2006-01-02T15")))
	return prefix + hex.EncodeToString(sum[:20])
}
