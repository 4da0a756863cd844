// Package quiltregistry is a Quilt registry for tests and the demo. It has users, API keys, logins
// and an audit trail.
//
// It serves the project's schema file over GraphQL, and the REST endpoints that clients use. It
// follows the public clients and documentation of the Quilt platform (quiltdata/quilt:
// api/python/quilt3, catalog/app/containers/Auth, docs/advanced-features/good-practice.md). Where
// these do not say how the real registry behaves, [Switches] has a field for each possible
// behavior, and a test can run with all of them. The registry's time is the time of the sandbox's
// clock plus Switches.Skew.
//
// Network faults are not part of this package: see package wire. The registry keeps passwords and
// secrets in memory as plain text and never prints them. It must listen on loopback only.
package quiltregistry

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"quilt-rotate/internal/sandbox/clock"
)

// maxBody is the maximum size of a request body.
const maxBody = 1 << 20

// Options configure a registry. The zero value uses the real time and the host of each request.
type Options struct {
	Clock   *clock.Clock
	BaseURL string // registryUrl in /config.json; empty: the host of the request
}

// A Registry is an http.Handler. It is safe for concurrent use.
type Registry struct {
	clock    *clock.Clock
	baseURL  string
	mux      *http.ServeMux
	switches atomic.Pointer[Switches]

	mu            sync.Mutex // guards the fields below; never held while a function of the caller runs
	users         []*user    // in the order they were added
	keys          map[string]*key
	bySecret      map[string]*key
	stillAccepted map[string]*key // revoked keys by secret that are still accepted: Switches.RevokedKeyLogins
	refresh       map[string]token
	access        map[string]token
	events        []Event
	counts        Counts
	window        rateWindow
}

// Counts are the numbers of requests. A request without a valid login counts for its operation
// only.
type Counts struct {
	ByOperation map[string]int // by the result of Operation
	ByKey       map[string]int // by key id
	ByUser      map[string]int // by email, interactive logins and keys together
}

type rateWindow struct {
	second int64
	seen   int
}

// New returns a registry without users.
func New(options Options) *Registry {
	if options.Clock == nil {
		options.Clock = &clock.Clock{}
	}
	r := &Registry{
		clock:         options.Clock,
		baseURL:       strings.TrimRight(options.BaseURL, "/"),
		mux:           http.NewServeMux(),
		keys:          map[string]*key{},
		bySecret:      map[string]*key{},
		stillAccepted: map[string]*key{},
		refresh:       map[string]token{},
		access:        map[string]token{},
		counts:        Counts{ByOperation: map[string]int{}, ByKey: map[string]int{}, ByUser: map[string]int{}},
	}
	r.switches.Store(&Switches{})
	r.mux.HandleFunc("POST /graphql", r.serveGraphQL)
	r.mux.HandleFunc("POST /api/login", r.serveLogin)
	r.mux.HandleFunc("POST /api/token", r.serveToken)
	r.mux.HandleFunc("GET /api/auth/get_credentials", r.serveCredentials)
	r.mux.HandleFunc("GET /config.json", r.serveConfig)
	r.mux.HandleFunc("GET /login", r.serveCode)
	r.mux.HandleFunc("GET /healthcheck", r.serveHealth)
	return r
}

// A call is a request, with the time and the switches that apply to all of it.
type call struct {
	registry  *Registry
	switches  *Switches
	now       time.Time
	body      []byte
	userAgent string
	sourceIP  string
	requestID string
	session   *session // nil if the request has no credentials
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	switches := r.switches.Load()
	now := r.now(switches)
	// Callers read the registry's time from this header. By default, net/http sets the real time.
	w.Header().Set("Date", now.Format(http.TimeFormat))
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		refusal{http.StatusBadRequest, "the request body cannot be read"}.write(w, request)
		return
	}
	if !r.admit(Operation(request, body), switches, now) {
		w.Header().Set("Retry-After", "1")
		refusal{http.StatusTooManyRequests, "Too many requests."}.write(w, request)
		return
	}
	ip, _, _ := net.SplitHostPort(request.RemoteAddr)
	c := &call{
		registry: r, switches: switches, now: now, body: body,
		userAgent: request.UserAgent(), sourceIP: ip, requestID: rand.Text(),
	}
	// The registry processes a request to its end, even if the caller no longer waits.
	ctx := context.WithValue(context.WithoutCancel(request.Context()), callKey{}, c)
	request = request.WithContext(ctx)
	request.Body = io.NopCloser(bytes.NewReader(body))
	r.mux.ServeHTTP(w, request)
}

// now returns the registry's time, truncated to microseconds as in its database.
func (r *Registry) now(switches *Switches) time.Time {
	return r.clock.Now().Add(switches.Skew).Truncate(time.Microsecond)
}

// admit counts the request, and reports whether the rate limit allows it.
func (r *Registry) admit(operation string, switches *Switches, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.ByOperation[operation]++
	if switches.RateLimit <= 0 {
		return true
	}
	if second := now.Unix(); second != r.window.second {
		r.window = rateWindow{second: second}
	}
	r.window.seen++
	return r.window.seen <= switches.RateLimit
}

// Requests returns the counts of all requests since the start.
func (r *Registry) Requests() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Counts{
		ByOperation: maps.Clone(r.counts.ByOperation),
		ByKey:       maps.Clone(r.counts.ByKey),
		ByUser:      maps.Clone(r.counts.ByUser),
	}
}
