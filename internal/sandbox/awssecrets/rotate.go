package awssecrets

import (
	"slices"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

type rotateSecretInput struct {
	SecretId           string
	ClientRequestToken string
	RotationLambdaARN  string
	RotationRules      *rules
	RotateImmediately  *bool
}

type rotateSecretOutput struct {
	ARN       string
	Name      string
	VersionId string `json:",omitempty"`
}

func (in rotateSecretInput) check() error {
	if err := checkSecretID(in.SecretId); err != nil {
		return err
	}
	if err := checkToken(in.ClientRequestToken); err != nil {
		return err
	}
	if len(in.RotationLambdaARN) > 2048 {
		return invalidParameter("RotationLambdaARN must be at most 2048 characters long.")
	}
	if in.RotationRules == nil || in.RotationRules.empty() {
		return nil
	}
	_, err := in.RotationRules.parse()
	return err
}

// rotateSecret configures a rotation and starts it. It returns before the first step.
func (s *Server) rotateSecret(in rotateSecretInput) (rotateSecretOutput, error) {
	if err := in.check(); err != nil {
		return rotateSecretOutput{}, err
	}
	// This check comes before the lock is taken, because Functions can have its own lock. It also
	// comes before anything changes.
	if err := s.checkFunction(in); err != nil {
		return rotateSecretOutput{}, err
	}
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(in.SecretId)
	if err != nil {
		return rotateSecretOutput{}, err
	}
	if err := s.rotate(r, in); err != nil {
		return rotateSecretOutput{}, err
	}
	return rotateSecretOutput{ARN: r.state.arn, Name: r.state.name, VersionId: in.ClientRequestToken}, nil
}

func (s *Server) rotate(r *record, in rotateSecretInput) error {
	if r.state.markedForDeletion() {
		return errMarked
	}
	if s.closed {
		return awsjson.Faultf("InternalServiceError", "the sandbox's Secrets Manager is closed")
	}
	if token, blocked := r.state.pendingElsewhere(); blocked {
		return s.resume(r, token, in.ClientRequestToken)
	}
	testOnly := in.RotateImmediately != nil && !*in.RotateImmediately
	rot, err := s.begin(r, in.ClientRequestToken, testOnly, func(next *secret) error {
		return next.configure(in, s)
	})
	if err != nil {
		return err
	}
	s.start(r, rot)
	return nil
}

// resume refuses a rotation because a previous one is not complete, and continues the previous one,
// as the error message says. If the same request is repeated while its rotation runs, it succeeds.
func (s *Server) resume(r *record, token, requested string) error {
	rot := r.rotation
	if !rot.active() || rot.token != token || rot.startedByTest {
		return errIncomplete // there is no rotation that the service could continue
	}
	if rot.running {
		if token == requested {
			return nil
		}
		return errIncomplete
	}
	s.start(r, rot)
	return errIncomplete
}

func (next *secret) configure(in rotateSecretInput, s *Server) error {
	c := &next.rotation
	if in.RotationLambdaARN != "" {
		c.function = in.RotationLambdaARN
	}
	if c.function == "" {
		return errNoFunction
	}
	reset := !c.enabled
	c.configured, c.enabled = true, true
	if in.RotationRules != nil && !in.RotationRules.empty() {
		c.rules, reset = *in.RotationRules, true
	}
	if reset { // otherwise the date stays until a rotation succeeds, even if it is in the past
		c.next = c.firstDate(s.now())
	}
	return nil
}

// firstDate returns the NextRotationDate of new rules. It counts from the last rotation, or from
// now if that date would be in the past.
func (c configuration) firstDate(now time.Time) time.Time {
	if !c.rotated.IsZero() {
		if next := c.rules.next(c.rotated); next.After(now) {
			return next
		}
	}
	return c.rules.next(now)
}

var errNoFunction = invalidRequest("No Lambda rotation function ARN is associated with this secret.")

func (s *Server) checkFunction(in rotateSecretInput) error {
	arn := in.RotationLambdaARN
	if arn == "" {
		s.mu.Lock()
		if r, err := s.find(in.SecretId); err == nil {
			arn = r.state.rotation.function
		}
		s.mu.Unlock()
	}
	if arn == "" {
		return nil // refused later, in the service's order of checks
	}
	known := s.options.Functions != nil
	if finder, ok := s.options.Functions.(interface{ Exists(functionARN string) bool }); ok {
		known = finder.Exists(arn)
	}
	if !known {
		return notFound("Lambda %s could not be found.", arn)
	}
	return nil
}

type cancelRotateSecretOutput struct {
	ARN       string
	Name      string
	VersionId string `json:",omitempty"`
}

// cancelRotateSecret turns rotation off. A step that is running continues, no other step follows,
// and AWSPENDING stays.
func (s *Server) cancelRotateSecret(in secretInput) (cancelRotateSecretOutput, error) {
	var out cancelRotateSecretOutput
	state, err := s.change(in.SecretId, func(r *record, next *secret) error {
		if !next.rotation.configured {
			return errNoFunction
		}
		next.rotation.enabled = false
		out.VersionId, _ = next.pendingElsewhere()
		if r.rotation.active() {
			r.rotation.ended = cancelled
		}
		return nil
	})
	if err != nil {
		return cancelRotateSecretOutput{}, err
	}
	out.ARN, out.Name = state.arn, state.name
	return out, nil
}

// due returns the records whose rotation window has passed and whose rotation is not running,
// oldest first.
func (s *Server) due() []*record {
	var due []*record
	for name := range s.secrets {
		r, err := s.find(name)
		if err != nil || r.state.markedForDeletion() || r.rotation.active() && r.rotation.running {
			continue
		}
		if c := r.state.rotation; c.enabled && !c.next.IsZero() && s.now().After(c.next) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *record) int { return a.order - b.order })
	return due
}
