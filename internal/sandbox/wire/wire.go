// Package wire stands between the sandbox's services and the network: it lets a test see every
// request, and do to it what networks and crashes do.
//
// A Hook is around advice. What it does with next, and whether it cuts the connection, makes the
// fault:
//
//	next()                                     nothing: the request passes
//	c.Cut()                                    lost request: the service never saw it
//	next(); c.Cut()                            lost answer: the service did it, the caller will not learn
//	<-gate; next()                             stall: the caller waits, then it passes
//	go func() { <-gate; next() }(); c.Cut()    late landing: the caller gives up, the service does it later
//	c.Respond(429, body, "Retry-After", "1")   the service refuses
package wire

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
)

// maxBody bounds what is read of one request: more than Secrets Manager's 65,536-byte value needs
// when it is escaped.
const maxBody = 1 << 20

// A Call is one request to one of the sandbox's services, and its answer once next has returned.
type Call struct {
	Service   string // "secretsmanager", "lambda", "logs", "ecs", "sts", "registry"
	Operation string // "PutSecretValue", "apiKeyCreate", "POST /api/login"
	Request   *http.Request
	Body      []byte // of the request

	Status int    // of the answer; 0 before next
	Answer []byte // body of the answer; nil before next

	header http.Header
	cut    bool
}

// Cut drops the connection instead of answering.
func (c *Call) Cut() { c.cut = true }

// Respond answers in the service's place. The headers come in pairs of name and value.
func (c *Call) Respond(status int, body string, headers ...string) {
	c.Status, c.Answer, c.header = status, []byte(body), http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		c.header.Set(headers[i], headers[i+1])
	}
}

// A Hook runs instead of each request; next carries the request out and may be called once, at any
// time.
type Hook func(c *Call, next func())

// Hooks is the one place that all services of a sandbox ask. The zero value passes everything.
type Hooks struct {
	mu   sync.RWMutex
	hook Hook
}

// Set replaces the hook; nil removes it. It returns a function that puts the former hook back.
func (h *Hooks) Set(hook Hook) (restore func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	former := h.hook
	h.hook = hook
	return func() { h.Set(former) }
}

func (h *Hooks) current() Hook {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.hook
}

// Wrap puts the hooks in front of a service. operation names the request's operation from its head
// and body.
func (h *Hooks) Wrap(service string, operation func(*http.Request, []byte) string, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the request body cannot be read", http.StatusBadRequest)
			return
		}
		// Carried out on a context of its own, so that a request that lands late is not undone by
		// its caller's leaving.
		request := r.Clone(context.WithoutCancel(r.Context()))
		call := &Call{Service: service, Operation: operation(r, body), Request: request, Body: body}
		next := func() {
			request.Body = io.NopCloser(bytes.NewReader(body))
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			call.Status, call.Answer, call.header = recorder.Code, recorder.Body.Bytes(), recorder.Header()
		}
		if hook := h.current(); hook != nil {
			hook(call, next)
		} else {
			next()
		}
		call.write(w)
	})
}

func (c *Call) write(w http.ResponseWriter) {
	if c.cut || c.Status == 0 {
		panic(http.ErrAbortHandler) // net/http drops the connection without a word in the log
	}
	for name, values := range c.header {
		w.Header()[name] = values
	}
	w.WriteHeader(c.Status)
	_, _ = w.Write(c.Answer)
}
