// Package deadline divides the time that a Lambda function has left, so that it ends with a clear error and is not killed in the middle.
package deadline

import (
	"context"
	"time"
)

// maxMargin is what is kept of the function's time to report in.
const maxMargin = 2 * time.Second

// WithMargin is ctx without the last moments of the function's time: two seconds, or a fifth where that is less.
func WithMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(maxMargin, time.Until(end)/5)))
}

// WithShare is ctx with that share, from 0 to 1, of the time it has left.
func WithShare(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(float64(time.Until(end))*share))
}
