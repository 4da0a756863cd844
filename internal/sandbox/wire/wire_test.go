package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"quilt-rotate/internal/sandbox/wire"
)

// A sandbox is one service behind hooks, and the requests that it received.
type sandbox struct {
	hooks  wire.Hooks
	server *httptest.Server
	served chan string // the body of each request that reached the service
}

func start(t *testing.T) *sandbox {
	t.Helper()
	s := &sandbox{served: make(chan string, 100)}
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Context().Err() != nil {
			http.Error(w, "the service cannot read its request", http.StatusInternalServerError)
			return
		}
		w.Header().Set("X-Served", "yes")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, "did %s", body)
		s.served <- string(body)
	})
	operation := func(r *http.Request, body []byte) string { return r.Method + " " + r.URL.Path + " " + string(body) }
	s.server = httptest.NewServer(s.hooks.Wrap("registry", operation, service))
	t.Cleanup(s.server.Close)
	return s
}

type answer struct {
	status int
	body   string
	header http.Header
}

func (s *sandbox) post(ctx context.Context, body string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+"/x", strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	response, err := s.server.Client().Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(text), response.Header}, err
}

// passes checks that a request and its response pass unchanged.
func (s *sandbox) passes(t testing.TB, body string) {
	t.Helper()
	got, err := s.post(t.Context(), body)
	if err != nil || got.status != http.StatusCreated || got.body != "did "+body ||
		got.header.Get("X-Served") != "yes" {
		t.Errorf("the response to %q is %+v, %v", body, got, err)
	}
	if served := <-s.served; served != body {
		t.Errorf("the service received %q, want %q", served, body)
	}
}

// notServed checks that no request reached the service.
func (s *sandbox) notServed(t testing.TB) {
	t.Helper()
	select {
	case body := <-s.served:
		t.Errorf("the service received %q, want nothing", body)
	default:
	}
}

func TestRequestPassesWithoutAHook(t *testing.T) {
	// The zero Hooks must not change a request or its response, because all tests use them.
	start(t).passes(t, "a")
}

func TestHookReceivesRequestAndResponse(t *testing.T) {
	// Tests count and inspect requests before next and responses after it.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, next func()) {
		if c.Service != "registry" || c.Operation != "POST /x a" || string(c.Body) != "a" ||
			c.Request.URL.Path != "/x" || c.Status != 0 || c.Answer != nil {
			t.Errorf("before next the call is %+v", c)
		}
		next()
		if c.Status != http.StatusCreated || string(c.Answer) != "did a" {
			t.Errorf("after next the response is %d %s", c.Status, c.Answer)
		}
	})
	s.passes(t, "a")
}

func TestCutWithoutNextLosesTheRequest(t *testing.T) {
	// Tests of crashes before a request depend on this: the connection is dropped and the service
	// receives nothing.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, _ func()) { c.Cut() })
	if got, err := s.post(t.Context(), "a"); err == nil {
		t.Errorf("the caller got %+v, want an error", got)
	}
	s.notServed(t)
}

func TestHookWithoutNextLosesTheRequest(t *testing.T) {
	// If a hook does not call next, the caller must not get an empty successful response.
	s := start(t)
	s.hooks.Set(func(*wire.Call, func()) {})
	if got, err := s.post(t.Context(), "a"); err == nil {
		t.Errorf("the caller got %+v, want an error", got)
	}
	s.notServed(t)
}

func TestNextAndCutLosesTheResponse(t *testing.T) {
	// Tests of crashes after a request depend on this: the service serves the request but the
	// caller gets an error.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, next func()) { next(); c.Cut() })
	if got, err := s.post(t.Context(), "a"); err == nil {
		t.Errorf("the caller got %+v, want an error", got)
	}
	if served := <-s.served; served != "a" {
		t.Errorf("the service received %q", served)
	}
}

func TestHookCanDelayARequest(t *testing.T) {
	// Tests of slow services depend on this: the request reaches the service only when the gate
	// opens.
	s := start(t)
	stalled, gate := make(chan struct{}), make(chan struct{})
	s.hooks.Set(func(_ *wire.Call, next func()) { close(stalled); <-gate; next() })
	done := make(chan struct{})
	go func() { defer close(done); s.passes(t, "a") }()
	<-stalled
	s.notServed(t)
	select {
	case <-done:
		t.Error("the caller got a response before the gate opened")
	default:
	}
	close(gate)
	<-done
}

