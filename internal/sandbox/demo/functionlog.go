package demo

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"quilt-rotate/internal/sandbox"
)

// functionLog reads the functions' log lines as they come, and makes happenings of those that tell
// of a step. It is the function's own account: the demo measures nothing that an operator would not
// see.
type functionLog struct {
	show func(Happening)

	mu     sync.Mutex
	awaits bool     // a rotation is to be told of
	steps  []string // of it, those still to come
	rest   []byte   // of a line that has not ended
}

var allSteps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

// await tells of the steps from now on; the returned function ends that.
func (l *functionLog) await() (end func()) {
	set := func(awaits bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.awaits, l.steps = awaits, allSteps
	}
	set(true)
	return func() { set(false) }
}

// Write takes the lines that the Lambda host copies: the function's name, a bar, the text. The host
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
	// Lines of metrics are JSON too, and name no outcome.
	if json.Unmarshal([]byte(text), &line) != nil || line.Outcome == "" {
		return
	}
	l.show(Stepped{
		Step: line.Step, Took: time.Duration(line.DurationMs) * time.Millisecond, Outcome: line.Outcome,
		Key: line.Fingerprint, Error: line.Error,
	})
	if l.steps = after(line.Step); line.Error != "" {
		l.steps = allSteps // the service begins anew, with the same token
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
