package retry

import (
	"context"
	"time"
)

// maxMargin is the longest time that a function reserves to report its result.
const maxMargin = 2 * time.Second

// WithMargin returns ctx with an earlier deadline: by two seconds, or by a fifth of the time that
// is left, whichever is less. In that time the function returns a clear error before Lambda stops
// it.
func WithMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(maxMargin, time.Until(end)/5)))
}

// WithShare returns ctx with a deadline after the given share, from 0 to 1, of the time that is
// left.
func WithShare(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(float64(time.Until(end))*share))
}
