package bench_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/wire"
)

// The names of the services in a [wire.Call].
const (
	registry       = "registry"
	secretsManager = "secretsmanager"
)

// connections is the number of connections of an environment to each service. All requests use the
// same connection.
const connections = 1

// counts has the numbers of requests since [counter.reset].
type counts struct {
	requests    map[string]int
	received    map[string]int // bytes of answers
	connections map[string]int // only if the network is measured
	busy        time.Duration  // the time in which at least one service processed a request
}

// A counter counts requests, which may be concurrent.
type counter struct {
	mu     sync.Mutex
	counts counts
	open   int       // the number of requests that are processed
	since  time.Time // the start of the first of them
}

// reset sets all counts to zero.
func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = counts{requests: map[string]int{}, received: map[string]int{}, connections: map[string]int{}}
}

// counted returns the current counts.
func (c *counter) counted() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return counts{maps.Clone(c.counts.requests), maps.Clone(c.counts.received), maps.Clone(c.counts.connections),
		c.counts.busy}
}

// count returns a hook that delays each request and counts it.
func (c *counter) count(delay time.Duration) wire.Hook {
	return func(call *wire.Call, next func()) {
		c.begin()
		time.Sleep(delay)
		next()
		c.end(call)
	}
}

func (c *counter) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == 0 {
		c.since = time.Now()
	}
	c.open++
}

func (c *counter) end(call *wire.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.requests[call.Service]++
	c.counts.received[call.Service] += len(call.Answer)
	if c.open--; c.open == 0 {
		c.counts.busy += time.Since(c.since)
	}
}

func (c *counter) connected(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.connections[service]++
}

// baseline returns the time of the requests alone if each takes the given time.
func (c counts) baseline(each time.Duration) time.Duration {
	return each * time.Duration(c.requests[registry]+c.requests[secretsManager])
}

// check fails if the numbers of requests are not the expected ones.
func (c counts) check(b *testing.B, want map[string]int) {
	b.Helper()
	if !maps.Equal(c.requests, want) {
		b.Fatalf("got the requests %v, want %v", c.requests, want)
	}
}

// checkConnections fails if there was not exactly one connection to each service. The result would
// not show the time of the network.
func (c counts) checkConnections(b *testing.B) {
	b.Helper()
	for _, service := range []string{registry, secretsManager} {
		if n := c.connections[service]; n != connections {
			b.Fatalf("got %d connections to %s, want %d", n, service, connections)
		}
	}
}

func (c counts) report(b *testing.B) {
	b.Helper()
	for _, service := range []string{registry, secretsManager} {
		b.ReportMetric(float64(c.requests[service]), fmt.Sprint("requests-", service))
		if len(c.connections) > 0 {
			b.ReportMetric(float64(c.connections[service]), fmt.Sprint("connections-", service))
		}
	}
}
