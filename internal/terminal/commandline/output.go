package commandline

import (
	"io"
	"sync"
)

// output is standard output. After a write has failed, on a full disk for example, every write
// fails with the same error. A command whose output is lost must not exit with success.
type output struct {
	to io.Writer

	mu     sync.Mutex
	failed error // the first failure
}

func (o *output) Write(p []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		n, o.failed = o.to.Write(p)
	}
	return n, o.failed
}

func (o *output) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}
