package terminal

import (
	"io"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

// The styles use the 16 colours of the terminal's theme.
var (
	Good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	Bad    = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	Warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	Strong = lipgloss.NewStyle().Bold(true)
	Title  = lipgloss.NewStyle().Foreground(lipgloss.Cyan).Bold(true)
	Faint  = lipgloss.NewStyle().Faint(true)
)

// A Mark is the symbol at the beginning of a line.
type Mark int

// The marks.
const (
	Done   Mark = iota // ✓ done, or OK
	Failed             // ✗ failed
	Noted              // ~ nothing to do, or not known
	Warned             // ! an operator should look
	Later              // » in the future
)

// String returns the mark in its colour.
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

// Line returns a line about something that was done or found, with a detail.
func Line(mark Mark, what, detail string) string { return line(mark, Legible(what), detail) }

// StyledLine returns a [Line] whose first part has a style.
func StyledLine(style lipgloss.Style, mark Mark, what, detail string) string {
	return line(mark, style.Render(Legible(what)), detail)
}

func line(mark Mark, what, detail string) string {
	if detail == "" {
		return "  " + mark.String() + " " + what
	}
	return "  " + mark.String() + " " + what + Faint.Render("  "+Legible(detail))
}

// profileOf returns the colours that the terminal can show.
func profileOf(terminal io.Writer, environ []string) colorprofile.Profile {
	profile := colorprofile.Detect(terminal, environ)
	if profile < colorprofile.ANSI {
		return colorprofile.NoTTY // not even bold
	}
	return profile
}
