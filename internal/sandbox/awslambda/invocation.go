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

// An outcome is the result of an attempt of an invocation.
type outcome struct {
	requestID     string
	answer        []byte
	functionError string // "Unhandled", or empty
	err           error  // an error of the sandbox: the Host was closed, or a process could not be started
}

// An invocation is an attempt to process an event.
type invocation struct {
	deployment *deployment
	requestID  string
	traceID    string
	payload    []byte

	begun      time.Time // zero before START
	deadline   time.Time
	stream     string
	initTime   time.Duration // the time of the cold start; 0 for a warm environment
	peakMemory int           // in bytes
}

// Invoke invokes a function and waits for its answer, as with the invocation type RequestResponse.
// If the function fails, functionError is "Unhandled" and the answer is the error. If the service
// refuses the request, err is an *Error. If ctx ends, the invocation continues, as when a caller of
// the service closes the connection.
func (h *Host) Invoke(ctx context.Context, nameOrARN string, payload []byte) (answer []byte, functionError string,
	err error) {
	f, err := h.find(nameOrARN, "")
	if err != nil {
		return nil, "", err
	}
	out := h.invoke(ctx, f, payload)
	return out.answer, out.functionError, out.err
}

// InvokeEvent queues an event, as with the invocation type Event. The event is retried after a
// function error.
func (h *Host) InvokeEvent(nameOrARN string, payload []byte) (requestID string, err error) {
	f, err := h.find(nameOrARN, "")
	if err != nil {
		return "", err
	}
	return h.queue(f, payload)
}

func (h *Host) invoke(ctx context.Context, f *function, payload []byte) outcome {
	payload, err := validPayload(payload, maxPayload)
	if err != nil {
		return outcome{err: err}
	}
	if err := h.acquireSlot(); err != nil {
		return outcome{err: err}
	}
	done := make(chan outcome, 1)
	go func() {
		defer h.releaseSlot()
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
	payload, err = validPayload(payload, maxEventPayload)
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

// process attempts an event until the function succeeds or no retry is left. All attempts have the
// same request ID.
func (h *Host) process(f *function, requestID string, payload []byte) {
	for attempt := 0; ; attempt++ {
		if h.waitForSlot() != nil {
			return
		}
		out := h.attempt(f, requestID, payload)
		h.releaseSlot()
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

func validPayload(payload []byte, limit int) ([]byte, error) {
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

// attempt runs the function once, in an idle environment or in a new one.
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
		env := h.takeIdle(d)
		if env == nil {
			started, out := h.coldStart(inv)
			if started == nil {
				return out
			}
			env = started
		}
		out, taken := env.serve(h.ctx, inv, h.withTimeout)
		if !taken {
			env.close()
			continue
		}
		h.release(d, env)
		return out
	}
}

// coldStart creates an environment. If the Init phase fails, the service repeats it once as part of
// the invocation, within the function's timeout. It reports only the second failure.
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

// begin starts the function's time. A second call with another environment does not restart it.
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

// answered ends an invocation that has an answer. f is the failure of the environment after the
// answer, or nil.
func (inv *invocation) answered(r reply, f *failure) outcome {
	inv.report(f)
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

// report writes the log lines at the end of an invocation. The Developer Guide shows their form for
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
	if onReport := inv.deployment.config.OnReport; onReport != nil {
		onReport(Report{Duration: taken, InitDuration: inv.initTime, PeakMemory: inv.peakMemory, Failed: f != nil})
	}
}

// A Report has the values of the REPORT line of an invocation, not rounded.
type Report struct {
	Duration     time.Duration
	InitDuration time.Duration // from the start of the process to its first request for an event; 0 if it was warm
	PeakMemory   int           // in bytes, since the start of the environment; 0 if not known
	Failed       bool          // whether the environment failed; false if the function returned an error
}

func (inv *invocation) log(text string) { inv.deployment.journal.add(inv.stream, inv.requestID, text) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// newID returns a random UUID (RFC 9562, version 4), as the service uses for requests.
func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// newTraceID returns the X-Ray header of a request that is not sampled.
func newTraceID() string {
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", time.Now().Unix(), hex.EncodeToString(id[:12]),
		hex.EncodeToString(id[12:]))
}
