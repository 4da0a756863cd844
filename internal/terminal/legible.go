package terminal

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Legible makes a text from outside, such as the name of a key, safe to show. It writes what a terminal, a spreadsheet or a browser would obey or hide
// (control characters, escape sequences, marks that change the direction of reading, invisible spaces) as Go's escapes. Letters of every script stay.
func Legible(s string) string {
	if !strings.ContainsFunc(s, Hidden) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // an invalid byte comes as U+FFFD
		if Hidden(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// LegibleLines is [Legible] for a text of several lines: line ends stay.
func LegibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Legible(lines[i])
	}
	return strings.Join(lines, "\n")
}

// Hidden reports whether [Legible] writes the character as an escape. That includes each blank but the common one, which the others look like.
func Hidden(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
