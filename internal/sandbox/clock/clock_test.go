package clock_test

import (
	"sync"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/clock"
)

func between(t testing.TB, at time.Time, from, to time.Time) {
	t.Helper()
	if at.Before(from) || at.After(to) {
		t.Errorf("the clock returned %v, want %v to %v", at, from, to)
	}
}

func TestClockShowsRealTimeUntilItIsMoved(t *testing.T) {
	// SDKs refuse a service whose clock differs from real time.
	var c clock.Clock
	before := time.Now()
	now := c.Now()
	between(t, now, before, time.Now())
	if now.Location() != time.UTC {
		t.Errorf("the clock returned %v, not UTC", now)
	}
}

func TestClockMovesBothWays(t *testing.T) {
	// Tests of grace periods move the clock several times. Moves add up, and time continues after
	// each.
	var c clock.Clock
	c.Advance(25 * time.Hour)
	before := time.Now()
	between(t, c.Now(), before.Add(25*time.Hour), time.Now().Add(25*time.Hour))
	c.Advance(-26 * time.Hour)
	before = time.Now()
	between(t, c.Now(), before.Add(-time.Hour), time.Now().Add(-time.Hour))
	if first, second := c.Now(), c.Now(); second.Before(first) {
		t.Errorf("the clock went back from %v to %v", first, second)
	}
}

func TestClockIsSafeForConcurrentUse(t *testing.T) {
	// Services read the clock while a test moves it. No move may be lost.
	var c clock.Clock
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				c.Advance(time.Minute)
				c.Now()
			}
		})
	}
	before := time.Now()
	all.Wait()
	between(t, c.Now(), before.Add(800*time.Minute), time.Now().Add(800*time.Minute))
}
