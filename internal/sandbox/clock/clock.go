// Package clock is the sandbox's time: real time plus an offset that a test or the demo moves.
//
// Everything the sandbox stamps or compares (creation, expiry and use of keys, versions, `Date`
// headers) reads this clock. The functions under test need none of it: they take the time from the
// `Date` headers of the two services.
//
// It is a package of its own, because all services of the sandbox share one clock and import
// nothing of each other.
package clock

import (
	"sync"
	"time"
)

// A Clock tells the sandbox's time. The zero Clock shows real time. It is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now is the sandbox's time, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().UTC().Add(c.offset)
}

// Advance moves the clock by d; a negative d moves it back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}
