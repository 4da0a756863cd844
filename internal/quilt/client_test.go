package quilt_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"quilt-rotate/internal/quilt"
)

func TestRegistryURL(t *testing.T) {
	// A credential is sent over https only (or to this machine). A URL with a password is neither
	// used nor quoted.
	for _, test := range []struct {
		url, host string // host "" where the URL is refused
	}{
		{"https://registry.example.com", "registry.example.com"},
		{"https://registry.example.com/", "registry.example.com"},
		{" https://registry.example.com:8443\n", "registry.example.com:8443"},
		{"HTTPS://registry.example.com", "registry.example.com"},
		{"http://127.0.0.1:8080", "127.0.0.1:8080"},
		{"http://127.9.9.9", "127.9.9.9"},
		{"http://[::1]:8080", "[::1]:8080"},
		{"http://localhost", "localhost"},
		{"http://LocalHost:8080", "localhost:8080"},
		{"http://registry.example.com", ""},
		{"http://localhost.example.com", ""},
		{"http://10.0.0.1", ""},
		{"http://128.0.0.1", ""},
		{"ftp://localhost", ""},
		{"registry.example.com", ""},
		{"https://", ""},
		{"https://:443", ""},
		{"", ""},
		{"https://user:hunter22@registry.example.com", ""},
		{"https://user:hunter22@registry .example.com", ""},
		{"https://registry.example.com?hunter22", ""},
		{"https://registry.example.com/?", ""},
		{"https://registry.example.com/hunter22", ""},
		{"https://registry.example.com#hunter22", ""},
	} {
		c, err := quilt.NewClient(test.url, quilt.Options{})
		switch {
		case test.host == "" && err == nil:
			t.Errorf("%q is taken", test.url)
		case test.host == "" && strings.Contains(err.Error(), "hunter22"):
			t.Errorf("%q: the error quotes the URL: %v", test.url, err)
		case test.host != "" && err != nil:
			t.Errorf("%q: %v", test.url, err)
		case test.host != "" && c.Host() != test.host:
			t.Errorf("%q: host %q", test.url, c.Host())
		}
	}
}

