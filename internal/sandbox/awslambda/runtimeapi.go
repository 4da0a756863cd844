package awslambda

import (
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxResponse is the maximum size of a synchronous response in the service's error message: a
// little more than 6 MB.
const maxResponse = 6291556

// A phase is the state of the Runtime API. A runtime requests an event, answers it, and requests
// the next event.
type phase int

const (
	starting phase = iota // the runtime has not requested an event
	waiting               // the runtime waits for an event
	running               // the runtime has an event
	answered              // the runtime answered; the invocation ends when it requests the next event
)

// An event is an attempt of an invocation, in the form that the runtime gets.
type event struct {
	requestID   string
	attemptID   string
	functionARN string
	traceID     string
	deadline    time.Time
	payload     []byte
	delivered   chan error // capacity 1
}

// A reply is a runtime's answer to an event.
type reply struct {
	body      []byte
	failed    bool
	errorType string // from the header of the request
}

// A runtimeAPI is the Runtime API of an environment.
type runtimeAPI struct {
	listener net.Listener
	server   *http.Server

	ready   chan struct{} // capacity 1: the runtime has requested an event
	events  chan event
	replies chan reply // capacity 1: the answer to the event
	initErr chan reply // capacity 1: the runtime reported that it cannot start

	mu        sync.Mutex
	phase     phase
	requestID string
	attemptID string
}

func newRuntimeAPI() (*runtimeAPI, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &runtimeAPI{
		listener: listener,
		ready:    make(chan struct{}, 1), events: make(chan event),
		replies: make(chan reply, 1), initErr: make(chan reply, 1),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", a.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, false)
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, true)
	})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", a.initError)
	// Runtimes that are killed break their connections, which the server would log.
	a.server = &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

func (a *runtimeAPI) address() string { return a.listener.Addr().String() }

func (a *runtimeAPI) close() { _ = a.server.Close() }

// next answers the runtime's request when there is an event.
func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	if a.phase == running {
		a.mu.Unlock()
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "The current event has no answer yet.")
		return
	}
	if a.phase != waiting {
		a.phase = waiting
		a.ready <- struct{}{}
	}
	a.mu.Unlock()

	select {
	case e := <-a.events:
		e.delivered <- a.deliver(w, e)
	case <-r.Context().Done(): // the runtime ended, so another environment gets the event
	}
}

func (a *runtimeAPI) deliver(w http.ResponseWriter, e event) error {
	a.mu.Lock()
	a.phase, a.requestID, a.attemptID = running, e.requestID, e.attemptID
	a.mu.Unlock()

	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(e.payload)))
	header.Set("Lambda-Runtime-Aws-Request-Id", e.requestID)
	header.Set("Lambda-Runtime-Invocation-Id", e.attemptID)
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(e.deadline.UnixMilli(), 10))
	header.Set("Lambda-Runtime-Invoked-Function-Arn", e.functionARN)
	header.Set("Lambda-Runtime-Trace-Id", e.traceID)
	if _, err := w.Write(e.payload); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

func (a *runtimeAPI) answer(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse+1))
	if err != nil {
		return // the runtime broke the connection, so its exit or the deadline decides
	}
	status := http.StatusAccepted
	if len(body) > maxResponse {
		_, _ = io.Copy(io.Discard, r.Body) // otherwise the runtime sees a broken connection
		status = http.StatusRequestEntityTooLarge
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	attempt := r.Header.Get("Lambda-Runtime-Invocation-Id")
	switch {
	case a.phase != running:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "There is no current event.")
		return
	case r.PathValue("id") != a.requestID:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "The request ID is not that of the current event.")
		return
	case attempt != "" && attempt != a.attemptID: // the header is optional
		refuse(w, http.StatusBadRequest, "InvalidInvocationId", "The invocation ID is not that of the current event.")
		return
	}
	a.phase = answered
	if status != http.StatusAccepted {
		a.replies <- reply{body: responseTooLarge(), failed: true}
		refuse(w, status, "RequestEntityTooLarge", "The response is larger than 6291556 bytes.")
		return
	}
	a.replies <- reply{body: body, failed: failed, errorType: r.Header.Get("Lambda-Runtime-Function-Error-Type")}
	accept(w)
}

func (a *runtimeAPI) initError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponse))
	if err != nil {
		return
	}
	a.mu.Lock()
	initialized := a.phase != starting
	a.mu.Unlock()
	if initialized {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "The environment has been initialized.")
		return
	}
	select {
	case a.initErr <- reply{body: body, failed: true, errorType: r.Header.Get("Lambda-Runtime-Function-Error-Type")}:
	default: // it was reported before
	}
	accept(w)
}

func responseTooLarge() []byte {
	return errorDocument("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload "+
		"size (6291556 bytes).")
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": kind, "errorMessage": message})
}
