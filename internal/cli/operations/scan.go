package operations

import (
	"context"
	"fmt"
	"sync/atomic"

	"quilt-rotate/internal/cli/managed"
)

// A scan reads all managed secrets in the background.
type scan struct {
	awaited atomic.Bool // somebody waits for the result, so progress is shown
	done    chan struct{}
	holders *managed.Holders
	err     error
}

func (d *Operator) startScan(ctx context.Context) *scan {
	s := &scan{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.holders, s.err = managed.Scan(ctx, d.Cloud, func(done, total int) {
			if s.awaited.Load() {
				d.Progress.Doing(fmt.Sprintf("reading the managed secrets: %d of %d", done, total))
			}
		})
	}()
	return s
}

// result waits for the end of the scan and returns its result.
func (s *scan) result(ctx context.Context) (*managed.Holders, error) {
	s.awaited.Store(true)
	select {
	case <-s.done:
		return s.holders, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// scanned returns the scan that the caller has made, or nil.
func (o EmergencyOptions) scanned() *scan {
	if o.Scanned == nil {
		return nil
	}
	s := &scan{done: make(chan struct{}), holders: o.Scanned}
	close(s.done)
	return s
}