func TestPathsBelowTheRegistryURL(t *testing.T) {
	// A trailing slash changes no path.
	registry := newFake(t, ok(meJSON("")))
	c, err := quilt.NewClient(registry.URL+"/", quilt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WithKey(key(t)).Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := registry.requests()[0]; got.Path != "/graphql" || !strings.HasPrefix(got.UserAgent, "quilt-rotate/") {
		t.Errorf("path %q, user agent %q", got.Path, got.UserAgent)
	}
	if c.CodeURL() != registry.URL+"/login" {
		t.Errorf("the code's page is %q", c.CodeURL())
	}
}

func TestTLS(t *testing.T) {
	// A certificate of a private authority needs its bundle. Without it, the request is not
	// repeated, and the error explains why.
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, meJSON(""))
	}))
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	bundle = append([]byte("\ufeff"), bundle...) // as some editors write it

	c, err := quilt.NewClient(server.URL, quilt.Options{CABundle: bundle})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WithKey(key(t)).Me(t.Context()); err != nil {
		t.Errorf("with the bundle: %v", err)
	}

	c, err = quilt.NewClient(server.URL, quilt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.WithKey(key(t)).Me(t.Context())
	down, is := err.(*quilt.UnavailableError)
	if !is || down.Attempts != 1 || !strings.Contains(err.Error(), "CA bundle") {
		t.Errorf("without the bundle: %v, want an UnavailableError after one attempt that names the CA bundle", err)
	}

	for text, says := range map[string]string{"": "it is empty", "no certificate": "it has no certificate",
		string(bundle) + string(bundle[:100]): "block 2 is damaged"} {
		if _, err := quilt.NewClient(server.URL, quilt.Options{CABundle: []byte(text)}); err == nil ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("a bundle of %d bytes: %v, want an error that says %q", len(text), err, says)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.StartTLS()
	defer server.Close()
	c, err := quilt.NewClient(server.URL, quilt.Options{MaxAttempts: 1,
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WithKey(key(t)).Me(t.Context()); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("%v, want a refused protocol version", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	// The credential is sent to the registry's host only.
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		registry := newFake(t, nil)
		for _, to := range []string{other.URL + "/graphql", registry.URL + "/elsewhere", "http://localhost/graphql"} {
			registry.answer = func(w http.ResponseWriter, _ received) {
				w.Header().Set("Location", to)
				w.WriteHeader(code)
			}
			before := len(registry.requests())
			_, err := registry.session(t, quilt.Options{}).Me(t.Context())
			if _, is := err.(*quilt.ProtocolError); !is {
				t.Errorf("%d to %s: %v, want a ProtocolError", code, to, err)
			}
			if n := len(registry.requests()) - before; n != 1 {
				t.Errorf("%d to %s: %d requests to the registry, want 1", code, to, n)
			}
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

func TestConnectionIsKept(t *testing.T) {
	// All requests of an invocation use one connection, also after refusals, because each answer is
	// read to its end.
	answers := []func(http.ResponseWriter, received){ok(meJSON("")), status(401, `{"message":"no"}`),
		status(404, strings.Repeat("x", 10_000)), ok(meJSON(""))}
	var turn atomic.Int32
	registry := newFake(t, func(w http.ResponseWriter, r received) { answers[turn.Add(1)-1](w, r) })
	s := registry.session(t, quilt.Options{})
	for range answers {
		_, _ = s.Me(t.Context())
	}
	from := map[string]bool{}
	for _, r := range registry.requests() {
		from[r.Remote] = true
	}
	if turn.Load() != 4 || len(from) != 1 {
		t.Errorf("%d requests over %d connections, want 4 over 1", turn.Load(), len(from))
	}
}

func TestNoCookies(t *testing.T) {
	// Only the credential identifies a request.
	var cookies atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies.Add(int32(len(r.Cookies())))
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		_, _ = io.WriteString(w, meJSON(""))
	}))
	defer server.Close()
	c, err := quilt.NewClient(server.URL, quilt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.WithKey(key(t)).Me(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if cookies.Load() != 0 {
		t.Error("a cookie was sent back")
	}
}

func TestUnsendableKey(t *testing.T) {
	// A token that is not valid in a header, or an empty key, is refused with a reason and not
	// sent.
	for _, token := range []string{"", `t_a\u0000b`, `t_a\u007fb`} {
		registry := newFake(t, ok(`{"refresh_token":"r","access_token":"`+token+`","expires_at":99999999999}`))
		client := registry.client(t, quilt.Options{})
		session, want := client.WithKey(zeroKey), 0
		if token != "" {
			var err error
			if session, err = client.LoginRefreshToken(t.Context(), quilt.NewRefreshToken("code")); err != nil {
				t.Fatal(err)
			}
			want = 1
		}
		_, err := session.Me(t.Context())
		if _, is := err.(*quilt.UnauthenticatedError); !is || strings.Contains(err.Error(), "t_a") {
			t.Errorf("token %q: %v, want an UnauthenticatedError that does not quote it", token, err)
		}
		if n := len(registry.requests()); n != want {
			t.Errorf("%d requests were sent, want %d", n, want)
		}
	}
}

func TestReach(t *testing.T) {
	// Without a credential, it is known that the registry answers and, in some cases, whether it
	// supports API keys.
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, received)
		want   quilt.KeySupport
	}{
		"nobody is logged in": {status(http.StatusOK, `{"data":{"me":null}}`), quilt.KeysSupported},
		"it wants a credential": {status(http.StatusUnauthorized, `{"message":"Login required."}`),
			quilt.KeySupportUnknown},
		"it lets nobody ask": {status(http.StatusForbidden, `{"message":"Forbidden."}`), quilt.KeySupportUnknown},
		"a platform before 1.67": {status(http.StatusBadRequest,
			`{"errors":[{"message":"Cannot query field 'apiKeys' on type 'Me'."}]}`), quilt.KeysUnsupported},
		"another error": {status(http.StatusOK, `{"errors":[{"message":"Out of order."}]}`), quilt.KeySupportUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.answer)
			got, err := f.client(t, quilt.Options{}).Reach(t.Context())
			if err != nil || got != c.want {
				t.Errorf("it sees %d (%v), want %d", got, err, c.want)
			}
			for _, r := range f.requests() {
				if r.Authorization != "" {
					t.Error("a credential was sent")
				}
			}
		})
	}
}

func TestReachOfAnotherServer(t *testing.T) {
	// If the URL is wrong, the answer of another server is an error.
	f := newFake(t, status(http.StatusNotFound, "<html>"))
	if _, err := f.client(t, quilt.Options{}).Reach(t.Context()); kind(err) != "ProtocolError" {
		t.Errorf("it fails with %v", err)
	}
}
