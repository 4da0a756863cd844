// Package retry repeats what is expected to succeed soon, with waits that grow. It knows no service: the caller says
// which errors pass.
package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Waits says how long to wait between attempts, and for how long to repeat. The waits are random, by a half.
type Waits struct {
	First, Longest time.Duration
	AtMost         time.Duration // from the first attempt to the start of the last; 0: one attempt
}

// While calls f again while it fails with an error that passes. It waits for as long as the error asks, if that has a
// method for it. It returns what the last call returned, also if the context ends during a wait. It calls f at least
// once.
func While[T any](ctx context.Context, w Waits, passes func(error) bool, f func() (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = w.First, w.Longest
	var value T
	var last error
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		value, last = f()
		if last != nil && !passes(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		var asking interface{ AsksToWait() time.Duration }
		if errors.As(last, &asking) && asking.AsksToWait() > 0 {
			return struct{}{}, &backoff.RetryAfterError{Duration: asking.AsksToWait()}
		}
		return struct{}{}, last
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(max(w.AtMost, 1))) // 0 would be no limit
	return value, last
}
