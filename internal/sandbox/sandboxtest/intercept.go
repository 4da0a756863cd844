package sandboxtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

	"quilt-rotate/internal/sandbox/wire"
)

// Intercept adds a hook to the functions' requests. The requests of the test are not intercepted.
// The last hook is called first, and its next calls the hook before it. Intercept replaces the hook
// that was set with Hooks, until it is removed.
func (r *Rig) Intercept(hook wire.Hook) (remove func()) {
	i := &interception{hook}
	r.interceptions.mu.Lock()
	defer r.interceptions.mu.Unlock()
	r.interceptions.list = append(slices.Clone(r.interceptions.list), i)
	r.Hooks.Set(r.interceptions.run)
	return func() {
		r.interceptions.mu.Lock()
		defer r.interceptions.mu.Unlock()
		r.interceptions.list = slices.DeleteFunc(slices.Clone(r.interceptions.list),
			func(other *interception) bool { return other == i })
	}
}

type interception struct{ hook wire.Hook }

type interceptions struct {
	mu    sync.Mutex
	list  []*interception
	trace *Trace // sees requests before all the others, and answers after all of them
}

func (i *interceptions) run(c *wire.Call, next func()) {
	i.mu.Lock()
	list, trace := i.list, i.trace
	i.mu.Unlock()
	if ProcessOf(c) == "" {
		next()
		return
	}
	if trace != nil {
		carryOut, request := next, trace.add(c)
		next = func() {
			carryOut()
			trace.answered(request, c)
		}
	}
	for _, each := range list {
		inner := next
		next = func() { each.hook(c, inner) }
	}
	next()
}

// On limits a hook to some operations.
func On(hook wire.Hook, operations ...string) wire.Hook {
	return func(c *wire.Call, next func()) {
		if slices.Contains(operations, c.Operation) {
			hook(c, next)
			return
		}
		next()
	}
}

// OnService limits a hook to one service.
func OnService(service string, hook wire.Hook) wire.Hook {
	return func(c *wire.Call, next func()) {
		if c.Service == service {
			hook(c, next)
			return
		}
		next()
	}
}

// Nth limits a hook to the n-th request, counted from 0.
func Nth(n int, hook wire.Hook) wire.Hook {
	var mu sync.Mutex
	seen := -1
	return func(c *wire.Call, next func()) {
		mu.Lock()
		seen++
		mine := seen == n
		mu.Unlock()
		if mine {
			hook(c, next)
			return
		}
		next()
	}
}

// LoseRequest cuts the connection before the service sees the request.
func LoseRequest(c *wire.Call, _ func()) { c.Cut() }

// LoseAnswer lets the service carry out the request and then cuts the connection.
func LoseAnswer(c *wire.Call, next func()) {
	next()
	c.Cut()
}

// Before runs f before the request is carried out. After runs f between the request and its answer.
func Before(f func()) wire.Hook {
	return func(_ *wire.Call, next func()) {
		f()
		next()
	}
}

// After runs f after the request was carried out, before its answer arrives.
func After(f func()) wire.Hook {
	return func(_ *wire.Call, next func()) {
		next()
		f()
	}
}

// Answer answers instead of the service. The headers are pairs of name and value.
func Answer(status int, body string, headers ...string) wire.Hook {
	return func(c *wire.Call, _ func()) { c.Respond(status, body, headers...) }
}

// AWSError answers with an error in the form of Secrets Manager.
func AWSError(status int, code, message string) wire.Hook {
	body, _ := json.Marshal(map[string]string{"__type": code, "Message": message})
	return Answer(status, string(body), "Content-Type", "application/x-amz-json-1.1")
}

// EditAnswer replaces a text in the answer.
func EditAnswer(old, new string) wire.Hook {
	return func(c *wire.Call, next func()) {
		next()
		c.Answer = bytes.ReplaceAll(c.Answer, []byte(old), []byte(new))
	}
}

// A Gate holds requests until it is opened.
type Gate struct {
	Arrived chan struct{} // closed when the first request has come
	Landed  chan struct{} // closed when the first held request was carried out
	open    chan struct{}
	arrive  sync.Once
	land    sync.Once
	opening sync.Once
}

