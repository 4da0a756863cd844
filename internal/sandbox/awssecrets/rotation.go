package awssecrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

// A rotation is the rotation of a secret to one version, whose id is its token.
type rotation struct {
	token         string
	rotationToken string // sensitive: shows PutSecretValue that the caller belongs to this rotation
	function      string
	testOnly      bool // runs only testSecret, on a temporary copy of the current value
	startedByTest bool // StartPending started it; only Retry invokes functions for it

	ended    endReason
	running  bool
	idle     chan struct{} // closed when running becomes false
	err      error         // error of the last run
	replaced *rotation     // the rotation that this one replaced; its last step may still run
}

// An endReason says why a rotation takes no further steps. It is empty while the rotation is
// active.
type endReason string

const (
	succeeded      endReason = "succeeded"
	cancelled      endReason = "cancelled"
	versionAdded   endReason = "versionAdded"   // a version was created outside the rotation
	pendingRemoved endReason = "pendingRemoved" // AWSPENDING was removed
	discarded      endReason = "discarded"      // the secret was deleted, or another rotation replaced this one
)

func (r *rotation) active() bool { return r != nil && r.ended == "" }

func (r *rotation) steps() []string {
	if r.testOnly {
		return []string{"testSecret"}
	}
	return []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
}

// ErrAbandoned is the result of a rotation that lost AWSPENDING, was cancelled, was replaced, or
// whose secret was deleted.
var ErrAbandoned = errors.New("the rotation was abandoned before its version became current")

// A StepError is the error of a step whose function failed or could not be invoked.
type StepError struct {
	Step          string
	FunctionARN   string
	FunctionError string // "Handled" or "Unhandled", from Lambda
	Answer        []byte // the function's error document
	Err           error  // of the invocation
}

func (e *StepError) Error() string { return e.reason() + e.detail() }

func (e *StepError) Unwrap() error { return e.Err }

// reason returns the text of the RotationFailed event.
func (e *StepError) reason() string {
	return fmt.Sprintf("Error when executing lambda %s during %s step", e.FunctionARN, e.Step)
}

func (e *StepError) detail() string {
	if e.Err != nil {
		return ": " + e.Err.Error()
	}
	return fmt.Sprintf(": %s: %s", e.FunctionError, e.Answer)
}

// errNotPromoted is the error of a finishSecret that succeeded but did not move AWSCURRENT.
var errNotPromoted = errors.New("finishSecret left AWSCURRENT on another version")

