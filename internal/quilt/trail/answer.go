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
	Rows    [][]Cell // each row has a cell for each column
	QueryID string
	Scanned int64         // bytes that Athena read and charges for
	Took    time.Duration // as Athena reports it, including the time in the queue
}

// A Cell is one value. It is NULL if Valid is false.
type Cell struct {
	Text  string
	Valid bool
}

// Column returns the index of a column, or -1 if the answer has no column with that name.
func (a *Answer) Column(name string) int {
	for i, c := range a.Columns {
		if c == name {
			return i
		}
	}
	return -1
}

// Value returns the text of a row in a column. It returns "" for NULL and for a missing column.
func (a *Answer) Value(row int, name string) string {
	if i := a.Column(name); i >= 0 {
		return a.Rows[row][i].Text
	}
	return ""
}

var keyLike = regexp.MustCompile(`qk_[^\s"'<>\\]+`)

// NewCell returns a value of the trail in a form that is safe to print. Clients choose names,
// addresses and user agents, even in logins that are refused. So NewCell replaces characters that
// control a terminal or are invisible, and removes text that looks like a key and is no
// fingerprint.
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
