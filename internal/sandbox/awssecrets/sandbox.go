package awssecrets

import (
	"context"
	"fmt"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

// The functions in this file are not part of the service's API. Tests and the demo use them to
// inspect and control the service.

// A Snapshot is a deep copy of one secret.
type Snapshot struct {
	ARN      string
	Name     string
	Versions []Version // oldest first, including deprecated versions
}

// A Version is one version in a Snapshot.
type Version struct {
	ID      string
	Stages  []string // sorted
	Value   string   // the text, or the bytes
	Empty   bool     // a rotation registered the version and has not stored a value yet
	Created time.Time
}

// Holder returns the version that has the label.
func (s Snapshot) Holder(label string) (Version, bool) {
	for _, v := range s.Versions {
		for _, stage := range v.Stages {
			if stage == label {
				return v, true
			}
		}
	}
	return Version{}, false
}

// Snapshot returns a copy of a secret. It sends no request, ignores SetReadLag, and does not change
// LastAccessedDate.
func (s *Server) Snapshot(secretID string) (Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(secretID)
	if err != nil {
		return Snapshot{}, err
	}
	shot := Snapshot{ARN: r.state.arn, Name: r.state.name}
	for _, v := range r.state.sorted() {
		seen := Version{ID: v.id, Stages: r.state.stages(v.id), Empty: v.value == nil, Created: v.created}
		if v.value != nil {
			seen.Value = v.value.text + string(v.value.binary) // one of the two is empty
		}
		shot.Versions = append(shot.Versions, seen)
	}
	return shot, nil
}

// SetReadLag makes the next n responses of DescribeSecret and GetSecretValue return their secret as
// it was before its last write. Users of AWS have reported such stale reads between the steps of a
// rotation.
func (s *Server) SetReadLag(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staleReads = n
}

// SetReplicaStatus sets the status of a replica (InSync, InProgress or Failed) and its message,
// which can be empty.
func (s *Server) SetReplicaStatus(secretID, region, status, message string) error {
	_, err := s.changeAny(secretID, func(_ *record, next *secret) error {
		r := next.replicaIn(region)
		if r == nil {
			return fmt.Errorf("set replica status: %s has no replica in %s", next.name, region)
		}
		r.Status, r.StatusMessage = status, message
		return nil
	})
	return err
}

// SetUndecryptable makes GetSecretValue fail with the error code for a version of any secret, as if
// its KMS key were disabled. An empty code ends this.
func (s *Server) SetUndecryptable(versionID, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.undecryptable == nil {
		s.undecryptable = map[string]string{}
	}
	s.undecryptable[versionID] = code
}

// SetPrimaryRegion makes the secret a replica of a primary in that region. An empty region makes it
// an ordinary secret again. A replica refuses every change. AWS does not document the text of the
// error; this is the text of moto and LocalStack.
func (s *Server) SetPrimaryRegion(secretID, region string) error {
	_, err := s.changeAny(secretID, func(_ *record, next *secret) error {
		next.primary = region
		return nil
	})
	return err
}

// WaitRotation waits until no rotation of the secret runs, including the last step of a rotation
// that was replaced. It returns nil if the last rotation succeeded or there was none. Otherwise it
// returns the reason: a *StepError or ErrAbandoned.
func (s *Server) WaitRotation(ctx context.Context, secretID string) error {
	for {
		idle, err := s.lastRotation(secretID)
		if idle == nil {
			return err
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Server) lastRotation(secretID string) (idle <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(secretID)
	if err != nil || r.rotation == nil {
		return nil, err
	}
	if running := r.rotation.stillRunning(); running != nil {
		return running.idle, nil
	}
	return nil, r.rotation.err
}

// Retry continues the stuck rotation with its token, as the service does in a later window.
func (s *Server) Retry(secretID string) error {
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(secretID)
	if err != nil {
		return err
	}
	if !r.rotation.active() || r.rotation.running || s.closed {
		return fmt.Errorf("retry rotation: %s has no stuck rotation", r.state.name)
	}
	s.start(r, r.rotation)
	return nil
}

// RotateDue starts the rotation of every secret whose NextRotationDate has passed, or continues its
// stuck rotation. It returns the ARNs of these secrets.
func (s *Server) RotateDue() []string {
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	var started []string
	for _, r := range s.due() {
		// The call can return an error and still continue a stuck rotation. Therefore the error is
		// ignored, and the rotation's state is checked.
		_ = s.rotate(r, rotateSecretInput{ClientRequestToken: awsjson.NewUUID()})
		if r.rotation.active() && r.rotation.running {
			started = append(started, r.arn)
		}
	}
	return started
}

// StartPending registers an empty version with AWSPENDING, as RotateSecret does, but invokes no
// function. The test acts as the service. If rotation is off, StartPending turns it on, with a
// function that need not exist. It returns the rotation token that the service would send in the
// event.
func (s *Server) StartPending(secretID, token string) (rotationToken string, err error) {
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkToken(token); err != nil {
		return "", err
	}
	r, err := s.find(secretID)
	if err != nil {
		return "", err
	}
	if r.state.markedForDeletion() {
		return "", errMarked
	}
	if _, blocked := r.state.pendingElsewhere(); blocked {
		return "", errIncomplete
	}
	in := rotateSecretInput{RotationLambdaARN: r.state.rotation.function}
	if in.RotationLambdaARN == "" {
		in.RotationLambdaARN = "arn:aws:lambda:" + s.options.Region + ":" + s.options.Account + ":function:rotate"
	}
	rot, err := s.begin(r, token, false, func(next *secret) error { return next.configure(in, s) })
	if err != nil {
		return "", err
	}
	rot.startedByTest = true
	return rot.rotationToken, nil
}

// FinishPending does what the service does after finishSecret has succeeded. It removes AWSPENDING
// from the version that is now current and records the date of the rotation.
func (s *Server) FinishPending(secretID string) error {
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(secretID)
	if err != nil {
		return err
	}
	if !r.rotation.active() || r.rotation.running || !s.finishIfCurrent(r, r.rotation) {
		return fmt.Errorf("finish rotation: the pending version of %s is not current", r.state.name)
	}
	return nil
}
