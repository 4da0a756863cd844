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

// rotateSecret configures a rotation and starts it, and returns before its first step.
func (s *Server) rotateSecret(in rotateSecretInput) (rotateSecretOutput, error) {
	if err := in.check(); err != nil {
		return rotateSecretOutput{}, err
	}
	// Asked before the lock is taken, and before anything is changed: whoever keeps the functions
	// has locks of its own.
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
	return rotateSecretOutput{ARN: r.now.arn, Name: r.now.name, VersionId: in.ClientRequestToken}, nil
}

func (s *Server) rotate(r *record, in rotateSecretInput) error {
	if r.now.markedForDeletion() {
		return errMarked
	}
	if s.closed {
		return awsjson.Faultf("InternalServiceError", "the sandbox's Secrets Manager is closed")
	}
	if token, blocked := r.now.pendingElsewhere(); blocked {
		return s.redrive(r, token, in.ClientRequestToken)
	}
	test := in.RotateImmediately != nil && !*in.RotateImmediately
	rot, err := s.begin(r, in.ClientRequestToken, test, func(next *secret) error {
		return next.configure(in, s)
	})
	if err != nil {
		return err
	}
	s.start(r, rot)
	return nil
}

// redrive refuses a rotation because of one that is not complete, and goes on with that one, as the
// refusal says. The same request again, while its rotation runs, is no other rotation.
func (s *Server) redrive(r *record, token, requested string) error {
	rot := r.rotation
	if !rot.live() || rot.token != token || rot.byTest {
		return errIncomplete // not of a rotation that the service could go on with
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
	anew := !c.enabled
	c.ever, c.enabled = true, true
	if in.RotationRules != nil && !in.RotationRules.empty() {
		c.rules, anew = *in.RotationRules, true
	}
	if anew { // else the date stays until a rotation succeeds, in the past if need be
		c.next = c.firstDate(s.now())
	}
	return nil
}

// firstDate is the NextRotationDate of new rules: counted from the last rotation, unless that date
// is past already.
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
			arn = r.now.rotation.function
		}
		s.mu.Unlock()
	}
	if arn == "" {
		return nil // refused later, in the order of the service's own checks
	}
	known := s.options.Functions != nil
	if index, ok := s.options.Functions.(interface{ Exists(functionARN string) bool }); ok {
		known = index.Exists(arn)
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

// cancelRotateSecret turns rotation off. The step that runs goes on, no other follows, and
// AWSPENDING stays.
func (s *Server) cancelRotateSecret(in secretInput) (cancelRotateSecretOutput, error) {
	var out cancelRotateSecretOutput
	state, err := s.change(in.SecretId, func(r *record, next *secret) error {
		if !next.rotation.ever {
			return errNoFunction
		}
		next.rotation.enabled = false
		out.VersionId, _ = next.pendingElsewhere()
		if r.rotation.live() {
			r.rotation.over = cancelled
		}
		return nil
	})
	if err != nil {
		return cancelRotateSecretOutput{}, err
	}
	out.ARN, out.Name = state.arn, state.name
	return out, nil
}

// due are the records whose window has passed and of which no rotation runs, oldest first.
func (s *Server) due() []*record {
	var due []*record
	for name := range s.secrets {
		r, err := s.find(name)
		if err != nil || r.now.markedForDeletion() || r.rotation.live() && r.rotation.running {
			continue
		}
		if c := r.now.rotation; c.enabled && !c.next.IsZero() && s.now().After(c.next) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *record) int { return a.order - b.order })
	return due
}
