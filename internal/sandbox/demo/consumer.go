package demo

import (
	"context"
	"sync"

	"quilt-rotate/internal/apikey"
)

// A Tally has the figures of a consumer's requests.
type Tally struct {
	Requests int
	Failures int
	Key      string // fingerprint of the key that it used last
	Error    string // the first failure
}

// A consumer is a service that uses the registry with several workers. In each round, a worker
// reads the key and sends one request. Requests are not retried, so every failure counts.
type consumer struct {
	name  string
	fetch func(context.Context) (apikey.Key, error) // the key for one request
	use   func(context.Context, apikey.Key) error

	leave   chan struct{} // closed: each worker ends after its round
	workers sync.WaitGroup

	mu      sync.Mutex
	tally   Tally
	rounds  []int         // that each worker has completed
	changed chan struct{} // closed, and replaced, when a round is completed
}

func (c *consumer) start(ctx context.Context, workers int) {
	c.leave, c.rounds, c.changed = make(chan struct{}), make([]int, workers), make(chan struct{})
	for worker := range workers {
		c.workers.Go(func() {
			for ctx.Err() == nil && !c.leaving() {
				c.round(ctx, worker)
			}
		})
	}
}

func (c *consumer) leaving() bool {
	select {
	case <-c.leave:
		return true
	default:
		return false
	}
}

func (c *consumer) round(ctx context.Context, worker int) {
	key, err := c.fetch(ctx)
	if err == nil {
		err = c.use(ctx, key)
	}
	if ctx.Err() != nil {
		return // interrupted by Ctrl-C: neither a success nor a failure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.Requests++
	if err != nil {
		c.tally.Failures++
		if c.tally.Error == "" {
			c.tally.Error = err.Error()
		}
	} else {
		c.tally.Key = key.Fingerprint()
	}
	c.rounds[worker]++
	close(c.changed)
	c.changed = make(chan struct{})
}

// caughtUp waits until every worker has completed a round that began after the call.
func (c *consumer) caughtUp(ctx context.Context) error {
	c.mu.Lock()
	goal := make([]int, len(c.rounds))
	for i, n := range c.rounds {
		goal[i] = n + 2 // the round under way, and one more
	}
	c.mu.Unlock()
	for {
		c.mu.Lock()
		reached, changed := true, c.changed
		for i, n := range c.rounds {
			reached = reached && n >= goal[i]
		}
		c.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end waits until the workers have finished their rounds. A request that arrived after the clock
// was advanced would count as a later use of the key.
func (c *consumer) end() Tally {
	if !c.leaving() {
		close(c.leave)
	}
	c.workers.Wait()
	return c.figures()
}

func (c *consumer) figures() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally
}
