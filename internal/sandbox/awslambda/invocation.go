package awslambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// The limits of an event's payload (API Reference, Invoke).
const (
	maxPayload      = 6 << 20
	maxEventPayload = 1 << 20
)

// An outcome is how one attempt at an invocation ended.
type outcome struct {
	requestID     string
	answer        []byte
	functionError string // "Unhandled", or empty
	err           error  // the sandbox's own: the Host was closed, or cannot start the process
}

// An invocation is one attempt to have a function process an event.
type invocation struct {
	deployment *deployment
	requestID  string
	traceID    string
	payload    []byte

	begun      time.Time // zero before START
	deadline   time.Time
	stream     string
	initTime   time.Duration // of the cold start that went before it; 0 when it was warm
	peakMemory int           // bytes
}

// Invoke has a function process an event and waits for its answer, as the invocation type
// RequestResponse does. A functionError of "Unhandled" means that the function failed, and the
// answer says how; err is an *Error when the service refused. When ctx ends first the invocation
// runs on, as it does when a caller of the service hangs up.
func (h *Host) Invoke(ctx context.Context, nameOrARN string, payload []byte) (answer []byte, functionError string,
	err error) {
	f, err := h.find(nameOrARN, "")
	if err != nil {
		return nil, "", err
	}
	out := h.invoke(ctx, f, payload)
	return out.answer, out.functionError, out.err
}

// InvokeEvent queues an event, as the invocation type Event does. After a function error it is
// tried again.
func (h *Host) InvokeEvent(nameOrARN string, payload []byte) (requestID string, err error) {
	f, err := h.find(nameOrARN, "")
	if err != nil {
		return "", err
	}
	return h.queue(f, payload)
}

func (h *Host) invoke(ctx context.Context, f *function, payload []byte) outcome {
	payload, err := checkedPayload(payload, maxPayload)
	if err != nil {
		return outcome{err: err}
	}
	if err := h.enter(); err != nil {
		return outcome{err: err}
	}
	done := make(chan outcome, 1)
	go func() {
		defer h.leave()
		done <- h.attempt(f, newID(), payload)
	}()
	select {
	case out := <-done:
		return out
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("invoke function: %w", ctx.Err())}
	}
}

func (h *Host) queue(f *function, payload []byte) (requestID string, err error) {
	payload, err = checkedPayload(payload, maxEventPayload)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return "", errClosed
	}
	requestID = newID()
	h.events++
	h.inFlight.Add(1)
	go func() {
		defer h.inFlight.Done()
		h.process(f, requestID, payload)
		h.mu.Lock()
		h.events--
		h.announce()
		h.mu.Unlock()
	}()
	return requestID, nil
}

// process tries an event until the function takes it, or its attempts are used up. All attempts
// share the request ID.
func (h *Host) process(f *function, requestID string, payload []byte) {
	for attempt := 0; ; attempt++ {
		if h.enterLater() != nil {
			return
		}
		out := h.attempt(f, requestID, payload)
		h.leave()
		d := h.deployed(f)
		if out.err != nil || out.functionError == "" || d == nil || attempt == d.config.retries() {
			return
		}
		select {
		case <-time.After(h.options.RetryDelay):
		case <-h.ctx.Done():
			return
		}
	}
}

func checkedPayload(payload []byte, limit int) ([]byte, error) {
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if len(payload) > limit {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestTooLargeException",
			Message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit)}
	}
	if !json.Valid(payload) {
		return nil, &Error{Status: http.StatusBadRequest, Code: "InvalidRequestContentException",
			Message: "Could not parse request body into json: the payload is not a JSON document"}
	}
	return payload, nil
}

// attempt runs the function once, in a warm environment or in a new one.
func (h *Host) attempt(f *function, requestID string, payload []byte) outcome {
	d := h.deployed(f)
	if d == nil {
		return outcome{requestID: requestID, err: h.notFound(f.journal.name, "")}
	}
	inv := &invocation{deployment: d, requestID: requestID, traceID: newTraceID(), payload: payload}
	var out outcome
	if d.config.Handler != nil {
		out = h.runHandler(inv)
	} else {
		out = h.runProcess(inv)
	}
	out.requestID = requestID
	return out
}

