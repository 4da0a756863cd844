// Package awslambda is AWS Lambda on loopback, with the operations that a rotation needs. It runs a
// function's `bootstrap` with the documented Runtime API, and serves the Invoke API over HTTP.
//
// It uses real time, because the processes of functions read the real time. Only the lines of log
// groups have the time of the sandbox's clock. The machine must be able to run the architecture of
// a function, natively or with qemu-user. The answers follow the Lambda Developer Guide ("Using the
// Lambda runtime API for custom runtimes", "Understanding the Lambda execution environment
// lifecycle") and the API Reference.
//
// Unlike the service, it never checks signatures or permissions, never enforces the memory size,
// and never freezes an environment between two events. A function does not get the environment
// variables of this process.
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

// Options configure a Host.
type Options struct {
	Region      string
	Account     string
	Stderr      io.Writer     // gets the log lines of all functions, with the function's name; may be nil
	Concurrency int           // the account's concurrent executions; default: 1000
	RetryDelay  time.Duration // the time before each retry of an event; the service waits one minute, then two

	Clock *clock.Clock // for the log groups; default: real time
}

// A Host is the Lambda service of an account and region. Its ServeHTTP serves the API.
type Host struct {
	options     Options
	directory   string // contains the /tmp of each environment
	router      *http.ServeMux
	console     *console
	initLimit   time.Duration
	withTimeout limiter

	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	inFlight sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	functions   map[string]*function
	concurrency int
	executing   int           // the number of invocations that run
	events      int           // the number of asynchronous events that are queued or run
	changed     chan struct{} // closed and replaced when one of the three numbers above changes
}

// A limiter returns a context that ends after a time. It is [context.WithTimeout] except in tests.
type limiter func(parent context.Context, limit time.Duration) (context.Context, context.CancelFunc)

// New returns a Host without functions.
func New(options Options) (*Host, error) {
	if options.Region == "" || !accountPattern.MatchString(options.Account) {
		return nil, fmt.Errorf("start Lambda host: the region is %q and the account is %q: set a region and "+
			"an account of 12 digits", options.Region, options.Account)
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
		initLimit:   10 * time.Second, // the limit of the Init phase in the Developer Guide
		withTimeout: context.WithTimeout,
		functions:   map[string]*function{},
		concurrency: options.Concurrency,
		changed:     make(chan struct{}),
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.router = h.routes()
	return h, nil
}

// Close kills all processes that the Host started, ends running invocations with an error, and
// removes the Host's files. A Handler that ignores its context continues.
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

// SetConcurrency changes the limit of the account's concurrent executions. A caller over the limit
// is throttled.
func (h *Host) SetConcurrency(limit int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.concurrency = limit
	h.announce()
}

// WaitIdle waits until no asynchronous event is queued or runs.
func (h *Host) WaitIdle(ctx context.Context) error {
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

// announce wakes the goroutines that wait for a slot or for the last event. The caller must hold
// h.mu.
func (h *Host) announce() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// acquireSlot takes a slot of the account's concurrency. If there is none, it returns the error of
// the service.
func (h *Host) acquireSlot() error {
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

// waitForSlot waits for a slot, because the service keeps an event that is throttled.
func (h *Host) waitForSlot() error {
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		var refused *Error
		if err := h.acquireSlot(); !errors.As(err, &refused) {
			return err
		}
		select {
		case <-changed:
		case <-h.ctx.Done():
			return errClosed
		}
	}
}

func (h *Host) releaseSlot() {
	h.mu.Lock()
	h.executing--
	h.announce()
	h.mu.Unlock()
	h.inFlight.Done()
}
