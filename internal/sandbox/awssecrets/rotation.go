package awssecrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

// A rotation is one ClientRequestToken on its way from AWSPENDING to AWSCURRENT.
type rotation struct {
	token         string
	rotationToken string // sensitive: proves to PutSecretValue that a caller belongs to this rotation
	function      string
	test          bool // only tries the configuration: testSecret on a temporary copy of the current value
	byTest        bool // StartPending began it: only Retry invokes functions for it

	over    end
	running bool
	idle    chan struct{} // closed when it stops running
	err     error         // of the last run
	former  *rotation     // that it took the place of, whose last step may still run
}

// An end is why a rotation takes no further steps; empty while it may.
type end string

const (
	succeeded  end = "succeeded"
	cancelled  end = "cancelled"
	overtaken  end = "overtaken"  // somebody made a new version by hand
	unlabelled end = "unlabelled" // somebody took AWSPENDING off
	gone       end = "gone"       // the secret was deleted, or another rotation took its place
)

func (r *rotation) live() bool { return r != nil && r.over == "" }

func (r *rotation) steps() []string {
	if r.test {
		return []string{"testSecret"}
	}
	return []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
}

// ErrAbandoned ends a rotation that lost AWSPENDING, its secret or its turn before it was done.
var ErrAbandoned = errors.New("rotation abandoned: its version no longer has AWSPENDING")

// A StepError is the failure of one step: the function failed, or could not be invoked.
type StepError struct {
	Step          string
	FunctionARN   string
	FunctionError string // "Handled" or "Unhandled", as Lambda says
	Answer        []byte // the function's error document
	Err           error  // of the invocation
}

func (e *StepError) Error() string { return e.reason() + e.detail() }

func (e *StepError) Unwrap() error { return e.Err }

// reason is the text of the RotationFailed event.
func (e *StepError) reason() string {
	return fmt.Sprintf("Error when executing lambda %s during %s step", e.FunctionARN, e.Step)
}

func (e *StepError) detail() string {
	if e.Err != nil {
		return ": " + e.Err.Error()
	}
	return fmt.Sprintf(": %s: %s", e.FunctionError, e.Answer)
}

// errNotPromoted is a finishSecret that returned without an error and without moving AWSCURRENT.
var errNotPromoted = errors.New("finishSecret left AWSCURRENT on another version")

