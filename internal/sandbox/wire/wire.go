// Package wire lets a test intercept the requests to the sandbox's services. A Hook can inspect
// requests, and can simulate failures of the network and crashes.
//
// A Hook calls next to pass the request to the service, and Cut to drop the connection:
//
//	next()                                     the request passes
//	c.Cut()                                    lost request: the service does not receive it
//	next(); c.Cut()                            lost response: served, but the caller gets an error
//	<-gate; next()                             delay: the caller waits, then the request passes
//	go func() { <-gate; next() }(); c.Cut()    late request: served after the caller got an error
//	c.Respond(429, body, "Retry-After", "1")   the hook responds instead of the service
package wire

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
)

// maxBody is the maximum size of a request. It is larger than the largest escaped value of Secrets
// Manager (65,536 bytes).
const maxBody = 1 << 20

// A Call is one request to one of the sandbox's services. It has the response after next returns.
type Call struct {
	Service   string // "secretsmanager", "lambda", "logs", "ecs", "sts", "registry"
	Operation string // "PutSecretValue", "apiKeyCreate", "POST /api/login"
	Request   *http.Request
	Body      []byte // of the request

	Status int    // of the response; 0 before next
	Answer []byte // body of the response; nil before next

	header http.Header
	cut    bool
}

// Cut drops the connection. The caller gets no response.
func (c *Call) Cut() { c.cut = true }

// Respond sets the response. It replaces the response of the service. The headers are pairs of name
// and value.
func (c *Call) Respond(status int, body string, headers ...string) {
	c.Status, c.Answer, c.header = status, []byte(body), http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		c.header.Set(headers[i], headers[i+1])
	}
}

// A Hook is called for each request. next passes the request to the service. The hook may call next
// once, at any time.
type Hook func(c *Call, next func())

// Hooks holds the hook that all services of a sandbox share. The zero value passes every request.
type Hooks struct {
	mu   sync.RWMutex
	hook Hook
}

// Set replaces the hook. A nil hook passes every request. Set returns a function that restores the
// former hook.
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

// Wrap returns a handler that calls the hook for each request to a service. operation returns the
// name of the request's operation from its header and body.
func (h *Hooks) Wrap(service string, operation func(*http.Request, []byte) string, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the request body cannot be read", http.StatusBadRequest)
			return
		}
		// The request has a context of its own, so that the service can still serve it after its
		// caller has given up.
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
		panic(http.ErrAbortHandler) // net/http drops the connection and logs nothing
	}
	for name, values := range c.header {
		w.Header()[name] = values
	}
	w.WriteHeader(c.Status)
	_, _ = w.Write(c.Answer)
}
