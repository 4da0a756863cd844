package quilt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"quilt-rotate/internal/retry"
)

// longestWait is the longest wait that is done at the request of a registry. If the registry asks
// for a longer wait, the caller gets the error.
const longestWait = time.Minute

// do sends r until there is an answer, the attempts are used up, or the next wait would exceed the
// deadline of ctx.
func (c *Client) do(ctx context.Context, r *request) (answer, error) {
	waits := retry.Waits{First: c.interval, Longest: 5 * time.Second, AtMost: time.Hour, Attempts: c.attempts}
	if deadline, ok := ctx.Deadline(); ok {
		waits.AtMost = time.Until(deadline)
	}
	again := func(err error) bool {
		down, ok := errors.AsType[*UnavailableError](err)
		return ok && !r.single && !down.permanent && !(r.once && down.reached) &&
			down.RetryAfter < longestWait && ctx.Err() == nil
	}
	attempts := 0
	got, err := retry.While(ctx, waits, again, func() (answer, error) {
		attempts++
		return c.send(ctx, r)
	})
	if down, ok := errors.AsType[*UnavailableError](err); ok {
		down.Attempts = attempts
		if end := context.Cause(ctx); end != nil && !errors.Is(down, end) { // the context ended during a wait
			down.cause = interrupted(end, down.cause)
		}
	}
	return got, err
}

func interrupted(by, last error) error {
	if last == nil {
		return by
	}
	return fmt.Errorf("%w, after %w", by, last)
}

// retryAfter returns how long the registry asks to wait. The header has a number of seconds or a
// date, which is compared with the registry's clock (RFC 9110, section 10.2.3).
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if now.IsZero() {
		now = time.Now()
	}
	return max(0, date.Sub(now))
}
