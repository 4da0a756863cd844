package terminal

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Wrap breaks a line of [Line]'s form between words so that it fits into so many columns; what follows is indented. Colours go on. An id is no two words, so
// nothing is broken at a hyphen.
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

// words breaks a text between words. The library breaks at hyphens too, so it sees none.
func words(text string, width int) string {
	const hyphen = "\ue000" // of no use in any text
	return strings.ReplaceAll(ansi.Wrap(strings.ReplaceAll(text, "-", hyphen), width, " "), hyphen, "-")
}
