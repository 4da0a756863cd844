package awssecrets

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"quilt-rotate/internal/sandbox/clock"
)

// A Function is what rotations call. An error means that the function could not be invoked; a
// function that ran and failed says so in functionError, with the error's document as its answer.
//
// A Function that also has Exists(functionARN string) bool is asked before a rotation is
// configured; without it every function is taken to exist.
type Function interface {
	Invoke(ctx context.Context, functionARN string, payload []byte) (answer []byte, functionError string, err error)
}

// Options are the settings of a Server. The zero value works, without functions to rotate with.
type Options struct {
	Clock     *clock.Clock // real time if nil
	Region    string       // us-east-1 if empty
	Account   string       // 123456789012 if empty
	Functions Function     // nil: no function exists
	// gets each event, one at a time and in order, possibly shortly after the call that made it
	OnEvent       func(Event)
	LambdaTimeout time.Duration // of one step; 15 minutes, Lambda's longest, if zero

	// AWS retries a failed rotation "multiple times" within its window and documents neither number
	// nor pauses.
	RotationTries int           // in all; 3 if zero
	RetryDelay    time.Duration // real time between tries; 50 ms if zero
}

// A Server is the service with all its secrets. It is safe for concurrent use.
type Server struct {
	options Options
	wire    http.Handler
	ctx     context.Context // of the functions' invocations; ends with Close
	stop    context.CancelFunc
	drives  sync.WaitGroup // one for each goroutine that drives a rotation

	mu      sync.Mutex // guards everything below; never held while a function or the observer runs
	closed  bool
	secrets map[string]*record // by name
	made    int                // secrets ever made, for their order
	lag     int                // reads yet to be answered from the past

	undecryptable map[string]string // versions that GetSecretValue does not give, and its error code

	events     []Event
	delivered  int
	delivering bool
}

var _ http.Handler = (*Server)(nil)

// A record is a secret over time: its state, the one before, and what is no part of the state.
type record struct {
	order    int
	arn      string
	now      *secret
	before   *secret // nil until the second write
	rotation *rotation

	// Accesses are kept beside the state: a read is no write.
	accessed map[string]time.Time // by version id
	lastRead time.Time
}

// New is an empty service.
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

// Close cancels the running functions' contexts and waits until no rotation runs. Later rotations
// are refused; all else goes on.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.drives.Wait()
}

// now is the sandbox's time, as exact as the protocol can say it.
func (s *Server) now() time.Time { return s.options.Clock.Now().Truncate(time.Millisecond) }

// find is the record of a SecretId. A secret whose recovery window is over is gone.
func (s *Server) find(id string) (*record, error) {
	name := s.nameOf(id)
	r := s.secrets[name]
	if r == nil {
		return nil, errNoSecret
	}
	if r.now.markedForDeletion() && !s.now().Before(r.now.deletion) {
		delete(s.secrets, name)
		return nil, errNoSecret
	}
	return r, nil
}

// errUnchanged ends a write that has nothing to do.
var errUnchanged = errors.New("unchanged")

// change is every write to a secret that is not marked for deletion.
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

// changeAny is every write: alter gets a copy of the state, and its error leaves all as it was.
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
	next := r.now.clone()
	if err := alter(next); errors.Is(err, errUnchanged) {
		return r.now, nil
	} else if err != nil {
		return nil, err
	}
	if err := next.settle(s.now()); err != nil {
		return nil, err
	}
	s.commit(r, next)
	return next, nil
}

func (s *Server) commit(r *record, next *secret) {
	was := r.now
	next.changed = s.now()
	r.before, r.now = was, next
	s.emitLabels(was, next)
	s.noticeLoss(r, was, next)
}

// read is every read that lags when the sandbox is told to: see SetReadLag.
func (s *Server) read(id string) (*record, *secret, error) {
	if err := checkSecretID(id); err != nil {
		return nil, nil, err
	}
	r, err := s.find(id)
	if err != nil {
		return nil, nil, err
	}
	if s.lag == 0 {
		return r, r.now, nil
	}
	s.lag--
	if r.before == nil {
		return nil, nil, errNoSecret
	}
	return r, r.before, nil
}