// begin registers a version with AWSPENDING: an empty version for a rotation, or a temporary copy
// of the current value for a test.
func (s *Server) begin(r *record, token string, testOnly bool, alter func(next *secret) error) (*rotation, error) {
	state, err := s.write(r, func(next *secret) error {
		if next.versions[token] != nil {
			return invalidRequest("You can't use ClientRequestToken %s because that value is already in use for a "+
				"version of secret %s.", token, next.arn)
		}
		if err := alter(next); err != nil {
			return err
		}
		var v *value
		if source := next.versions[next.labels[current]]; testOnly && source != nil {
			v = source.value
		}
		next.add(token, v, s.now())
		next.attach(pending, token)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if r.rotation.active() {
		r.rotation.ended = discarded
	}
	replaced := r.rotation.stillRunning()
	r.rotation = &rotation{token: token, rotationToken: awsjson.NewUUID(), function: state.rotation.function,
		testOnly: testOnly, replaced: replaced}
	return r.rotation, nil
}

// stillRunning returns the rotation, or one that it replaced, if one of its steps may still run.
// Otherwise it returns nil.
func (r *rotation) stillRunning() *rotation {
	for ; r != nil && !r.running; r = r.replaced {
	}
	return r
}

// start runs a rotation in a goroutine.
func (s *Server) start(r *record, rot *rotation) {
	rot.running, rot.idle, rot.err = true, make(chan struct{}), nil
	s.emitRotation(r, rot, RotationStarted, TestRotationStarted, "")
	s.goroutines.Add(1)
	go s.run(r, rot)
}

func (s *Server) run(r *record, rot *rotation) {
	defer s.goroutines.Done()
	err := s.runAttempts(r, rot)
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	if rot.testOnly {
		s.removeTestVersion(r, rot)
	}
	rot.err, rot.running = err, false
	close(rot.idle)
}

// runAttempts repeats the whole rotation, with the same token, until it succeeds, ends, or has
// failed too often. A failed test is not repeated, because AWS does not document what happens then.
func (s *Server) runAttempts(r *record, rot *rotation) error {
	for try := 1; ; try++ {
		err := s.attempt(r, rot)
		s.deliver()
		if err == nil || rot.testOnly || try >= s.options.RotationTries || !s.mayContinue(r, rot) {
			return err
		}
		select {
		case <-time.After(s.options.RetryDelay):
		case <-s.ctx.Done():
		}
		if s.ctx.Err() != nil { // select chooses at random if both channels are ready
			return err
		}
	}
}

func (s *Server) attempt(r *record, rot *rotation) error {
	for _, step := range rot.steps() {
		if !s.mayContinue(r, rot) {
			return s.abandon(r, rot)
		}
		if err := s.invoke(r, rot, step); err != nil {
			s.reportFailure(r, rot, err)
			return err
		}
	}
	return s.complete(r, rot)
}

// mayContinue reports whether the rotation may take its next step.
func (s *Server) mayContinue(r *record, rot *rotation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[r.state.name] != r || r.state.markedForDeletion() {
		rot.ended = discarded
	}
	return rot.active()
}

func (s *Server) abandon(r *record, rot *rotation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rot.ended == pendingRemoved {
		s.emitRotation(r, rot, RotationAbandoned, TestRotationFailed, "")
	}
	return ErrAbandoned
}

func (s *Server) invoke(r *record, rot *rotation, step string) error {
	failure := &StepError{Step: step, FunctionARN: rot.function}
	if s.options.Functions == nil {
		failure.Err = errors.New("no functions are configured")
		return failure
	}
	payload, _ := json.Marshal(struct { // cannot fail: all fields are strings
		Step, SecretId, ClientRequestToken, RotationToken string
	}{step, r.arn, rot.token, rot.rotationToken})
	ctx, cancel := context.WithTimeout(s.ctx, s.options.LambdaTimeout)
	defer cancel()
	failure.Answer, failure.FunctionError, failure.Err = s.options.Functions.Invoke(ctx, rot.function, payload)
	if failure.Err != nil || failure.FunctionError != "" {
		return failure
	}
	return nil
}

// reportFailure emits an event about a failed attempt. If the rotation has ended, it emits the event
// only if the reason is that AWSPENDING was removed.
func (s *Server) reportFailure(r *record, rot *rotation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rot.ended != "" && rot.ended != pendingRemoved {
		return
	}
	message := err.Error()
	if step := (*StepError)(nil); errors.As(err, &step) {
		message = step.reason()
	}
	s.emitRotation(r, rot, RotationFailed, TestRotationFailed, message)
}

// complete does what the service does after all steps have succeeded. The service removes
// AWSPENDING, not the function.
func (s *Server) complete(r *record, rot *rotation) error {
	s.mu.Lock()
	if rot.testOnly && rot.active() {
		s.emitRotation(r, rot, RotationSucceeded, TestRotationSucceeded, "")
		s.mu.Unlock()
		return nil
	}
	if rot.active() && s.finishIfCurrent(r, rot) {
		s.mu.Unlock()
		return nil
	}
	active := rot.active()
	s.mu.Unlock()
	if !active {
		return s.abandon(r, rot)
	}
	err := &StepError{Step: "finishSecret", FunctionARN: rot.function, Err: errNotPromoted}
	s.reportFailure(r, rot, err)
	return err
}

// finishIfCurrent finishes a rotation whose version is current. Otherwise it returns false and
// changes nothing.
func (s *Server) finishIfCurrent(r *record, rot *rotation) bool {
	if r.state.labels[current] != rot.token {
		return false
	}
	_, err := s.write(r, func(next *secret) error {
		if next.labels[pending] == rot.token {
			delete(next.labels, pending)
		}
		next.rotation.rotated = s.now()
		if next.rotation.enabled {
			next.rotation.next = next.rotation.rules.next(s.now())
		}
		return nil
	})
	if err != nil {
		return false
	}
	rot.ended = succeeded
	s.emitRotation(r, rot, RotationSucceeded, TestRotationSucceeded, "")
	return true
}

// removeTestVersion removes the temporary version of a test, unless it has a label other than
// AWSPENDING.
func (s *Server) removeTestVersion(r *record, rot *rotation) {
	if rot.ended == "" {
		rot.ended = succeeded
	}
	for label, id := range r.state.labels {
		if id == rot.token && label != pending {
			return
		}
	}
	_, _ = s.write(r, func(next *secret) error { // removing a version cannot exceed a quota
		delete(next.versions, rot.token)
		if next.labels[pending] == rot.token {
			delete(next.labels, pending)
		}
		return nil
	})
}

// endIfPendingRemoved ends a rotation if a write removes AWSPENDING from its version before that
// version is current.
func (s *Server) endIfPendingRemoved(r *record, before, next *secret) {
	rot := r.rotation
	if !rot.active() || before.labels[pending] != rot.token || next.labels[pending] == rot.token ||
		next.labels[current] == rot.token {
		return
	}
	rot.ended = pendingRemoved
	if next.count > before.count {
		rot.ended = versionAdded
		s.emitRotation(r, rot, RotationAbandoned, TestRotationFailed, "")
	}
}

func (s *Server) emitRotation(r *record, rot *rotation, name, testName, message string) {
	if rot.testOnly {
		name = testName
	}
	s.emit(Event{Name: name, SecretARN: r.arn, VersionID: rot.token, Message: message})
}

// checkRotationToken checks the RotationToken of a put, if the caller sends one. AWS does not
// document the error code.
func (r *record) checkRotationToken(in putSecretValueInput) error {
	rot := r.rotation
	if in.RotationToken == nil || rot == nil || rot.token != in.ClientRequestToken ||
		rot.rotationToken == *in.RotationToken {
		return nil
	}
	return invalidParameter("The RotationToken does not match the rotation of version %s.", rot.token)
}
