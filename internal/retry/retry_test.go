package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"quilt-rotate/internal/retry"
)

var (
	errPasses = errors.New("passes")
	errStays  = errors.New("stays")
)

func TestWhileRepeatsErrorsThatPass(t *testing.T) {
	// Only errors that pass are repeated, within the limits of the waits and of the context. The
	// last result is returned.
	waits := retry.Waits{First: 100 * time.Millisecond, Longest: time.Second, AtMost: 10 * time.Second}
	for name, c := range map[string]struct {
		waits   retry.Waits
		limit   time.Duration // of the context
		passing int           // how many calls fail with an error that passes
		then    error
		want    error
		calls   func(int) bool
	}{
		"success at once":       {waits: waits, calls: func(n int) bool { return n == 1 }},
		"success after a while": {waits: waits, passing: 5, calls: func(n int) bool { return n == 6 }},
		"an error that stays": {waits: waits, passing: 2, then: errStays, want: errStays,
			calls: func(n int) bool { return n == 3 }},
		"the time is over": {waits: waits, passing: 1000, want: errPasses,
			calls: func(n int) bool { return n > 8 && n < 40 }},
		"no time": {waits: retry.Waits{First: time.Second, Longest: time.Second}, passing: 1000,
			want: errPasses, calls: func(n int) bool { return n == 1 }},
		"the context ends": {waits: waits, limit: 2 * time.Second, passing: 1000, want: errPasses,
			calls: func(n int) bool { return n > 3 && n < 15 }},
		"the context has ended": {waits: waits, limit: -time.Second, passing: 1000, want: errPasses,
			calls: func(n int) bool { return n == 1 }},
		"the attempts are used up": {waits: retry.Waits{First: time.Millisecond, Longest: time.Second,
			AtMost: time.Hour, Attempts: 3}, passing: 1000, want: errPasses, calls: func(n int) bool { return n == 3 }},
		"the context does not end": {waits: waits, limit: time.Minute, passing: 3,
			calls: func(n int) bool { return n == 4 }},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, from, calls := t.Context(), time.Now(), 0
			if c.limit != 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.limit)
				defer cancel()
			}
			got, err := retry.While(ctx, c.waits, func(err error) bool { return errors.Is(err, errPasses) },
				func() (int, error) {
					calls++
					if calls <= c.passing {
						return calls, errPasses
					}
					return calls, c.then
				})
			if !errors.Is(err, c.want) || got != calls || !c.calls(calls) {
				t.Errorf("%s: got %d, %v after %d calls", name, got, err, calls)
			}
			if took := time.Since(from); took > c.waits.AtMost || c.limit > 0 && took > c.limit {
				t.Errorf("%s: took %v", name, took)
			}
		})
	}
}

// busy asks to be left alone for a while.
type busy time.Duration

func (busy) Error() string               { return "busy" }
func (b busy) AsksToWait() time.Duration { return time.Duration(b) }

func TestWhileWaitsAsLongAsTheErrorAsks(t *testing.T) {
	// A service may say when it can answer again. The caller's limit still applies.
	for asked, calls := range map[time.Duration]int{3 * time.Second: 2, 20 * time.Second: 1} {
		synctest.Test(t, func(t *testing.T) {
			from, n := time.Now(), 0
			waits := retry.Waits{First: time.Millisecond, Longest: time.Second, AtMost: 10 * time.Second}
			_, _ = retry.While(t.Context(), waits, func(error) bool { return n == 1 }, func() (int, error) {
				n++
				return n, busy(asked)
			})
			if least := time.Duration(calls-1) * asked; n != calls || time.Since(from) < least ||
				time.Since(from) > least+2*waits.First {
				t.Errorf("an error that asks for %v: %d calls in %v, want %d", asked, n, time.Since(from), calls)
			}
		})
	}
}
