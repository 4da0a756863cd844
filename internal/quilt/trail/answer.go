package trail

import (
	"regexp"
	"strings"
	"time"
	"unicode"
)

// An Answer is the result of a query.
type Answer struct {
	Columns []string
	Rows    [][]Cell // each as long as Columns
	QueryID string
	Scanned int64         // bytes that Athena read, which is what it charges for
	Took    time.Duration // as Athena counts it, the queue included
}

// A Cell is one value; not Valid is NULL.
type Cell struct {
	Text  string
	Valid bool
}

// Column is the index of a column; -1 if the answer has none of that name.
func (a *Answer) Column(name string) int {
	for i, c := range a.Columns {
		if c == name {
			return i
		}
	}
	return -1
}

// Value is the text of a row in a column; "" if it is NULL or the answer has no such column.
func (a *Answer) Value(row int, name string) string {
	if i := a.Column(name); i >= 0 {
		return a.Rows[row][i].Text
	}
	return ""
}

var keyLike = regexp.MustCompile(`qk_[^\s"'<>\\]+`)

// NewCell makes a value of the trail safe to print. Names, addresses and user agents are what
// clients sent, even in logins that were refused. So characters that a terminal would obey or hide
// are replaced, and what looks like a key and not like a fingerprint is removed.
func NewCell(text string) Cell {
	text = strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
	text = keyLike.ReplaceAllStringFunc(text, func(found string) string {
		if fingerprint.MatchString(found) {
			return found
		}
		return "[redacted]"
	})
	return Cell{Text: text, Valid: true}
}
