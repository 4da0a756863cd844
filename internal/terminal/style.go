package terminal

import (
	"io"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

// The colours are the terminal's own sixteen, so that they fit its theme.
var (
	Good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	Bad    = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	Warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	Strong = lipgloss.NewStyle().Bold(true)
	Title  = lipgloss.NewStyle().Foreground(lipgloss.Cyan).Bold(true)
	Faint  = lipgloss.NewStyle().Faint(true)
)

// A Mark is the sign before a line.
type Mark int

// The marks.
const (
	Done   Mark = iota // ✓ done, or OK
	Failed             // ✗ failed
	Noted              // ~ nothing to do, or not known
	Warned             // ! an operator should look
	Later              // » in the future
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

// Line is one thing that was done or found, and a detail.
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

// profileOf returns what the terminal can show: colours, or plain text.
func profileOf(terminal io.Writer, environ []string) colorprofile.Profile {
	profile := colorprofile.Detect(terminal, environ)
	if profile < colorprofile.ANSI {
		return colorprofile.NoTTY // not even bold
	}
	return profile
}
