// Package awslambda is AWS Lambda on loopback, as far as a rotation needs it: it runs a function's
// built `bootstrap` as the service would, through the documented Runtime API, and answers the
// Invoke API on the wire.
//
// It relies on real time, since the processes it runs read real time, except that the lines of the
// log groups have the time of the sandbox's clock. It relies on the machine to run the function's
// architecture, natively or through qemu-user. What it answers follows the Lambda
// Developer Guide ("Using the Lambda runtime API for custom runtimes", "Understanding the Lambda
// execution environment lifecycle") and the API Reference.
//
// It never checks signatures or permissions, never enforces the memory size, and never freezes an
// environment between two events, as the service does. It gives a function nothing of its own
// process's environment.
package awslambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"sync"
	"time"

	"quilt-rotate/internal/sandbox/clock"
)

// defaultConcurrency is the quota of concurrent executions that an AWS account has by default.
const defaultConcurrency = 1000

var (
	errClosed      = errors.New("invoke function: the host is closed")
	accountPattern = regexp.MustCompile(`^\d{12}$`)
)

// Options are the account that a Host plays.
type Options struct {
	Region      string
	Account     string
	Stderr      io.Writer     // gets a copy of the functions' logs, each line after the function's name; may be nil
	Concurrency int           // the account's concurrent executions; 0 means 1000
	RetryDelay  time.Duration // before each retry of an event; the service waits one minute, then two

	Clock *clock.Clock // of the log groups; nil: real time
}

// A Host is the Lambda service of one account and region. As an http.Handler it is the service's
// API.
type Host struct {
	options   Options
	directory string // of the environments' /tmp
	router    *http.ServeMux
	console   *console
	initLimit time.Duration
	within    limiter

	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	inFlight sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	functions   map[string]*function
	concurrency int
	executing   int           // invocations that hold a slot of the account's concurrency
	events      int           // asynchronous events, queued or executing
	changed     chan struct{} // closed, and replaced, when one of the three numbers above changes
}

// A limiter ends a context after a time. Tests have others than [context.WithTimeout], which end it
// at an event.
type limiter func(parent context.Context, limit time.Duration) (context.Context, context.CancelFunc)

// New starts a Host that has no functions.
func New(options Options) (*Host, error) {
	if options.Region == "" || !accountPattern.MatchString(options.Account) {
		return nil, fmt.Errorf("start Lambda host: region %q and account %q: give a region and a 12-digit account",
			options.Region, options.Account)
	}
	if options.Clock == nil {
		options.Clock = &clock.Clock{}
	}
	if options.Concurrency == 0 {
		options.Concurrency = defaultConcurrency
	}
	directory, err := os.MkdirTemp("", "awslambda-")
	if err != nil {
		return nil, fmt.Errorf("start Lambda host: %w", err)
	}
	h := &Host{
		options:     options,
		directory:   directory,
		console:     &console{out: options.Stderr},
		initLimit:   10 * time.Second, // the limit of the Init phase, as the Developer Guide gives it
		within:      context.WithTimeout,
		functions:   map[string]*function{},
		concurrency: options.Concurrency,
		changed:     make(chan struct{}),
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.router = h.routes()
	return h, nil
}

// Close kills every process that the Host started, ends the invocations under way with an error,
// and removes the Host's files. A Handler that ignores its context runs on.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	names := make([]string, 0, len(h.functions))
	for name := range h.functions {
		names = append(names, name)
	}
	h.mu.Unlock()

	h.stop()
	h.inFlight.Wait()
	for _, name := range names {
		h.Remove(name)
	}
	if err := os.RemoveAll(h.directory); err != nil {
		return fmt.Errorf("close Lambda host: %w", err)
	}
	return nil
}

// SetConcurrency changes the account's concurrent executions, the limit that a throttled caller
// meets.
func (h *Host) SetConcurrency(limit int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.concurrency = limit
	h.announce()
}

// Idle waits until no asynchronous event is queued or executing.
func (h *Host) Idle(ctx context.Context) error {
	for {
		h.mu.Lock()
		events, changed := h.events, h.changed
		h.mu.Unlock()
		if events == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d events: %w", events, ctx.Err())
		}
	}
}

// announce wakes those who wait for a slot or for the last event. The caller holds h.mu.
func (h *Host) announce() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// enter takes one slot of the account's concurrency, or refuses as the service does.
func (h *Host) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	if h.executing >= h.concurrency {
		return &Error{Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Rate Exceeded.",
			Reason: "ConcurrentInvocationLimitExceeded"}
	}
	h.executing++
	h.inFlight.Add(1)
	return nil
}

// enterLater waits for a slot: the service keeps an event that is throttled and tries again.
func (h *Host) enterLater() error {
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		var refused *Error
		if err := h.enter(); !errors.As(err, &refused) {
			return err
		}
		select {
		case <-changed:
		case <-h.ctx.Done():
			return errClosed
		}
	}
}

func (h *Host) leave() {
	h.mu.Lock()
	h.executing--
	h.announce()
	h.mu.Unlock()
	h.inFlight.Done()
}
