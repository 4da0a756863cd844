package demo

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

// A Screen shows happenings. On a terminal that has colour, what is under way and how the consumers fare stands below the lines that stay, and
// is drawn anew all the time. Anywhere else (a pipe, a file, NO_COLOR, TERM=dumb) it prints plain lines, without any escape code.
type Screen struct {
	out  io.Writer
	live bool
	size func() int // columns

	mu      sync.Mutex
	drawn   int // lines below those that stay
	doing   string
	since   time.Time
	frame   int
	tallies []Consumed
	done    chan struct{}
	drawing sync.WaitGroup
}

// NewScreen writes to out; what it can show is read from the terminal, if it is one, and the environment. The caller closes the screen.
func NewScreen(terminal io.Writer, out io.Writer, environ []string) *Screen {
	file, isFile := terminal.(*os.File)
	profile := profileOf(terminal, environ)
	s := &Screen{
		out:  &colorprofile.Writer{Forward: out, Profile: profile},
		live: isFile && term.IsTerminal(file.Fd()) && profile != colorprofile.NoTTY,
		size: func() int { return columns(file) },
		done: make(chan struct{}),
	}
	if s.live {
		s.print(ansi.HideCursor)
		s.drawing.Go(s.animate)
	}
	return s
}

// profileOf is what the terminal can show; where that is no colour, it is plain text.
func profileOf(terminal io.Writer, environ []string) colorprofile.Profile {
	profile := colorprofile.Detect(terminal, environ)
	if profile < colorprofile.ANSI {
		return colorprofile.NoTTY // not even bold
	}
	return profile
}

// InColour passes on to out what is written, in as much colour as the terminal has that it goes to.
func InColour(terminal, out io.Writer, environ []string) io.Writer {
	return &colorprofile.Writer{Forward: out, Profile: profileOf(terminal, environ)}
}

func columns(terminal *os.File) int {
	width, _, err := term.GetSize(terminal.Fd())
	if err != nil || width < 20 {
		return 80
	}
	return width
}

// Live tells whether a person watches.
func (s *Screen) Live() bool { return s.live }

// Close leaves the terminal as it was.
func (s *Screen) Close() {
	if !s.live {
		return
	}
	close(s.done)
	s.drawing.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.print(s.erase() + ansi.ShowCursor)
}

// Show shows one happening.
func (s *Screen) Show(h Happening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := describe(h)
	if !s.live {
		s.print(joined(lines))
		return
	}
	s.follow(h)
	s.print(s.erase() + joined(lines) + s.region())
}

func joined(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// follow keeps what is under way.
func (s *Screen) follow(h Happening) {
	switch h := h.(type) {
	case Began:
		s.doing, s.since = h.What, time.Now()
	case Stepped, Swept, Checked, Chapter:
		s.doing = ""
	case Consumed:
		for i, c := range s.tallies {
			if c.Consumer == h.Consumer {
				s.tallies[i] = h
				return
			}
		}
		s.tallies = append(s.tallies, h)
	case Stopped:
		for i, c := range s.tallies {
			if c.Consumer == h.Consumer {
				s.tallies = append(s.tallies[:i], s.tallies[i+1:]...)
				return
			}
		}
	case Ended:
		s.tallies = nil
	}
}

func (s *Screen) animate() {
	tick := time.NewTicker(80 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.done:
			return
		}
		s.mu.Lock()
		s.frame++
		s.print(s.erase() + s.region())
		s.mu.Unlock()
	}
}

const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// region is what stands below, and is drawn anew.
func (s *Screen) region() string {
	var lines []string
	if s.doing != "" {
		frames := []rune(spinner)
		turning := title.Render(string(frames[s.frame%len(frames)]))
		lines = append(lines, fmt.Sprintf("  %s %-*s%*d ms", turning, nameWidth, s.doing, timeWidth-3, time.Since(s.since).Milliseconds()))
	}
	if len(s.tallies) > 0 {
		lines = append(lines, "")
	}
	for _, c := range s.tallies {
		lines = append(lines, "  "+gauge(c))
	}
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, s.size()-1, "…") // a line that wraps could not be erased
	}
	s.drawn = len(lines)
	return joined(lines)
}

func gauge(c Consumed) string {
	failed := good.Render("0 failed")
	if c.Failures > 0 {
		failed = bad.Render(fmt.Sprintf("%d failed", c.Failures))
	}
	return fmt.Sprintf("%s %-9s%6d requests  %s  %s", good.Render("●"), c.Consumer, c.Requests, failed, faint.Render("last with "+c.Key))
}

// erase removes the region.
func (s *Screen) erase() string {
	if s.drawn == 0 {
		return ""
	}
	up := ansi.CursorUp(s.drawn)
	s.drawn = 0
	return "\r" + up + ansi.EraseScreenBelow
}

// print writes all at once, so that no terminal shows half of it. An output that is gone is no reason to stop halfway:
// whoever gave it notices.
func (s *Screen) print(text string) {
	if text != "" {
		_, _ = io.WriteString(s.out, text)
	}
}
