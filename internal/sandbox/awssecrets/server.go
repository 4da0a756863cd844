package awssecrets

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"quilt-rotate/internal/sandbox/clock"
)

// A Function runs the rotation functions. Invoke returns an error only if the function could not be
// invoked. If the function ran and failed, functionError is set and answer is the error document.
//
// If the Function also has a method Exists(functionARN string) bool, a rotation can be configured
// only with a function for which it returns true. Otherwise every function exists.
type Function interface {
	Invoke(ctx context.Context, functionARN string, payload []byte) (answer []byte, functionError string, err error)
}

// Options are the settings of a Server. The zero value is valid and has no functions.
type Options struct {
	Clock     *clock.Clock // real time if nil
	Region    string       // us-east-1 if empty
	Account   string       // 123456789012 if empty
	Functions Function     // nil: no function exists
	// OnEvent receives each event, one at a time and in order. It can run after the call that
	// caused the event has returned.
	OnEvent       func(Event)
	LambdaTimeout time.Duration // of one step; if zero, 15 minutes, Lambda's maximum

	// AWS retries a failed rotation "multiple times" within its window. The number of retries and
	// the pauses are not documented.
	RotationTries int           // number of attempts; 3 if zero
	RetryDelay    time.Duration // real time between attempts; 50 ms if zero
}

// A Server is the service and its secrets. It is safe for concurrent use.
type Server struct {
	options    Options
	wire       http.Handler
	ctx        context.Context // for invocations of functions; Close cancels it
	stop       context.CancelFunc
	goroutines sync.WaitGroup // that run rotations

	mu         sync.Mutex // guards the fields below; never held while a function or OnEvent runs
	closed     bool
	secrets    map[string]*record // by name
	count      int                // number of secrets created so far, for their order
	staleReads int                // number of reads that still return the prior state

	undecryptable map[string]string // by version id: the error code of GetSecretValue

	events     []Event
	delivered  int
	delivering bool
}

var _ http.Handler = (*Server)(nil)

// A record is a secret with its history: the current state, the prior state, and data that is not
// part of a state.
type record struct {
	order      int
	arn        string
	state      *secret
	priorState *secret // nil until the second write
	rotation   *rotation

	// Access dates are not part of the state, because a read is not a write.
	accessed map[string]time.Time // by version id
	lastRead time.Time
}

// New returns a service without secrets.
func New(options Options) *Server {
	if options.Clock == nil {
		options.Clock = &clock.Clock{}
	}
	if options.Region == "" {
		options.Region = "us-east-1"
	}
	if options.Account == "" {
		options.Account = "123456789012"
	}
	if options.RotationTries == 0 {
		options.RotationTries = 3
	}
	if options.RetryDelay == 0 {
		options.RetryDelay = 50 * time.Millisecond
	}
	if options.LambdaTimeout == 0 {
		options.LambdaTimeout = 15 * time.Minute
	}
	s := &Server{options: options, secrets: map[string]*record{}}
	s.wire = s.api()
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Close cancels the contexts of the running functions and waits until no rotation runs. After that,
// rotations are refused. All other requests still work.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.goroutines.Wait()
}

// now returns the sandbox's time in milliseconds, the resolution of the protocol.
func (s *Server) now() time.Time { return s.options.Clock.Now().Truncate(time.Millisecond) }

// find returns the record of a SecretId. It deletes a secret whose recovery window is over.
func (s *Server) find(id string) (*record, error) {
	name := s.nameOf(id)
	r := s.secrets[name]
	if r == nil {
		return nil, errNoSecret
	}
	if r.state.markedForDeletion() && !s.now().Before(r.state.deletion) {
		delete(s.secrets, name)
		return nil, errNoSecret
	}
	return r, nil
}

// errUnchanged ends a write that changes nothing.
var errUnchanged = errors.New("unchanged")

// change writes a secret. It refuses a secret that is marked for deletion, and a replica.
func (s *Server) change(id string, alter func(r *record, next *secret) error) (*secret, error) {
	return s.changeAny(id, func(r *record, next *secret) error {
		if next.markedForDeletion() {
			return errMarked
		}
		if next.primary != "" {
			return errReplica
		}
		return alter(r, next)
	})
}

// changeAny writes a secret. alter changes a copy of the state. If alter returns an error, nothing
// changes.
func (s *Server) changeAny(id string, alter func(r *record, next *secret) error) (*secret, error) {
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkSecretID(id); err != nil {
		return nil, err
	}
	r, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return s.write(r, func(next *secret) error { return alter(r, next) })
}

func (s *Server) write(r *record, alter func(next *secret) error) (*secret, error) {
	next := r.state.clone()
	if err := alter(next); errors.Is(err, errUnchanged) {
		return r.state, nil
	} else if err != nil {
		return nil, err
	}
	if err := next.enforceQuotas(s.now()); err != nil {
		return nil, err
	}
	s.commit(r, next)
	return next, nil
}

func (s *Server) commit(r *record, next *secret) {
	before := r.state
	next.changed = s.now()
	r.priorState, r.state = before, next
	s.emitLabels(before, next)
	s.endIfPendingRemoved(r, before, next)
}

// read returns the state of a secret. The state can be stale: see SetReadLag.
func (s *Server) read(id string) (*record, *secret, error) {
	if err := checkSecretID(id); err != nil {
		return nil, nil, err
	}
	r, err := s.find(id)
	if err != nil {
		return nil, nil, err
	}
	if s.staleReads == 0 {
		return r, r.state, nil
	}
	s.staleReads--
	if r.priorState == nil {
		return nil, nil, errNoSecret
	}
	return r, r.priorState, nil
}
