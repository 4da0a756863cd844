package terminal

import (
	"io"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

// Colours are the terminal's own sixteen, so that they fit its theme.
var (
	Good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	Bad    = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	Warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	Strong = lipgloss.NewStyle().Bold(true)
	Title  = lipgloss.NewStyle().Foreground(lipgloss.Cyan).Bold(true)
	Faint  = lipgloss.NewStyle().Faint(true)
)

// A Mark stands before a line and says how to take it.
type Mark int

// The marks.
const (
	Done   Mark = iota // ✓ it is so
	Failed             // ✗ it is not so
	Noted              // ~ it is as it is: nothing to do, or not to be told
	Warned             // ! a person should look
	Later              // » time passes
)

// String is the mark in its colour.
func (m Mark) String() string {
	switch m {
	case Done:
		return Good.Render("✓")
	case Failed:
		return Bad.Render("✗")
	case Warned:
		return Warn.Render("!")
	case Later:
		return Warn.Render("»")
	}
	return Faint.Render("~")
}

// Line is one thing that was done or found, with what there is to know beside. What in them a terminal would obey is written out: they may quote
// what somebody typed.
func Line(mark Mark, what, detail string) string { return line(mark, Legible(what), detail) }

// StyledLine is a [Line] whose first part has a style.
func StyledLine(style lipgloss.Style, mark Mark, what, detail string) string {
	return line(mark, style.Render(Legible(what)), detail)
}

func line(mark Mark, what, detail string) string {
	if detail == "" {
		return "  " + mark.String() + " " + what
	}
	return "  " + mark.String() + " " + what + Faint.Render("  "+Legible(detail))
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
