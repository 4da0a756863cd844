package quilt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// longestWait bounds a single wait. A registry that asks for longer is not waited for: the caller learns it and
// decides.
const longestWait = time.Minute

// do sends r until an answer comes, the attempts are used up, or the next wait would pass the deadline of ctx.
func (c *Client) do(ctx context.Context, r *request) (answer, error) {
	waits := newWaits(c.interval)
	for attempt := 1; ; attempt++ {
		got, err := c.send(ctx, r)
		down, ok := errors.AsType[*UnavailableError](err)
		if !ok {
			return got, err
		}
		down.Attempts = attempt
		if attempt == c.attempts || r.single || down.hopeless || r.once && down.reached || ctx.Err() != nil {
			return answer{}, down
		}
		wait := down.RetryAfter + waits.NextBackOff() // not at the very second that the others were told, too
		if wait > longestWait || passesDeadline(ctx, wait) {
			return answer{}, down
		}
		if err := sleep(ctx, wait); err != nil {
			down.cause = interrupted(err, down.cause)
			return answer{}, down
		}
	}
}

// newWaits gives full jitter: each wait is anything between nothing and twice the interval, which doubles. Many
// functions that were refused at the same moment so come back at different ones.
func newWaits(interval time.Duration) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     interval,
		RandomizationFactor: 1,
		Multiplier:          2,
		MaxInterval:         5 * time.Second,
	}
}

func passesDeadline(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Add(wait).Before(deadline)
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func interrupted(by, last error) error {
	if last == nil {
		return by
	}
	return fmt.Errorf("%w, after %w", by, last)
}

// retryAfter reads how long the registry asks to wait: seconds, or a date, which is the registry's clock and so
// compared with it (RFC 9110, section 10.2.3).
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
