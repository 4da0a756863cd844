package awslambda

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"quilt-rotate/internal/sandbox/clock"
)

// tailSize is how much of an invocation's log the Invoke API returns on request: its last 4 KB.
const tailSize = 4096

// A LogLine is one line of a function's log group.
type LogLine struct {
	Time      time.Time
	Stream    string // the log stream: one for each environment
	RequestID string // of the invocation that was executing; empty between invocations and during a cold start
	Text      string
}

// A journal is a function's log group.
type journal struct {
	name    string
	console *console
	clock   *clock.Clock
	created time.Time

	mu    sync.Mutex
	lines []LogLine
}

func (j *journal) add(stream, requestID, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, LogLine{j.clock.Now(), stream, requestID, text})
	j.console.print(j.name, text)
}

func (j *journal) all() []LogLine {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]LogLine(nil), j.lines...)
}

// tail is the end of an invocation's log.
func (j *journal) tail(requestID string) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	var text strings.Builder
	for _, line := range j.lines {
		if line.RequestID == requestID {
			text.WriteString(line.Text)
			text.WriteByte('\n')
		}
	}
	return []byte(text.String()[max(0, text.Len()-tailSize):])
}

// A console shows the logs of all functions as they come.
type console struct {
	mu  sync.Mutex
	out io.Writer
}

func (c *console) print(name, text string) {
	if c.out == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.out, "%s | %s\n", name, text)
}

// An output reads what one environment's processes write. It keeps the pipe's writing end too, and
// writes marks into it: a pipe keeps its order, so when the mark comes out, everything written
// before has been read. So no line is lost with a killed process, and each is credited to the
// invocation that wrote it.
type output struct {
	reader, writer *os.File
	emit           func(requestID, text string)
	mark           []byte
	marked, ended  chan struct{}

	syncing   sync.Mutex
	mu        sync.Mutex
	requestID string
}

func newOutput(emit func(requestID, text string)) (*output, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o := &output{
		reader: reader, writer: writer, emit: emit,
		mark:   []byte("\x00" + rand.Text()),
		marked: make(chan struct{}), ended: make(chan struct{}),
	}
	go o.read()
	return o, nil
}

func (o *output) read() {
	defer close(o.ended)
	var pending []byte
	chunk := make([]byte, 32<<10)
	for {
		n, err := o.reader.Read(chunk)
		pending = append(pending, chunk[:n]...)
		for {
			line, rest, whole := bytes.Cut(pending, []byte{'\n'})
			if !whole {
				break
			}
			o.take(line)
			pending = rest
		}
		if err != nil {
			return
		}
	}
}

// take passes a line on. A mark may follow a line that has not ended; then that is all there will
// be of it.
func (o *output) take(line []byte) {
	text, isMark := bytes.CutSuffix(line, o.mark)
	if len(text) > 0 || !isMark {
		o.mu.Lock()
		requestID := o.requestID
		o.mu.Unlock()
		o.emit(requestID, string(text))
	}
	if isMark {
		o.marked <- struct{}{}
	}
}

// attribute credits what is written from now on to an invocation, or to none.
func (o *output) attribute(requestID string) {
	o.sync()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requestID = requestID
}

// sync returns when everything written so far has been read.
func (o *output) sync() {
	o.syncing.Lock()
	defer o.syncing.Unlock()
	if _, err := o.writer.Write(append(o.mark[:len(o.mark):len(o.mark)], '\n')); err != nil {
		return // finished, so read to its end
	}
	<-o.marked
}

// finish reads the rest. It does not wait for the pipe's end, which a process that escaped its
// group could hold open.
func (o *output) finish() {
	o.sync()
	_ = o.writer.Close()
	_ = o.reader.Close()
	<-o.ended
}
