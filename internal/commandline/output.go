package commandline

import (
	"io"
	"sync"
)

// output is standard output. It remembers a failed write: a command whose output is lost, on a full disk for example, must not exit with success.
type output struct {
	to io.Writer

	mu     sync.Mutex
	failed error // the first failure
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.failed == nil {
			o.failed = err
		}
	}
	return n, err
}

func (o *output) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}
