package quilt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/quilt"
)

// issued is an answer of the token endpoint with the n-th tokens, good for the given time of the
// registry's clock.
func issued(n int, lifetime time.Duration) string {
	return fmt.Sprintf(`{"refresh_token":"refresh-%d","access_token":"access-%d","expires_at":%d}`, n, n,
		registryTime.Add(lifetime).Unix())
}

func TestLoginByPassword(t *testing.T) {
	// The two requests have the form that the registry expects, and the first has no Authorization
	// header.
	registry := newFake(t, func(w http.ResponseWriter, r received) {
		_, _ = io.WriteString(w, map[string]string{
			"/api/login": `{"refresh_token":"refresh+0"}`, "/api/token": issued(1, time.Hour), "/graphql": meJSON(""),
		}[r.Path])
	})
	s, err := registry.client(t, quilt.Options{UserAgent: "test/1"}).LoginPassword(t.Context(), "ada",
		quilt.NewPassword(`pass"word`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := registry.requests()
	for i := range got {
		got[i].Remote = ""
	}
	want := []received{
		{Method: "POST", Path: "/api/login", ContentType: "application/json", UserAgent: "test/1",
			Body: `{"password":"pass\"word","username":"ada"}`},
		{Method: "POST", Path: "/api/token", ContentType: "application/x-www-form-urlencoded", UserAgent: "test/1",
			Body: "refresh_token=refresh%2B0"},
		{Method: "POST", Path: "/graphql", ContentType: "application/json", UserAgent: "test/1",
			Authorization: "Bearer access-1", Operation: "me"},
	}
	if len(got) == 3 {
		got[2].Body = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestRefusedLoginSaysWhatToDo(t *testing.T) {
	// The error explains single sign-on, also if the registry uses other words.
	for _, test := range []struct {
		code             int
		body, want, says string
	}{
		{401, `{"error":"SSO login required"}`, "SSORequiredError", "single sign-on only"},
		{401, `{"message":"login attempt failed"}`, "UnauthenticatedError", "check the user name and the password"},
		{400, `{"message":"expired","error_code":"SubscriptionInvalid"}`, "InvalidInputError", "SubscriptionInvalid"},
		{403, ``, "ForbiddenError", "role"},
	} {
		registry := newFake(t, status(test.code, test.body))
		_, err := registry.client(t, quilt.Options{}).LoginPassword(t.Context(), "ada", quilt.NewPassword("hunter22"))
		if kind(err) != test.want || !strings.Contains(err.Error(), test.says) || !quilt.Refused(err) {
			t.Errorf("%d %s: %v, want a refusal, %s, that says %q", test.code, test.body, err, test.want, test.says)
		}
		if test.code == 401 && !strings.Contains(err.Error(), registry.URL+"/login") {
			t.Errorf("%q does not name the page that shows a code", err)
		}
	}
}

// logins are the ways to log in, each with the path that the test looks at.
var logins = []struct {
	name, path string
	once       bool
	run        func(context.Context, *quilt.Client) error
}{
	{"password", "/api/login", false, func(ctx context.Context, c *quilt.Client) error {
		_, err := c.LoginPassword(ctx, "ada", quilt.NewPassword("hunter22"))
		return err
	}},
	{"code", "/api/token", true, func(ctx context.Context, c *quilt.Client) error {
		_, err := c.LoginRefreshToken(ctx, quilt.NewRefreshToken("refresh-0"))
		return err
	}},
}

func TestFailuresOfLogins(t *testing.T) {
	// Each failure has the same error type in the REST calls as in the operations.
	for _, failure := range failures {
		want := failure.want
		switch failure.name {
		case "errors", "errors without data", "errors of the wrong type", "no data", "empty data":
			want = "ProtocolError" // GraphQL's envelope says nothing here
		case "400 of GraphQL", "400 of REST":
			want = "InvalidInputError"
		}
		registry := newFake(t, failure.answer)
		for _, login := range logins {
			if err := login.run(t.Context(), registry.client(t, quilt.Options{})); err == nil || kind(err) != want {
				t.Errorf("%s, login by %s: %s (%v), want %s", failure.name, login.name, kind(err), err, want)
			}
		}
	}
}

func TestCodeIsSentOnce(t *testing.T) {
	// A code works once, so it is not sent again after it may have arrived. The error says how to
	// get another.
	for _, test := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		sent   int
		says   string
	}{
		{"lost", lost(errReset), 1, "may be used up"},
		{"503", answers(503, ``), 1, "may be used up"},
		{"no connection", unsent(errDial), 4, "check the network"},
		{"429", answers(429, ``), 4, "try again later"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var sent int
			c, err := quilt.NewClient("https://registry.example.com",
				quilt.Options{Transport: script(&sent, test.answer)})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.LoginRefreshToken(t.Context(), quilt.NewRefreshToken("refresh-0"))
			if kind(err) != "UnavailableError" || sent != test.sent || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %d requests, %v; want %d and %q", test.name, sent, err, test.sent, test.says)
			}
		})
	}
}

func TestInvalidTokenAnswersAreRefused(t *testing.T) {
	// An answer with status 200 that has an error, or lacks a token, is no login.
	for body, want := range map[string]string{
		`{"error":"refresh token expired"}`:                                      "UnauthenticatedError",
		`{"access_token":"a","expires_at":1}`:                                    "ProtocolError",
		`{"refresh_token":"r","expires_at":1}`:                                   "ProtocolError",
		`{"refresh_token":"r","access_token":"a"}`:                               "ProtocolError",
		`{"refresh_token":"r","access_token":"a","expires_at":"x"}`:              "ProtocolError",
		`{"refresh_token":1,"access_token":"a","expires_at":1,"error":"no way"}`: "UnauthenticatedError",
	} {
		registry := newFake(t, ok(body))
		if _, err := registry.client(t, quilt.Options{}).LoginRefreshToken(t.Context(),
			quilt.NewRefreshToken("refresh-0")); kind(err) != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// tokenRegistry issues tokens one after another and records the refresh tokens that it receives.
type tokenRegistry struct {
	mu       sync.Mutex
	lifetime time.Duration
	shown    []string
	bearers  []string
	fail     func() (*http.Response, error) // of the token endpoint, where set
}

func (r *tokenRegistry) RoundTrip(request *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if request.URL.Path != "/api/token" {
		r.bearers = append(r.bearers, request.Header.Get("Authorization"))
		return reply(200, meJSON("")), nil
	}
	r.shown = append(r.shown, strings.TrimPrefix(string(body), "refresh_token="))
	if r.fail != nil {
		return r.fail()
	}
	return reply(200, issued(len(r.shown), r.lifetime)), nil
}

func (r *tokenRegistry) login(t *testing.T) *quilt.Session {
	t.Helper()
	c, err := quilt.NewClient("https://registry.example.com", quilt.Options{Transport: r, MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.LoginRefreshToken(t.Context(), quilt.NewRefreshToken("refresh-0"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokensAreReplaced(t *testing.T) {
	// The access token is replaced when it has less than a minute left on the registry's clock.
	// Each refresh token is used once, and concurrent callers share one refresh.
	synctest.Test(t, func(t *testing.T) {
		registry := &tokenRegistry{lifetime: 10 * time.Minute}
		s := registry.login(t)
		ask := func() {
			t.Helper()
			if _, err := s.Me(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ask()
		time.Sleep(8*time.Minute + 59*time.Second)
		ask()
		time.Sleep(time.Second)
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(ask)
		}
		callers.Wait()
		time.Sleep(9 * time.Minute)
		ask()
		if diff := cmp.Diff([]string{"refresh-0", "refresh-1", "refresh-2"}, registry.shown); diff != "" {
			t.Errorf("refresh tokens shown (-want +got):\n%s", diff)
		}
		bearers := registry.bearers
		if len(bearers) != 11 || bearers[1] != "Bearer access-1" || bearers[2] != "Bearer access-2" ||
			bearers[10] != "Bearer access-3" {
			t.Errorf("bearers %q", bearers)
		}
	})
}

func TestRefreshTokenIsUsedOnce(t *testing.T) {
	// After a refresh whose answer was lost, the token is not used again. After a refresh that was
	// not sent, it is.
	synctest.Test(t, func(t *testing.T) {
		registry := &tokenRegistry{lifetime: 2 * time.Minute}
		s := registry.login(t)
		time.Sleep(2 * time.Minute)
		registry.fail = func() (*http.Response, error) { return reply(429, ``), nil }
		if _, err := s.Me(t.Context()); kind(err) != "UnavailableError" {
			t.Fatalf("refused for now: %v", err)
		}
		registry.fail = func() (*http.Response, error) { return nil, errReset }
		if _, err := s.CreateKey(t.Context(), "svc", 90); kind(err) != "UnavailableError" {
			t.Errorf("lost: %v, want an UnavailableError: no key was asked for", err)
		}
		registry.fail = nil
		_, err := s.Me(t.Context())
		if kind(err) != "UnauthenticatedError" || !strings.Contains(err.Error(), "log in again") {
			t.Errorf("after the loss: %v, want an UnauthenticatedError that says to log in again", err)
		}
		if diff := cmp.Diff([]string{"refresh-0", "refresh-1", "refresh-1"}, registry.shown); diff != "" {
			t.Errorf("refresh tokens shown (-want +got):\n%s", diff)
		}
	})
}

func TestWaitingForARefreshEndsWithItsCaller(t *testing.T) {
	// A caller that waits for another caller's refresh can be cancelled.
	synctest.Test(t, func(t *testing.T) {
		registry := &tokenRegistry{lifetime: 2 * time.Minute}
		s := registry.login(t)
		time.Sleep(2 * time.Minute)
		gate := make(chan struct{})
		registry.fail = func() (*http.Response, error) { <-gate; return nil, errReset }
		go func() { _, _ = s.Me(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Me(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want context.DeadlineExceeded", err)
		}
		close(gate)
		synctest.Wait()
	})
}

func TestFarExpiryDoesNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := &tokenRegistry{lifetime: 290 * 365 * 24 * time.Hour}
		s := registry.login(t)
		if _, err := s.Me(t.Context()); err != nil || len(registry.shown) != 1 {
			t.Errorf("%d tokens, %v; want one", len(registry.shown), err)
		}
	})
}
