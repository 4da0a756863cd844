package terminal

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Wrap breaks a [Line] between words so that it fits the width. The lines after the first are
// indented and keep the colours. It does not break at a hyphen, so that ids are not split.
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

// words breaks a text between words. The library also breaks at hyphens, so they are replaced by
// another character while it runs.
func words(text string, width int) string {
	const hyphen = "\ue000" // a private-use character, which no text has
	return strings.ReplaceAll(ansi.Wrap(strings.ReplaceAll(text, "-", hyphen), width, " "), hyphen, "-")
}
