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

// A sandbox is one service behind the hooks, and what it was asked.
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
			http.Error(w, "the service lost its request", http.StatusInternalServerError)
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

// passes checks that a request goes through unharmed.
func (s *sandbox) passes(t testing.TB, body string) {
	t.Helper()
	got, err := s.post(t.Context(), body)
	if err != nil || got.status != http.StatusCreated || got.body != "did "+body ||
		got.header.Get("X-Served") != "yes" {
		t.Errorf("the request %q does not pass: %+v, %v", body, got, err)
	}
	if served := <-s.served; served != body {
		t.Errorf("the service was asked %q, want %q", served, body)
	}
}

// untouched checks that nothing reached the service.
func (s *sandbox) untouched(t testing.TB) {
	t.Helper()
	select {
	case body := <-s.served:
		t.Errorf("the service was asked %q", body)
	default:
	}
}

func TestWithoutAHookEverythingPasses(t *testing.T) {
	// Protects all other tests: the zero Hooks change nothing about request and answer.
	start(t).passes(t, "a")
}

func TestAHookSeesRequestAndAnswer(t *testing.T) {
	// Protects the tests that count and inspect calls: names and body before next, status and
	// answer after it.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, next func()) {
		if c.Service != "registry" || c.Operation != "POST /x a" || string(c.Body) != "a" ||
			c.Request.URL.Path != "/x" || c.Status != 0 || c.Answer != nil {
			t.Errorf("before next: %+v", c)
		}
		next()
		if c.Status != http.StatusCreated || string(c.Answer) != "did a" {
			t.Errorf("after next: %d %s", c.Status, c.Answer)
		}
	})
	s.passes(t, "a")
}

func TestLostRequest(t *testing.T) {
	// Protects the crash tests' "before": the caller sees a dropped connection, the service
	// nothing.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, _ func()) { c.Cut() })
	if got, err := s.post(t.Context(), "a"); err == nil {
		t.Errorf("the caller got %+v", got)
	}
	s.untouched(t)
}

func TestAHookThatDoesNothingLosesTheRequest(t *testing.T) {
	// Protects the author of a hook: forgetting next is a lost request, not an empty success.
	s := start(t)
	s.hooks.Set(func(*wire.Call, func()) {})
	if got, err := s.post(t.Context(), "a"); err == nil {
		t.Errorf("the caller got %+v", got)
	}
	s.untouched(t)
}

func TestLostAnswer(t *testing.T) {
	// Protects the crash tests' "after": the service did it, and the caller does not learn.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, next func()) { next(); c.Cut() })
	if got, err := s.post(t.Context(), "a"); err == nil {
		t.Errorf("the caller got %+v", got)
	}
	if served := <-s.served; served != "a" {
		t.Errorf("the service was asked %q", served)
	}
}

func TestStall(t *testing.T) {
	// Protects the tests of slow services: nothing happens until the gate opens, then the request
	// passes.
	s := start(t)
	stalled, gate := make(chan struct{}), make(chan struct{})
	s.hooks.Set(func(_ *wire.Call, next func()) { close(stalled); <-gate; next() })
	done := make(chan struct{})
	go func() { defer close(done); s.passes(t, "a") }()
	<-stalled
	s.untouched(t)
	select {
	case <-done:
		t.Error("the caller was answered before the gate opened")
	default:
	}
	close(gate)
	<-done
}

func TestAStalledRequestLandsAfterItsCallerLeft(t *testing.T) {
	// Protects the tests of timeouts: a caller that gives up does not take its request back.
	s := start(t)
	stalled, gate := make(chan struct{}), make(chan struct{})
	s.hooks.Set(func(c *wire.Call, next func()) { close(stalled); <-gate; next() })
	ctx, leave := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := s.post(ctx, "a"); failed <- err }()
	<-stalled
	leave()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left got %v", err)
	}
	s.untouched(t)
	close(gate)
	if served := <-s.served; served != "a" {
		t.Errorf("the service was asked %q", served)
	}
}

func TestLateLanding(t *testing.T) {
	// Protects the hardest crash test: the caller has long failed when the service does it, even
	// after other requests.
	s := start(t)
	gate := make(chan struct{})
	restore := s.hooks.Set(func(c *wire.Call, next func()) {
		go func() { <-gate; next() }()
		c.Cut()
	})
	if got, err := s.post(t.Context(), "late"); err == nil {
		t.Errorf("the caller got %+v", got)
	}
	restore()
	s.untouched(t)
	s.passes(t, "other")
	close(gate)
	if served := <-s.served; served != "late" {
		t.Errorf("the service was asked %q", served)
	}
}

func TestRefusalInTheServicesPlace(t *testing.T) {
	// Protects the tests of throttling and outages: the hook's answer arrives with its headers, and
	// the service is not asked.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, _ func()) {
		c.Respond(http.StatusTooManyRequests, "slow down", "Retry-After", "1", "X-Odd")
	})
	got, err := s.post(t.Context(), "a")
	if err != nil || got.status != http.StatusTooManyRequests || got.body != "slow down" ||
		got.header.Get("Retry-After") != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
	s.untouched(t)
}

func TestAnotherAnswerThanTheServices(t *testing.T) {
	// Protects the tests of answers that lie: the service did it, and the caller is told something
	// else, headers included.
	s := start(t)
	s.hooks.Set(func(c *wire.Call, next func()) { next(); c.Respond(http.StatusInternalServerError, "oops") })
	got, err := s.post(t.Context(), "a")
	if err != nil || got.status != http.StatusInternalServerError || got.body != "oops" ||
		got.header.Get("X-Served") != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if served := <-s.served; served != "a" {
		t.Errorf("the service was asked %q", served)
	}
}

func TestSetRestores(t *testing.T) {
	// Protects nested hooks: each goes back to the one before it, the outermost to none.
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

func TestTooLargeARequestIsRefused(t *testing.T) {
	// Protects the sandbox's memory, and the largest value that Secrets Manager takes, escaped to
	// six times its size.
	s := start(t)
	s.passes(t, strings.Repeat("x", 6*65_536))
	got, err := s.post(t.Context(), strings.Repeat("x", 1<<20+1))
	if err == nil && got.status != http.StatusBadRequest {
		t.Errorf("got %+v, %v", got, err)
	}
	s.untouched(t)
}

func TestHooksChangeWhileRequestsRun(t *testing.T) {
	// Protects tests under -race: two callers and a change of hooks at once; every request is
	// either served or refused, whole.
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
