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

// tailSize is the number of bytes at the end of an invocation's log that the Invoke API can return.
const tailSize = 4096

// A LogLine is a line of a function's log group.
type LogLine struct {
	Time      time.Time
	Stream    string // the log stream of the environment
	RequestID string // the request ID of the invocation; empty between invocations and during a cold start
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

// tail returns the end of an invocation's log.
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

// A console copies the log lines of all functions to a writer.
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

// An output reads the output of an environment's processes from a pipe. It also writes marks into
// the pipe. When it reads a mark, it has read everything that was written before. Therefore no line
// of a killed process is lost, and each line gets the request ID of its invocation.
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

// take passes a line on. A mark can follow a line without a newline, which is then passed on as it
// is.
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

// setRequestID sets the request ID of the lines that are written from now on.
func (o *output) setRequestID(requestID string) {
	o.sync()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requestID = requestID
}

// sync waits until everything that has been written is read.
func (o *output) sync() {
	o.syncing.Lock()
	defer o.syncing.Unlock()
	if _, err := o.writer.Write(append(o.mark[:len(o.mark):len(o.mark)], '\n')); err != nil {
		return // finish was called, so everything has been read
	}
	<-o.marked
}

// finish reads the remaining output and closes the pipe. It does not wait for the end of the pipe,
// because a process that left its process group could keep it open.
func (o *output) finish() {
	o.sync()
	_ = o.writer.Close()
	_ = o.reader.Close()
	<-o.ended
}
