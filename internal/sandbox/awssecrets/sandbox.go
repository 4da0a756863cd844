package awssecrets

import (
	"context"
	"fmt"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

// What follows is not the service's API: it is how tests and the demo look at the service and move
// it along.

// A Snapshot is a deep copy of one secret.
type Snapshot struct {
	ARN      string
	Name     string
	Marked   bool      // for deletion
	Versions []Version // oldest first, deprecated ones too
}

// A Version is one version in a Snapshot.
type Version struct {
	ID      string
	Stages  []string // sorted
	Value   string   // text, or bytes as they are
	Empty   bool     // registered by a rotation, not stored yet
	Created time.Time
}

// Holder is the version with a label.
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

// Snapshot looks at a secret without the wire, past any read lag and without counting as an access.
func (s *Server) Snapshot(secretID string) (Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(secretID)
	if err != nil {
		return Snapshot{}, err
	}
	shot := Snapshot{ARN: r.now.arn, Name: r.now.name, Marked: r.now.markedForDeletion()}
	for _, v := range r.now.sorted() {
		seen := Version{ID: v.id, Stages: r.now.stages(v.id), Empty: v.value == nil, Created: v.created}
		if v.value != nil {
			seen.Value = v.value.text + string(v.value.binary) // one of the two is empty
		}
		shot.Versions = append(shot.Versions, seen)
	}
	return shot, nil
}

// SetReadLag lets the next n answers of DescribeSecret and GetSecretValue show their secret as it
// was before its last write, which is what users report of AWS between the steps of a rotation.
func (s *Server) SetReadLag(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = n
}

// SetReplicaStatus says how far a replica is: InSync, InProgress or Failed, with a message or
// without.
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

// SetUndecryptable lets GetSecretValue fail with that error code for a version of any secret, as if
// its KMS key were disabled; "" ends it. Nothing else about the version changes.
func (s *Server) SetUndecryptable(versionID, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.undecryptable == nil {
		s.undecryptable = map[string]string{}
	}
	s.undecryptable[versionID] = code
}

// SetPrimaryRegion makes the secret a replica whose primary is in that region; "" makes it a secret
// of its own again. A replica refuses every change, with the text that moto and LocalStack have;
// AWS documents no text.
func (s *Server) SetPrimaryRegion(secretID, region string) error {
	_, err := s.changeAny(secretID, func(_ *record, next *secret) error {
		next.primary = region
		return nil
	})
	return err
}

// WaitRotation waits until no rotation of the secret runs, nor the last step of one that another
// took the place of. It returns nil if the last one succeeded or there was none, else why it did
// not: a *StepError or ErrAbandoned.
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
	if running := r.rotation.underWay(); running != nil {
		return running.idle, nil
	}
	return nil, r.rotation.err
}

// Retry goes on with the rotation that is stuck, with its token, as the service does in a later
// window.
func (s *Server) Retry(secretID string) error {
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(secretID)
	if err != nil {
		return err
	}
	if !r.rotation.live() || r.rotation.running || s.closed {
		return fmt.Errorf("retry rotation: %s has no rotation that is stuck", r.now.name)
	}
	s.start(r, r.rotation)
	return nil
}

// RotateDue starts the rotation of every secret whose NextRotationDate is past, or goes on with the
// one that is stuck. It returns their ARNs.
func (s *Server) RotateDue() []string {
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	var started []string
	for _, r := range s.due() {
		// A refusal can have gone on with the rotation that is stuck: what counts is whether one
		// runs now.
		_ = s.rotate(r, rotateSecretInput{ClientRequestToken: awsjson.NewUUID()})
		if r.rotation.live() && r.rotation.running {
			started = append(started, r.arn)
		}
	}
	return started
}

// StartPending registers an empty version with AWSPENDING exactly as RotateSecret does, and invokes
// nothing: the test plays the service. Where rotation is off it is turned on, with a function that
// need not exist. The rotation token is what the service would put into the event.
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
	if r.now.markedForDeletion() {
		return "", errMarked
	}
	if _, blocked := r.now.pendingElsewhere(); blocked {
		return "", errIncomplete
	}
	in := rotateSecretInput{RotationLambdaARN: r.now.rotation.function}
	if in.RotationLambdaARN == "" {
		in.RotationLambdaARN = "arn:aws:lambda:" + s.options.Region + ":" + s.options.Account + ":function:rotate"
	}
	rot, err := s.begin(r, token, false, func(next *secret) error { return next.configure(in, s) })
	if err != nil {
		return "", err
	}
	rot.byTest = true
	return rot.rotationToken, nil
}

// FinishPending is what the service does when finishSecret has succeeded: it takes AWSPENDING off
// the version that is now current, and dates the rotation.
func (s *Server) FinishPending(secretID string) error {
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(secretID)
	if err != nil {
		return err
	}
	if !r.rotation.live() || r.rotation.running || !s.promoted(r, r.rotation) {
		return fmt.Errorf("finish rotation: the pending version of %s is not current", r.now.name)
	}
	return nil
}
