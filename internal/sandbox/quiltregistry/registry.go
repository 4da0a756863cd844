// Package quiltregistry is a Quilt registry on loopback: users, their API keys, logins and audit
// trail, for tests and the demo.
//
// It serves the project's schema file over GraphQL and the few REST endpoints that clients use, as
// the public clients and documentation of the Quilt platform show them (quiltdata/quilt:
// api/python/quilt3, catalog/app/containers/Auth, docs/advanced-features/good-practice.md). What
// nobody outside can know of the real one is a switch, so that a test can hold with every answer.
// All time is the sandbox's clock plus the registry's own skew.
//
// It relies on the caller to put the network's faults in front of it (package wire). It keeps
// passwords and secrets in memory in clear, never prints them, and must never listen on anything
// but loopback.
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

// maxBody bounds what is read of one request.
const maxBody = 1 << 20

// Options are what a registry is made with. The zero value shows real time under whatever host it
// is asked at.
type Options struct {
	Clock   *clock.Clock
	BaseURL string // what /config.json calls registryUrl; empty: the host that the request names
}

// A Registry is an http.Handler. It is safe for concurrent use.
type Registry struct {
	clock    *clock.Clock
	baseURL  string
	mux      *http.ServeMux
	switches atomic.Pointer[Switches]

	mu        sync.Mutex // guards what follows; never held while a function of the caller runs
	users     []*user    // in the order they were added
	keys      map[string]*key
	bySecret  map[string]*key
	lingering map[string]*key // revoked, by secret, and still let in: Switches.RevokeLingers
	refresh   map[string]token
	access    map[string]token
	events    []Event
	counts    Counts
	window    rateWindow
}

// Counts say how often the registry was asked. A request refused for want of a valid login counts
// for its operation only.
type Counts struct {
	ByOperation map[string]int // as Operation names them
	ByKey       map[string]int // by key id
	ByUser      map[string]int // by email, interactive logins and keys together
}

type rateWindow struct {
	second int64
	seen   int
}

// New makes a registry without users.
func New(options Options) *Registry {
	if options.Clock == nil {
		options.Clock = &clock.Clock{}
	}
	r := &Registry{
		clock:     options.Clock,
		baseURL:   strings.TrimRight(options.BaseURL, "/"),
		mux:       http.NewServeMux(),
		keys:      map[string]*key{},
		bySecret:  map[string]*key{},
		lingering: map[string]*key{},
		refresh:   map[string]token{},
		access:    map[string]token{},
		counts:    Counts{ByOperation: map[string]int{}, ByKey: map[string]int{}, ByUser: map[string]int{}},
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

// A call is one request: what it was made of, and the one instant and the one set of switches that
// all of it sees.
type call struct {
	registry  *Registry
	switches  *Switches
	now       time.Time
	body      []byte
	userAgent string
	sourceIP  string
	requestID string
	session   *session // nil while nobody is logged in
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	switches := r.switches.Load()
	now := r.now(switches)
	// net/http would stamp real time: callers take the registry's time from this header.
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
	// A request that has arrived is carried out to its end, whether or not its caller still waits.
	ctx := context.WithValue(context.WithoutCancel(request.Context()), callKey{}, c)
	request = request.WithContext(ctx)
	request.Body = io.NopCloser(bytes.NewReader(body))
	r.mux.ServeHTTP(w, request)
}

// now is the registry's time, to the microsecond as its database keeps it.
func (r *Registry) now(switches *Switches) time.Time {
	return r.clock.Now().Add(switches.Skew).Truncate(time.Microsecond)
}

// admit counts the request, and says whether the rate limit lets it pass.
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

// Requests returns the counts so far.
func (r *Registry) Requests() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Counts{
		ByOperation: maps.Clone(r.counts.ByOperation),
		ByKey:       maps.Clone(r.counts.ByKey),
		ByUser:      maps.Clone(r.counts.ByUser),
	}
}
