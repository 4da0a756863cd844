package terminal

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Legible returns a text from outside, such as the name of a key, in a form that is safe to print.
// It replaces control characters, escape sequences, characters that change the direction of text
// and invisible spaces by Go escapes, so that they cannot control a terminal, a spreadsheet or a
// browser and are visible. It keeps the letters of all scripts.
func Legible(s string) string {
	if !strings.ContainsFunc(s, Hidden) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // an invalid byte is read as U+FFFD
		if Hidden(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// LegibleLines is [Legible] for a text of several lines: it keeps the line ends.
func LegibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Legible(lines[i])
	}
	return strings.Join(lines, "\n")
}

// Hidden reports whether [Legible] writes the character as an escape. All spaces except the ASCII
// space are hidden, because they look the same.
func Hidden(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }

// Cell returns a [Legible] text as a cell of a CSV file. The names of keys and user agents come
// from outside, so it adds an apostrophe to a text that a spreadsheet would run as a formula
// (OWASP, "CSV Injection").
func Cell(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		s = "'" + s
	}
	return Legible(s)
}
