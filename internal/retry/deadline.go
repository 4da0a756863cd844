package retry

import (
	"context"
	"time"
)

// maxMargin is the time that a function keeps to report in.
const maxMargin = 2 * time.Second

// WithMargin returns ctx without the last moments of the Lambda function's time: two seconds, or a
// fifth of what is left if that is less. The function uses them to end with a clear error before
// Lambda kills it.
func WithMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(maxMargin, time.Until(end)/5)))
}

// WithShare returns ctx with that share, from 0 to 1, of the time that it has left.
func WithShare(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(float64(time.Until(end))*share))
}
