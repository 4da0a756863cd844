package demo

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"quilt-rotate/internal/sandbox"
)

// functionLog reads the log lines of the functions and converts those about a step to events. So
// the demo shows only what an operator can also see.
type functionLog struct {
	show func(Event)

	mu     sync.Mutex
	awaits bool     // the steps of a rotation are shown
	steps  []string // its next steps
	rest   []byte   // the beginning of an incomplete line
}

var allSteps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

// await shows the steps until the returned function is called.
func (l *functionLog) await() (end func()) {
	set := func(awaits bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.awaits, l.steps = awaits, allSteps
	}
	set(true)
	return func() { set(false) }
}

// Write receives the lines of the Lambda host: the function's name, a bar, the text. The host
// writes one line at a time.
func (l *functionLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte{'\n'})
		if !whole {
			return len(p), nil
		}
		l.rest = rest
		if text, ok := strings.CutPrefix(string(line), sandbox.RotateFunction+" | "); ok && l.awaits {
			l.take(text)
		}
	}
}

func (l *functionLog) take(text string) {
	if strings.HasPrefix(text, "START ") && len(l.steps) > 0 {
		l.show(Began{l.steps[0]})
		return
	}
	var line struct {
		Step        string
		Outcome     string
		DurationMs  int64
		Fingerprint string
		Error       string
	}
	// Lines with metrics are also JSON, but have no outcome.
	if json.Unmarshal([]byte(text), &line) != nil || line.Outcome == "" {
		return
	}
	l.show(Stepped{
		Step: line.Step, Took: time.Duration(line.DurationMs) * time.Millisecond, Outcome: line.Outcome,
		Key: line.Fingerprint, Error: line.Error,
	})
	if l.steps = after(line.Step); line.Error != "" {
		l.steps = allSteps // Secrets Manager starts again with the same token
	}
}

func after(step string) []string {
	for i, s := range allSteps {
		if s == step {
			return allSteps[i+1:]
		}
	}
	return nil
}