func (h *Host) runProcess(inv *invocation) outcome {
	d := inv.deployment
	for {
		env := h.take(d)
		if env == nil {
			started, out := h.coldStart(inv)
			if started == nil {
				return out
			}
			env = started
		}
		out, taken := env.serve(h.ctx, inv, h.within)
		if !taken {
			env.close()
			continue
		}
		h.giveBack(d, env)
		return out
	}
}

// coldStart makes the environment. When its Init phase fails, the service tries that once more as
// part of the invocation, inside the function's own time-out, and only then reports it.
func (h *Host) coldStart(inv *invocation) (*environment, outcome) {
	env, failed, err := h.launch(inv.deployment, "init", h.initLimit)
	if err != nil {
		return nil, outcome{err: err}
	}
	if failed == nil {
		inv.initTime = env.initTime
		return env, outcome{}
	}
	inv.begin("")
	env, failed, err = h.launch(inv.deployment, "invoke", time.Until(inv.deadline))
	if err != nil {
		return nil, outcome{err: err}
	}
	if failed != nil {
		return nil, inv.failed(failed)
	}
	return env, outcome{}
}

// begin starts the function's time, once, whichever environment has the event in the end.
func (inv *invocation) begin(stream string) {
	inv.stream = stream
	if !inv.begun.IsZero() {
		return
	}
	inv.begun = time.Now()
	inv.deadline = inv.begun.Add(inv.deployment.config.Timeout)
	inv.log("START RequestId: " + inv.requestID + " Version: " + version)
}

func (inv *invocation) event() event {
	return event{
		requestID: inv.requestID, attemptID: newID(), traceID: inv.traceID, functionARN: inv.deployment.arn,
		deadline: inv.deadline, payload: inv.payload, delivered: make(chan error, 1),
	}
}

// answered ends an invocation that has an answer; after is what became of the environment then, if
// it is gone.
func (inv *invocation) answered(r reply, after *failure) outcome {
	inv.report(after)
	out := outcome{answer: r.body}
	if r.failed {
		out.functionError = "Unhandled"
	}
	return out
}

func (inv *invocation) failed(f *failure) outcome {
	inv.report(f)
	return outcome{answer: f.answer(inv.requestID), functionError: "Unhandled"}
}

// report writes the lines that end an invocation, in the form the Developer Guide gives for
// failures in the Invoke phase.
func (inv *invocation) report(f *failure) {
	taken := time.Since(inv.begun)
	line := fmt.Sprintf("REPORT RequestId: %s\tDuration: %s\tBilled Duration: %d ms\tMemory Size: %d MB",
		inv.requestID, milliseconds(taken), (taken + inv.initTime + time.Millisecond - 1).Milliseconds(),
		inv.deployment.config.MemoryMB)
	if inv.peakMemory > 0 {
		line += fmt.Sprintf("\tMax Memory Used: %d MB", (inv.peakMemory+1<<20-1)>>20)
	}
	if inv.initTime > 0 {
		line += "\tInit Duration: " + milliseconds(inv.initTime)
	}
	if f != nil {
		line += "\t" + f.status()
	}
	inv.log("END RequestId: " + inv.requestID)
	inv.log(line)
	if tell := inv.deployment.config.OnReport; tell != nil {
		tell(Report{Duration: taken, InitDuration: inv.initTime, PeakMemory: inv.peakMemory, Failed: f != nil})
	}
}

// A Report is what the REPORT line of an invocation tells, unrounded.
type Report struct {
	Duration     time.Duration
	InitDuration time.Duration // from the start of the process to its first request for an event; 0 when it was warm
	PeakMemory   int           // bytes, over the environment's life; 0 where the system does not tell
	Failed       bool          // the environment, not the function's answer
}

func (inv *invocation) log(text string) { inv.deployment.journal.add(inv.stream, inv.requestID, text) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// newID is a random UUID (RFC 9562, version 4), as the service names requests.
func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// newTraceID is an X-Ray header of a request that is not sampled.
func newTraceID() string {
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", time.Now().Unix(), hex.EncodeToString(id[:12]),
		hex.EncodeToString(id[12:]))
}