// begin registers the empty version that a rotation fills, or the temporary copy that a test tries,
// under AWSPENDING.
func (s *Server) begin(r *record, token string, test bool, alter func(next *secret) error) (*rotation, error) {
	state, err := s.write(r, func(next *secret) error {
		if next.versions[token] != nil {
			return invalidRequest("You can't use ClientRequestToken %s because that value is already in use for a "+
				"version of secret %s.", token, next.arn)
		}
		if err := alter(next); err != nil {
			return err
		}
		var v *value
		if live := next.versions[next.labels[current]]; test && live != nil {
			v = live.value
		}
		next.add(token, v, s.now())
		next.attach(pending, token)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if r.rotation.live() {
		r.rotation.over = gone
	}
	former := r.rotation.underWay()
	r.rotation = &rotation{token: token, rotationToken: awsjson.NewUUID(), function: state.rotation.function,
		test: test, former: former}
	return r.rotation, nil
}

// underWay is the rotation, or one that it took the place of, if a step of it may still run; else
// nil.
func (r *rotation) underWay() *rotation {
	for ; r != nil && !r.running; r = r.former {
	}
	return r
}

// start lets a rotation run beside the caller.
func (s *Server) start(r *record, rot *rotation) {
	rot.running, rot.idle, rot.err = true, make(chan struct{}), nil
	s.emitRotation(r, rot, RotationStarted, TestRotationStarted, "")
	s.drives.Add(1)
	go s.drive(r, rot)
}

func (s *Server) drive(r *record, rot *rotation) {
	defer s.drives.Done()
	err := s.tries(r, rot)
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	if rot.test {
		s.removeTemporary(r, rot)
	}
	rot.err, rot.running = err, false
	close(rot.idle)
}

// tries repeats the whole rotation, with the same token, until it succeeds, ends or has failed
// often enough. What a failed test leads to is not documented; it is not repeated.
func (s *Server) tries(r *record, rot *rotation) error {
	for try := 1; ; try++ {
		err := s.attempt(r, rot)
		s.deliver()
		if err == nil || rot.test || try >= s.options.RotationTries || !s.mayGoOn(r, rot) {
			return err
		}
		select {
		case <-time.After(s.options.RetryDelay):
		case <-s.ctx.Done():
		}
		if s.ctx.Err() != nil { // both can have come at once
			return err
		}
	}
}

func (s *Server) attempt(r *record, rot *rotation) error {
	for _, step := range rot.steps() {
		if !s.mayGoOn(r, rot) {
			return s.stopped(r, rot)
		}
		if err := s.invoke(r, rot, step); err != nil {
			s.failed(r, rot, err)
			return err
		}
	}
	return s.complete(r, rot)
}

// mayGoOn asks, before each step, whether the rotation is still what the service works on.
func (s *Server) mayGoOn(r *record, rot *rotation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[r.now.name] != r || r.now.markedForDeletion() {
		rot.over = gone
	}
	return rot.live()
}

func (s *Server) stopped(r *record, rot *rotation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rot.over == unlabelled {
		s.emitRotation(r, rot, RotationAbandoned, TestRotationFailed, "")
	}
	return ErrAbandoned
}

func (s *Server) invoke(r *record, rot *rotation, step string) error {
	failure := &StepError{Step: step, FunctionARN: rot.function}
	if s.options.Functions == nil {
		failure.Err = errors.New("no functions are connected")
		return failure
	}
	payload, _ := json.Marshal(struct { // strings always marshal
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

// failed tells of a failed try, unless the rotation ended for a reason that was told already.
func (s *Server) failed(r *record, rot *rotation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rot.over != "" && rot.over != unlabelled {
		return
	}
	message := err.Error()
	if step := (*StepError)(nil); errors.As(err, &step) {
		message = step.reason()
	}
	s.emitRotation(r, rot, RotationFailed, TestRotationFailed, message)
}

// complete is what the service does once all steps have succeeded. It, and not the function, takes
// AWSPENDING off.
func (s *Server) complete(r *record, rot *rotation) error {
	s.mu.Lock()
	if rot.test && rot.live() {
		s.emitRotation(r, rot, RotationSucceeded, TestRotationSucceeded, "")
		s.mu.Unlock()
		return nil
	}
	if rot.live() && s.promoted(r, rot) {
		s.mu.Unlock()
		return nil
	}
	live := rot.live()
	s.mu.Unlock()
	if !live {
		return s.stopped(r, rot)
	}
	err := &StepError{Step: "finishSecret", FunctionARN: rot.function, Err: errNotPromoted}
	s.failed(r, rot, err)
	return err
}

// promoted finishes a rotation whose version is current; false leaves everything as it is.
func (s *Server) promoted(r *record, rot *rotation) bool {
	if r.now.labels[current] != rot.token {
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
	rot.over = succeeded
	s.emitRotation(r, rot, RotationSucceeded, TestRotationSucceeded, "")
	return true
}

// removeTemporary takes away the version that a test was made on, unless somebody has made use of
// it.
func (s *Server) removeTemporary(r *record, rot *rotation) {
	if rot.over == "" {
		rot.over = succeeded
	}
	for label, id := range r.now.labels {
		if id == rot.token && label != pending {
			return
		}
	}
	_, _ = s.write(r, func(next *secret) error { // to remove breaks no quota
		delete(next.versions, rot.token)
		if next.labels[pending] == rot.token {
			delete(next.labels, pending)
		}
		return nil
	})
}

// noticeLoss ends a rotation when a write takes AWSPENDING off its version before that version is
// current.
func (s *Server) noticeLoss(r *record, was, next *secret) {
	rot := r.rotation
	if !rot.live() || was.labels[pending] != rot.token || next.labels[pending] == rot.token ||
		next.labels[current] == rot.token {
		return
	}
	rot.over = unlabelled
	if next.made > was.made {
		rot.over = overtaken
		s.emitRotation(r, rot, RotationAbandoned, TestRotationFailed, "")
	}
}

func (s *Server) emitRotation(r *record, rot *rotation, name, ofTest, message string) {
	if rot.test {
		name = ofTest
	}
	s.emit(Event{Name: name, SecretARN: r.arn, VersionID: rot.token, Message: message})
}

// checkRotationToken judges the proof that a put belongs to the rotation, where the caller gives
// one. Which error AWS answers is not documented.
func (r *record) checkRotationToken(in putSecretValueInput) error {
	rot := r.rotation
	if in.RotationToken == nil || rot == nil || rot.token != in.ClientRequestToken ||
		rot.rotationToken == *in.RotationToken {
		return nil
	}
	return invalidParameter("The RotationToken is not that of the rotation of version %s.", rot.token)
}
