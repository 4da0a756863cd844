package awslambda

import (
	"context"
	"time"
)

// LimitBy lets processes meet their limits, of the Init phase and of an invocation, when the test
// says so, and not when their time is over.
func (h *Host) LimitBy(event <-chan struct{}) {
	h.within = func(parent context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(parent)
		go func() {
			select {
			case <-event:
				cancel()
			case <-ctx.Done():
			}
		}()
		return ctx, cancel
	}
}

// LimitByTime is how every Host starts.
func (h *Host) LimitByTime() { h.within = context.WithTimeout }
