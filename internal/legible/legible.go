// Package legible makes texts from outside fit to be shown: names of keys are whatever somebody typed, who may mean harm.
//
// It takes nothing away: what cannot be seen is written out.
package legible

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text writes out what a terminal, a spreadsheet or a browser would obey or hide (control characters, escape sequences, marks
// that turn the direction of reading, invisible spaces) as Go's escapes. Letters of every script stay.
func Text(s string) string {
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

// Lines is [Text] for a text of several lines: line ends stay.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Text(lines[i])
	}
	return strings.Join(lines, "\n")
}

// Hidden tells whether a character is one of them. A blank of another width looks like the one that it is not.
func Hidden(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