// NewGate returns a gate, which opens at the end of the test at the latest.
func NewGate(t T) *Gate {
	g := &Gate{Arrived: make(chan struct{}), Landed: make(chan struct{}), open: make(chan struct{})}
	t.Cleanup(g.Open)
	return g
}

// Open lets all requests pass.
func (g *Gate) Open() { g.opening.Do(func() { close(g.open) }) }

// Stall makes the caller wait until the gate is open.
func (g *Gate) Stall(_ *wire.Call, next func()) {
	g.arrive.Do(func() { close(g.Arrived) })
	<-g.open
	next()
	g.land.Do(func() { close(g.Landed) })
}

// Hang never answers the caller.
func (g *Gate) Hang(c *wire.Call, _ func()) {
	g.arrive.Do(func() { close(g.Arrived) })
	<-g.open
	c.Cut()
}

// LandLate cuts the connection. The service carries out the request when the gate opens.
func (g *Gate) LandLate(c *wire.Call, next func()) {
	g.arrive.Do(func() { close(g.Arrived) })
	go func() {
		<-g.open
		next()
		g.land.Do(func() { close(g.Landed) })
	}()
	c.Cut()
}

// A Request is a request of a function.
type Request struct {
	Process   string
	Operation string
	Subject   string // of Secrets Manager's: the version that is read or written, or the label that is moved
	Sent      string // everything that it carried
	Answer    string
}

// Observed returns a request of any sender, to search it for secrets. After next it includes the
// answer.
func Observed(c *wire.Call) Request {
	return Request{Process: ProcessOf(c), Operation: c.Operation, Subject: subject(c), Sent: sent(c.Request, c.Body),
		Answer: string(c.Answer)}
}

// Writes reports whether the request changes something at its service.
func (q Request) Writes() bool {
	switch q.Operation {
	case "DescribeSecret", "GetSecretValue", "ListSecrets", "ListSecretVersionIds", "GetFunction",
		"GetCallerIdentity", "ListAccountAliases", "me", "account", "accountKeys", "adminApiKeyGet", "login",
		"POST /api/login", "POST /api/token":
		return false
	}
	return true
}

// A Trace records the requests of the functions in their order.
type Trace struct {
	mu   sync.Mutex
	list []*Request
}

// Trace starts a new trace in place of a former one. It records requests as they were sent and
// answers as the service gave them, before any hook changes them.
func (r *Rig) Trace() *Trace {
	t := &Trace{}
	r.interceptions.mu.Lock()
	r.interceptions.trace = t
	r.interceptions.mu.Unlock()
	r.Hooks.Set(r.interceptions.run)
	return t
}

func (t *Trace) add(c *wire.Call) *Request {
	request := &Request{Process: ProcessOf(c), Operation: c.Operation, Subject: subject(c),
		Sent: sent(c.Request, c.Body)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, request)
	return request
}

func (t *Trace) answered(request *Request, c *wire.Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	request.Answer = string(c.Answer)
}

func subject(c *wire.Call) string {
	var body struct{ VersionId, ClientRequestToken, VersionStage string }
	if c.Service != "secretsmanager" || json.Unmarshal(c.Body, &body) != nil {
		return ""
	}
	return body.VersionId + body.ClientRequestToken + body.VersionStage // a request has one of them
}

func sent(request *http.Request, body []byte) string {
	return request.Header.Get("Authorization") + "\n" + request.URL.String() + "\n" + string(body)
}

// Take returns the recorded requests and removes them from the trace.
func (t *Trace) Take() []Request {
	t.mu.Lock()
	defer t.mu.Unlock()
	requests := make([]Request, 0, len(t.list))
	for _, q := range t.list {
		requests = append(requests, *q)
	}
	t.list = nil
	return requests
}

// Operations returns the names of the operations of requests, each with its subject.
func Operations(requests []Request) []string {
	names := []string{}
	for _, q := range requests {
		names = append(names, strings.TrimSpace(q.Operation+" "+q.Subject))
	}
	return names
}

// Count returns the number of requests for an operation.
func Count(requests []Request, operation string) int {
	n := 0
	for _, q := range requests {
		if q.Operation == operation {
			n++
		}
	}
	return n
}
