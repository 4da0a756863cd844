package awslambda

import (
	"context"
	"time"
)

// TimeOutOn ends the Init phase or an invocation when event receives a value, instead of after a
// time.
func (h *Host) TimeOutOn(event <-chan struct{}) {
	h.withTimeout = func(parent context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
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

// TimeOutByTime restores the time limits.
func (h *Host) TimeOutByTime() { h.withTimeout = context.WithTimeout }
