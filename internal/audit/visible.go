package audit

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible writes out what a terminal, a spreadsheet or a browser would obey or hide (control characters, escape sequences, marks
// that turn the direction of reading, invisible spaces) as Go's escapes. Letters of every script stay.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // an invalid byte comes as U+FFFD
		if hidden(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// A blank of another width looks like the one that it is not.
func hidden(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
