package terminal

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Wrap breaks a line of [Line]'s form between words so that it fits into so many columns; what follows is indented. Colours go on.
func Wrap(line string, width int) []string {
	const indent = "      "
	if ansi.StringWidth(line) <= width {
		return []string{line}
	}
	parts := strings.Split(ansi.Wrap(line, width-len(indent), " "), "\n")
	for i := range parts[1:] {
		parts[i+1] = indent + strings.TrimLeft(parts[i+1], " ")
	}
	return parts
}
