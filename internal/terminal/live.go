package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// Live prints permanent lines and, on a terminal with colour, a region below them that is redrawn
// continuously. Otherwise (in a pipe, in a file, with NO_COLOR or with TERM=dumb) it prints no
// region and no escape codes. It is safe for concurrent use.
type Live struct {
	out  io.Writer
	live bool
	file *os.File

	mu      sync.Mutex
	region  func(frame int) []string // called with mu held
	drawn   int                      // lines of the region that are on the screen
	hidden  bool                     // the cursor
	frame   int
	done    chan struct{}
	drawing sync.WaitGroup
}

// NewLive returns a Live that writes to out. The terminal and the environment decide whether it
// shows the region. region returns the lines of the region for a frame number, and must not call
// methods of the Live. The caller must call [Live.Close].
func NewLive(terminal, out io.Writer, environ []string, region func(frame int) []string) *Live {
	file, isFile := terminal.(*os.File)
	profile := profileOf(terminal, environ)
	l := &Live{
		out:  &colorprofile.Writer{Forward: out, Profile: profile},
		live: isFile && term.IsTerminal(file.Fd()) && profile != colorprofile.NoTTY,
		file: file, region: region, done: make(chan struct{}),
	}
	if l.live {
		l.drawing.Go(l.animate)
	}
	return l
}

// Watched reports whether there is a region.
func (l *Live) Watched() bool { return l.live }

// Print prints permanent lines. change, which may be nil, changes the content of the region at the
// same time.
func (l *Live) Print(lines []string, change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if change != nil {
		change()
	}
	if !l.live {
		l.write(joined(lines))
		return
	}
	l.write(l.erase() + joined(lines) + l.draw())
}

// Close removes the region and shows the cursor again.
func (l *Live) Close() {
	if !l.live {
		return
	}
	close(l.done)
	l.drawing.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(l.erase() + l.cursor(false))
}

func joined(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func (l *Live) animate() {
	tick := time.NewTicker(80 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.done:
			return
		}
		l.mu.Lock()
		l.frame++
		l.write(l.erase() + l.draw())
		l.mu.Unlock()
	}
}

const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// Spinner is the sign before a line that is under way.
func Spinner(frame int) string {
	turning := []rune(frames)
	return Title.Render(string(turning[frame%len(turning)]))
}

func (l *Live) draw() string {
	lines := l.region(l.frame)
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, columns(l.file)-1, "…") // a line that wraps could not be erased
	}
	if most := rows(l.file) - 1; len(lines) > most { // lines that scrolled away could not be erased
		lines = append(lines[:most-1:most-1],
			Faint.Render(fmt.Sprintf("  … %d more lines, which do not fit on the terminal", len(lines)-most+1)))
	}
	l.drawn = len(lines)
	return l.cursor(len(lines) > 0) + joined(lines)
}

// cursor hides or shows the cursor. It is hidden while the region moves, and shown for a question.
func (l *Live) cursor(hide bool) string {
	if hide == l.hidden {
		return ""
	}
	l.hidden = hide
	if hide {
		return ansi.HideCursor
	}
	return ansi.ShowCursor
}

// erase removes the region.
func (l *Live) erase() string {
	if l.drawn == 0 {
		return ""
	}
	up := ansi.CursorUp(l.drawn)
	l.drawn = 0
	return "\r" + up + ansi.EraseScreenBelow
}

// write writes the text in one call, so that a terminal does not show a part of it. It ignores
// errors: the owner of the output detects them.
func (l *Live) write(text string) {
	if text != "" {
		_, _ = io.WriteString(l.out, text)
	}
}

// columns returns the width of a terminal, or 80 if it is not known.
func columns(terminal *os.File) int {
	const unknown = 80
	if terminal == nil {
		return unknown
	}
	width, _, err := term.GetSize(terminal.Fd())
	if err != nil || width < 20 {
		return unknown
	}
	return width
}

// rows returns the height of a terminal, or 24 if it is not known.
func rows(terminal *os.File) int {
	_, height, err := term.GetSize(terminal.Fd())
	if err != nil || height < 5 {
		return 24
	}
	return height
}
