package bench_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/wire"
)

// Names of the services, as a [wire.Call] has them.
const (
	registry       = "registry"
	secretsManager = "secretsmanager"
)

// connections is how many an environment opens to each service: all of its requests use the same
// one.
const connections = 1

// counts are what the services were asked since [counter.forget].
type counts struct {
	requests    map[string]int
	received    map[string]int // bytes of answers
	connections map[string]int // where the network is measured
	busy        time.Duration  // that one service at least had a request
}

// A counter counts requests, which may come side by side.
type counter struct {
	mu     sync.Mutex
	counts counts
	open   int       // requests under way
	since  time.Time // when the first of them came
}

// forget starts the counts anew.
func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = counts{requests: map[string]int{}, received: map[string]int{}, connections: map[string]int{}}
}

// counted is what was counted so far.
func (c *counter) counted() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return counts{maps.Clone(c.counts.requests), maps.Clone(c.counts.received), maps.Clone(c.counts.connections),
		c.counts.busy}
}

// count lets a request take that long at the service, and counts it.
func (c *counter) count(each time.Duration) wire.Hook {
	return func(call *wire.Call, next func()) {
		c.begin()
		time.Sleep(each)
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

// yardstick is what the requests alone take, one after the other.
func (c counts) baseline(each time.Duration) time.Duration {
	return each * time.Duration(c.requests[registry]+c.requests[secretsManager])
}

// check fails where there were other requests than those of the design.
func (c counts) check(b *testing.B, want map[string]int) {
	b.Helper()
	if !maps.Equal(c.requests, want) {
		b.Fatalf("the requests were %v, not %v", c.requests, want)
	}
}

// checkConnections fails where more were opened to a service than one, or none, so that something
// else was measured than the network.
func (c counts) checkConnections(b *testing.B) {
	b.Helper()
	for _, service := range []string{registry, secretsManager} {
		if n := c.connections[service]; n != connections {
			b.Fatalf("there were %d connections to %s, not %d", n, service, connections)
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
