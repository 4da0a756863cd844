package demo

import (
	"fmt"
	"io"
	"time"

	"quilt-rotate/internal/terminal"
)

// A Screen shows the events of the demo. On a color terminal, it also shows the current action and
// the figures of the consumers below the permanent lines, and updates them. Otherwise, it prints
// plain lines.
type Screen struct {
	live *terminal.Live

	// Below the permanent lines:
	doing   string
	since   time.Time
	tallies []Consumed
}

// NewScreen returns a screen that writes to out. The terminal and the environment decide what it
// can show. The caller closes the screen.
func NewScreen(to io.Writer, out io.Writer, environ []string) *Screen {
	s := &Screen{}
	s.live = terminal.NewLive(to, out, environ, s.region)
	return s
}

// Live reports whether the output is a terminal that is updated.
func (s *Screen) Live() bool { return s.live.Watched() }

// Close restores the terminal.
func (s *Screen) Close() { s.live.Close() }

// Show shows one event.
func (s *Screen) Show(h Event) { s.live.Print(describe(h), func() { s.follow(h) }) }

// follow updates the state of the lines that are not permanent.
func (s *Screen) follow(h Event) {
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

// region returns the lines that are not permanent.
func (s *Screen) region(frame int) []string {
	var lines []string
	if s.doing != "" {
		lines = append(lines, fmt.Sprintf("  %s %-*s%*d ms", terminal.Spinner(frame), nameWidth, s.doing, timeWidth-3,
			time.Since(s.since).Milliseconds()))
	}
	if len(s.tallies) > 0 {
		lines = append(lines, "")
	}
	for _, c := range s.tallies {
		lines = append(lines, "  "+gauge(c))
	}
	return lines
}

func gauge(c Consumed) string {
	failed := terminal.Good.Render("0 failed")
	if c.Failures > 0 {
		failed = terminal.Bad.Render(fmt.Sprintf("%d failed", c.Failures))
	}
	return fmt.Sprintf("%s %-9s%6d requests  %s  %s", terminal.Good.Render("●"), c.Consumer, c.Requests, failed,
		terminal.Faint.Render("last with "+c.Key))
}
