package demo

import (
	"bytes"
	"io"
	"sync"
)

// A Transcript is a writer that also keeps the text, so that the demo can search its own output for
// keys.
type Transcript struct {
	to io.Writer

	mu   sync.Mutex
	kept bytes.Buffer
}

// NewTranscript returns a transcript that writes to the given writer.
func NewTranscript(to io.Writer) *Transcript { return &Transcript{to: to} }

func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept.Write(p)
	return t.to.Write(p)
}

// Text returns everything that was written.
func (t *Transcript) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept.String()
}
