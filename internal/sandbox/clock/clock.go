// Package clock is the sandbox's clock: real time plus an offset that a test or the demo changes.
//
// The sandbox uses this clock for everything that it records or compares: the creation, expiry and
// use of keys, versions, and Date headers. The functions under test do not use it. They take the
// time from the Date headers of the services.
//
// It is a separate package because all services of the sandbox share one clock and do not import
// each other.
package clock

import (
	"sync"
	"time"
)

// A Clock returns the sandbox's time. The zero Clock returns real time. It is safe for concurrent
// use.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now returns the sandbox's time, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().UTC().Add(c.offset)
}

// Advance moves the clock by d; a negative d moves it backwards.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}
