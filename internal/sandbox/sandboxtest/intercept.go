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

// Intercept puts a hook in front of the functions' requests; the test's own pass. The hook that
// came last is asked first, and its next asks the one before. It replaces what was set by way of
// Hooks, until it is removed.
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

// On applies a hook to the requests for some operations only.
func On(hook wire.Hook, operations ...string) wire.Hook {
	return func(c *wire.Call, next func()) {
		if slices.Contains(operations, c.Operation) {
			hook(c, next)
			return
		}
		next()
	}
}

// OnService applies a hook to the requests to one service only.
func OnService(service string, hook wire.Hook) wire.Hook {
	return func(c *wire.Call, next func()) {
		if c.Service == service {
			hook(c, next)
			return
		}
		next()
	}
}

// Nth applies a hook to the n-th request that it is asked about, from 0, and to no other.
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

// LoseAnswer lets the service do it, and cuts the connection.
func LoseAnswer(c *wire.Call, next func()) {
	next()
	c.Cut()
}

// Before runs f before the request is carried out, After once it was and before its answer arrives.
func Before(f func()) wire.Hook {
	return func(_ *wire.Call, next func()) {
		f()
		next()
	}
}

// After is described at Before.
func After(f func()) wire.Hook {
	return func(_ *wire.Call, next func()) {
		next()
		f()
	}
}

// Answer answers in the service's place. The headers come in pairs of name and value.
func Answer(status int, body string, headers ...string) wire.Hook {
	return func(c *wire.Call, _ func()) { c.Respond(status, body, headers...) }
}

// AWSError refuses as Secrets Manager does.
func AWSError(status int, code, message string) wire.Hook {
	body, _ := json.Marshal(map[string]string{"__type": code, "Message": message})
	return Answer(status, string(body), "Content-Type", "application/x-amz-json-1.1")
}

// EditAnswer changes the answer's bytes on their way.
func EditAnswer(old, new string) wire.Hook {
	return func(c *wire.Call, next func()) {
		next()
		c.Answer = bytes.ReplaceAll(c.Answer, []byte(old), []byte(new))
	}
}

// Gate holds requests back until it is opened.
type Gate struct {
	Arrived chan struct{} // closed when the first request has come
	Landed  chan struct{} // closed when the first held request was carried out
	open    chan struct{}
	arrive  sync.Once
	land    sync.Once
	opening sync.Once
}

// NewGate makes a gate, which opens at the test's end at the latest.
func NewGate(t T) *Gate {
	g := &Gate{Arrived: make(chan struct{}), Landed: make(chan struct{}), open: make(chan struct{})}
	t.Cleanup(g.Open)
	return g
}

// Open lets all requests pass.
func (g *Gate) Open() { g.opening.Do(func() { close(g.open) }) }

// Stall makes the caller wait until the gate is opened.
func (g *Gate) Stall(_ *wire.Call, next func()) {
	g.arrive.Do(func() { close(g.Arrived) })
	<-g.open
	next()
	g.land.Do(func() { close(g.Landed) })
}

// Hang makes the caller wait, for nothing.
func (g *Gate) Hang(c *wire.Call, _ func()) {
	g.arrive.Do(func() { close(g.Arrived) })
	<-g.open
	c.Cut()
}

// LandLate cuts the connection; the service carries the request out once the gate is opened.
func (g *Gate) LandLate(c *wire.Call, next func()) {
	g.arrive.Do(func() { close(g.Arrived) })
	go func() {
		<-g.open
		next()
		g.land.Do(func() { close(g.Landed) })
	}()
	c.Cut()
}

// Request is one that a function sent.
type Request struct {
	Process   string
	Operation string
	Subject   string // of Secrets Manager's: the version that is read or written, or the label that is moved
	Sent      string // everything that it carried
	Answer    string
}

// Observed is a request of anybody, to be searched for what is secret; asked after next, its answer
// too.
func Observed(c *wire.Call) Request {
	return Request{Process: ProcessOf(c), Operation: c.Operation, Subject: subject(c), Sent: sent(c.Request, c.Body),
		Answer: string(c.Answer)}
}

// Writes tells whether the request changes something at its service.
func (q Request) Writes() bool {
	switch q.Operation {
	case "DescribeSecret", "GetSecretValue", "ListSecrets", "ListSecretVersionIds", "GetFunction",
		"GetCallerIdentity", "ListAccountAliases", "me", "account", "accountKeys", "adminApiKeyGet", "login",
		"POST /api/login", "POST /api/token":
		return false
	}
	return true
}

// Trace gathers the requests of the functions, in the order in which they came.
type Trace struct {
	mu   sync.Mutex
	list []*Request
}

// Trace starts to gather, in the place of a former trace. It sees requests as they were sent, and
// answers as the service gave them, whatever hooks do to them.
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

// Take returns what was gathered, and starts anew.
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

// Operations names the operations of requests, each with its subject.
func Operations(requests []Request) []string {
	names := []string{}
	for _, q := range requests {
		names = append(names, strings.TrimSpace(q.Operation+" "+q.Subject))
	}
	return names
}

// Count counts the requests for an operation.
func Count(requests []Request, operation string) int {
	n := 0
	for _, q := range requests {
		if q.Operation == operation {
			n++
		}
	}
	return n
}
