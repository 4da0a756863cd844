package terminal

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Wrap breaks a [Line] between words to fit the width. The lines after the first are indented, and
// colours continue. Nothing is broken at a hyphen, so that ids stay whole.
func Wrap(line string, width int) []string {
	const indent = "      "
	if ansi.StringWidth(line) <= width {
		return []string{line}
	}
	parts := strings.Split(words(line, width-len(indent)), "\n")
	for i := range parts[1:] {
		parts[i+1] = indent + strings.TrimLeft(parts[i+1], " ")
	}
	return parts
}

// words breaks a text between words. The library also breaks at hyphens, so they are hidden from
// it.
func words(text string, width int) string {
	const hyphen = "\ue000" // for private use: in no text
	return strings.ReplaceAll(ansi.Wrap(strings.ReplaceAll(text, "-", hyphen), width, " "), hyphen, "-")
}
