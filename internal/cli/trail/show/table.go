// Package show writes results of audit trail queries: as a table for people, and as JSON and CSV
// for programs.
//
// A table on a terminal leaves out ids, fingerprints of keys that have a name, and empty columns. A
// table in a pipe, JSON and CSV leave out nothing.
package show

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/terminal"
)

// fields are the columns on a terminal. A cell has the first of the named values that is not empty.
var fields = []struct {
	title string
	names []string
}{
	{"time (UTC)", []string{trail.EventTime}}, {"event", []string{trail.EventName}},
	{"key", []string{trail.KeyName, trail.KeyFingerprint}},
	{"who", []string{trail.UserEmail, trail.UserAgent}}, {"from", []string{trail.SourceAddress}},
	{"calls", []string{trail.Calls}},
	{"last used (UTC)", []string{trail.LastUsed}}, {"error", []string{trail.ErrorCode}},
}

// Table returns the results as a table. On a terminal, it has at most the given width. In a pipe,
// each row is one line with all columns.
func Table(a *trail.Answer, watched bool, width int) string {
	t := terminal.Table{Rows: make([][]string, len(a.Rows))}
	add := func(title string, names ...string) {
		column, empty := make([]string, len(a.Rows)), true
		for row := range a.Rows {
			for _, name := range names {
				if column[row] == "" {
					column[row] = a.Value(row, name)
				}
			}
			empty = empty && column[row] == ""
		}
		if watched && empty {
			return
		}
		t.Headers = append(t.Headers, title)
		for row := range column {
			t.Rows[row] = append(t.Rows[row], column[row])
		}
	}
	if watched {
		for _, f := range fields {
			add(f.title, f.names...)
		}
	} else {
		for _, name := range a.Columns {
			add(name, name)
		}
	}
	return t.Render(watched, width)
}

// Footer returns a line with the number of rows, and the amount of data that Athena read. limit is
// the limit of the query.
func Footer(a *trail.Answer, limit int) string {
	noun := "event"
	if a.Column(trail.Calls) >= 0 {
		noun = "line"
	}
	text := "no " + noun + "s"
	if n := len(a.Rows); n > 0 {
		text = english.Plural(n, noun, "")
		if n >= limit {
			text = fmt.Sprintf("the newest %s: there may be more", text)
		}
	}
	return fmt.Sprintf("%s; Athena read %s in %.1f s", text, humanize.Bytes(uint64(max(a.Scanned, 0))),
		a.Took.Seconds())
}