func TestDelayedRequestIsServedAfterItsCallerGaveUp(t *testing.T) {
	// A caller that gives up does not cancel its request.
	s := start(t)
	stalled, gate := make(chan struct{}), make(chan struct{})
	s.hooks.Set(func(c *wire.Call, next func()) { close(stalled); <-gate; next() })
	ctx, giveUp := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := s.post(ctx, "a"); failed <- err }()
	<-stalled
	giveUp()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that gave up got %v", err)
	}
	s.notServed(t)
	close(gate)
	if served := <-s.served; served != "a" {
		t.Errorf("the service received %q", served)
	}
}

func TestRequestCanBeServedAfterLaterRequests(t *testing.T) {
	// A request can be served long after its caller got an error, and after later requests.
	s := start(t)
	gate := make(chan struct{})
	restore := s.hooks.Set(func(c *wire.Call, next func()) {
		go func() { <-gate; next() }()
		c.Cut()
	})
	if got, err := s.post(t.Context(), "late"); err == nil {
		t.Errorf("the caller got %+v, want an error", got)
	}
	restore()
	s.notServed(t)
	s.passes(t, "other")
	close(gate)
	if served := <-s.served; served != "late" {
		t.Errorf("the service received %q", served)
	}
}

func TestRespondReplacesTheService(t *testing.T) {
	// Tests of throttling and outages depend on this: the caller gets the hook's response with its
	// headers, and the service receives nothing.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, _ func()) {
		c.Respond(http.StatusTooManyRequests, "slow down", "Retry-After", "1", "X-No-Value")
	})
	got, err := s.post(t.Context(), "a")
	if err != nil || got.status != http.StatusTooManyRequests || got.body != "slow down" ||
		got.header.Get("Retry-After") != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
	s.notServed(t)
}

func TestRespondReplacesTheServicesResponse(t *testing.T) {
	// The service serves the request, but the caller gets the hook's response and headers.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, next func()) { next(); c.Respond(http.StatusInternalServerError, "oops") })
	got, err := s.post(t.Context(), "a")
	if err != nil || got.status != http.StatusInternalServerError || got.body != "oops" ||
		got.header.Get("X-Served") != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if served := <-s.served; served != "a" {
		t.Errorf("the service received %q", served)
	}
}

func TestSetReturnsAFunctionThatRestoresTheFormerHook(t *testing.T) {
	// Hooks can be nested. Each restores the hook that was set before it.
	s := start(t)
	respond := func(status int) wire.Hook {
		return func(c *wire.Call, _ func()) { c.Respond(status, "") }
	}
	expect := func(status int) {
		t.Helper()
		if got, err := s.post(t.Context(), "a"); err != nil || got.status != status {
			t.Errorf("got %+v, %v; want status %d", got, err, status)
		}
	}
	outer := s.hooks.Set(respond(http.StatusConflict))
	expect(http.StatusConflict)
	inner := s.hooks.Set(respond(http.StatusGone))
	expect(http.StatusGone)
	inner()
	expect(http.StatusConflict)
	removed := s.hooks.Set(nil)
	s.passes(t, "b")
	removed()
	expect(http.StatusConflict)
	outer()
	s.passes(t, "c")
}

func TestTooLargeRequestIsRefused(t *testing.T) {
	// The limit must allow the largest value of Secrets Manager, escaped to six times its size.
	s := start(t)
	s.passes(t, strings.Repeat("x", 6*65_536))
	got, err := s.post(t.Context(), strings.Repeat("x", 1<<20+1))
	if err == nil && got.status != http.StatusBadRequest {
		t.Errorf("got %+v, %v", got, err)
	}
	s.notServed(t)
}

func TestHooksCanChangeWhileRequestsRun(t *testing.T) {
	// While two callers send requests and the hook changes, each request must be either served or
	// refused.
	s := start(t)
	var all sync.WaitGroup
	for caller := range 2 {
		all.Go(func() {
			for i := range 20 {
				body := fmt.Sprint(caller, "-", i)
				got, err := s.post(t.Context(), body)
				if err != nil || got.body != "did "+body && got.body != "no "+body {
					t.Errorf("%s: %+v, %v", body, got, err)
				}
			}
		})
	}
	all.Go(func() {
		for range 20 {
			s.hooks.Set(func(c *wire.Call, _ func()) { c.Respond(http.StatusConflict, "no "+string(c.Body)) })()
		}
	})
	all.Wait()
}
