// Package show writes answers of the audit trail: as a table for people, as JSON and CSV for programs.
//
// It relies on package trail for texts that are fit for a terminal. A table leaves out what does not fit its width (ids, parts of long
// names); JSON and CSV leave out nothing.
package show

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/x/ansi"
	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"quilt-rotate/internal/trail"
)

// Colours are the terminal's own sixteen, so that they fit its theme.
var (
	faint = lipgloss.NewStyle().Faint(true)
	bad   = lipgloss.NewStyle().Foreground(lipgloss.Red)
)

// narrowest is the width that the columns are made for: a terminal of 80 columns.
const narrowest = 80

// gap is between two columns.
const gap = 2

// A field is a column of the table: two lines of what belongs together.
type field struct {
	title string
	width int // at the narrowest
	wide  bool
	style lipgloss.Style
	lines func(a *trail.Answer, row int) []string
}

func of(names ...string) func(*trail.Answer, int) []string {
	return func(a *trail.Answer, row int) []string {
		var lines []string
		for _, name := range names {
			if text := a.Value(row, name); text != "" {
				lines = append(lines, text)
			}
		}
		return lines
	}
}

var (
	keyField   = field{title: "key", width: 22, wide: true, lines: of(trail.KeyName, trail.KeyFingerprint)}
	fromField  = field{title: "from", width: 19, wide: true, lines: from}
	errorField = field{title: "error", width: 13, style: bad, lines: of(trail.ErrorCode)}

	eventFields = []field{
		{title: "time (UTC)", width: 20, lines: func(a *trail.Answer, row int) []string {
			return []string{short(a.Value(row, trail.EventTime)), a.Value(row, trail.EventName)}
		}},
		keyField, fromField,
	}
	summaryFields = []field{
		keyField, fromField,
		{title: "calls", width: 9, lines: of(trail.Calls)},
		{title: "last used (UTC)", width: 19, lines: func(a *trail.Answer, row int) []string { return []string{short(a.Value(row, trail.LastUsed))} }},
	}
)

// from is who called: the user and the address; of a refused login, which has no user, the address and the program.
func from(a *trail.Answer, row int) []string {
	lines := of(trail.UserEmail, trail.SourceAddress, trail.UserAgent)(a, row)
	return lines[:min(2, len(lines))]
}

// short is a time for people; what is no time stays as it is.
func short(text string) string {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC().Format("2006-01-02 15:04:05")
	}
	return text
}

// fields are those that fit the question.
func fields(a *trail.Answer) []field {
	if a.Column(trail.Calls) >= 0 {
		return summaryFields
	}
	for row := range a.Rows {
		if a.Value(row, trail.ErrorCode) != "" {
			return append(eventFields[:len(eventFields):len(eventFields)], errorField)
		}
	}
	return eventFields
}

// Table shows the answer in a width of at least 80 columns; "" if there are no rows.
func Table(a *trail.Answer, width int) string {
	if len(a.Rows) == 0 {
		return ""
	}
	columns := fitted(fields(a), width)
	t := table.New().Border(lipgloss.NormalBorder()).BorderStyle(faint).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderColumn(false)
	var titles []string
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	t.Headers(titles...)
	for row := range a.Rows {
		var cells []string
		for _, c := range columns {
			cells = append(cells, cell(c.lines(a, row), c.width))
		}
		t.Row(cells...)
	}
	t.StyleFunc(func(row, column int) lipgloss.Style {
		style := columns[column].style
		if row == table.HeaderRow {
			style = faint
		}
		if column == len(columns)-1 {
			return style
		}
		return style.PaddingRight(gap)
	})
	return t.Render()
}

func cell(lines []string, width int) string {
	cut := make([]string, len(lines))
	for i, line := range lines {
		cut[i] = ansi.Truncate(line, width, "…")
	}
	return strings.Join(cut, "\n")
}

// fitted gives the space that is left to the columns that can use it.
func fitted(columns []field, width int) []field {
	spare, takers := max(width, narrowest)+gap, 0
	for _, c := range columns {
		spare -= c.width + gap
		if c.wide {
			takers++
		}
	}
	wider := append([]field{}, columns...)
	for i := range wider {
		if wider[i].wide {
			wider[i].width += spare / takers
		}
	}
	return wider
}

// Footer says in one line how much was found, and what Athena read for it. limit is the question's.
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
	return fmt.Sprintf("%s; Athena read %s in %.1f s", text, humanize.Bytes(uint64(max(a.Scanned, 0))), a.Took.Seconds())
}
