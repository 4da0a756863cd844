package quilt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
)

// secret is the key that the tests log in with; no error may ever contain it.
const secret = "qk_Zb7Lq0vN3xTtR5yKfW2mC9sD8hJ4gP6aE1uQ"

// keyJSON is a key as the registry writes it.
const keyJSON = `{"id":"key-1","name":"svc-prod-20261122","fingerprint":"qk_Zb7...1uQ","createdAt":"2026-11-22T18:00:00.123456+00:00",` +
	`"expiresAt":"2027-02-20T18:00:00Z","lastUsedAt":null,"status":"ACTIVE","userEmail":"svc@example.com"}`

// registryTime is the fake registry's Date header. It differs from the time of the machine.
var registryTime = time.Date(2026, 11, 22, 18, 15, 0, 0, time.UTC)

// received is one request as the fake registry saw it.
type received struct {
	Method, Path  string
	Remote        string // the connection's other end
	Authorization string
	ContentType   string
	UserAgent     string
	Body          string
	Operation     string         // GraphQL's
	Variables     map[string]any // GraphQL's
}

// fake is a registry with prepared answers. It records the requests.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []received
	answer func(http.ResponseWriter, received)
}

// newFake starts a registry on loopback that answers each request by answer.
func newFake(t testing.TB, answer func(http.ResponseWriter, received)) *fake {
	t.Helper()
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := receive(r)
	f.mu.Lock()
	f.asked = append(f.asked, got)
	f.mu.Unlock()
	w.Header().Set("Date", registryTime.Format(http.TimeFormat))
	f.answer(w, got)
}

func receive(r *http.Request) received {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	got := received{
		Method: r.Method, Path: r.URL.Path, Remote: r.RemoteAddr, Body: string(body), UserAgent: r.UserAgent(),
		Authorization: r.Header.Get("Authorization"), ContentType: r.Header.Get("Content-Type"),
	}
	var asked struct {
		OperationName string
		Variables     map[string]any
	}
	if json.Unmarshal(body, &asked) == nil {
		got.Operation, got.Variables = asked.OperationName, asked.Variables
	}
	return got
}

// requests returns the requests so far.
func (f *fake) requests() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]received(nil), f.asked...)
}

// session returns a session with a key at this registry. It makes one attempt unless options has
// another number.
func (f *fake) session(t testing.TB, options quilt.Options) *quilt.Session {
	t.Helper()
	return f.client(t, options).WithKey(key(t))
}

func (f *fake) client(t testing.TB, options quilt.Options) *quilt.Client {
	t.Helper()
	if options.MaxAttempts == 0 {
		options.MaxAttempts = 1
	}
	c, err := quilt.NewClient(f.URL, options)
	if err != nil {
		t.Fatalf("a client for the fake registry: %v", err)
	}
	return c
}

func key(t testing.TB) apikey.Key {
	t.Helper()
	return parsed(t, secret)
}

func parsed(t testing.TB, s string) apikey.Key {
	t.Helper()
	k, err := apikey.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// status answers with a status and a body.
func status(code int, body string) func(http.ResponseWriter, received) {
	return func(w http.ResponseWriter, _ received) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// ok answers with status 200.
func ok(body string) func(http.ResponseWriter, received) { return status(http.StatusOK, body) }

// created is the answer to apiKeyCreate.
func created(secret string) string {
	return fmt.Sprintf(`{"data":{"apiKeyCreate":{"__typename":"APIKeyCreated","apiKey":%s,"secret":%q}}}`, keyJSON,
		secret)
}

// transport stands in for the network, where a test wants the clock of a synctest bubble.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reply is an answer for a transport.
func reply(code int, body string, headers ...string) *http.Response {
	header := http.Header{"Date": {registryTime.Format(http.TimeFormat)}}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(bytes.NewReader([]byte(body)))}
}

// over returns a session that sends its requests to f.
func over(t testing.TB, options quilt.Options, f transport) *quilt.Session {
	t.Helper()
	options.Transport = f
	c, err := quilt.NewClient("https://registry.example.com", options)
	if err != nil {
		t.Fatal(err)
	}
	return c.WithKey(key(t))
}
