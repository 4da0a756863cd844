// Package retry repeats calls that are expected to succeed soon, with increasing waits. It also
// divides the time that a Lambda function has left (deadline.go). It never calls a service itself:
// the caller decides which errors are worth another attempt.
package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Waits says how long to wait between attempts, and for how long to repeat.
//
// Each wait is random, between zero and twice an interval. The interval starts with First and
// doubles up to Longest. So many functions that were refused at the same moment do not retry
// together.
type Waits struct {
	First, Longest time.Duration
	AtMost         time.Duration // from the first attempt to the start of the last; 0: one attempt
	Attempts       int           // at most; 0: as many as there is time for
}

// While calls f, and calls it again while its error passes the function passes. If the error has
// the method AsksToWait, the wait is longer by that time. While returns what the last call
// returned, also if the context ends during a wait. It calls f at least once.
func While[T any](ctx context.Context, w Waits, passes func(error) bool, f func() (T, error)) (T, error) {
	intervals := &backoff.ExponentialBackOff{
		InitialInterval: w.First, MaxInterval: w.Longest, Multiplier: 2, RandomizationFactor: 1}
	start := time.Now()
	for attempt := 1; ; attempt++ {
		value, err := f()
		if err == nil || !passes(err) || attempt == w.Attempts {
			return value, err
		}
		wait := intervals.NextBackOff()
		var asking interface{ AsksToWait() time.Duration }
		if errors.As(err, &asking) {
			wait += asking.AsksToWait()
		}
		if time.Since(start)+wait >= w.AtMost {
			return value, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return value, err
		}
	}
}
