package report

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"

	"quilt-rotate/internal/terminal"
)

// WriteTable writes the report for people. width is that of the terminal; 0 stands for a pipe,
// where each row is a line.
func (r Report) WriteTable(w io.Writer, width int) error {
	lines := []string{
		terminal.Strong.Render("Rotation of API keys ") + terminal.Legible(r.window()),
		terminal.Faint.Render(terminal.Legible(r.Place.String())),
		r.totals(),
	}
	for _, m := range Meanings {
		lines = append(lines, terminal.Faint.Render(fmt.Sprintf("%-8s  %s", m.Source, m.Meaning)))
	}
	lines = append(lines, notSeen(r.Unseen)...)
	if err := write(w, lines, width); err != nil {
		return err
	}
	for _, s := range r.Secrets { // one at a time, because the report of many secrets is long
		if err := write(w, append([]string{""}, s.lines(width)...), width); err != nil {
			return err
		}
	}
	return nil
}

func write(w io.Writer, lines []string, width int) error {
	for _, line := range lines {
		if width > 0 && !strings.Contains(line, "\n") && lipgloss.Width(line) > width {
			line = strings.Join(terminal.Wrap(line, width), "\n")
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func notSeen(list []string) (lines []string) {
	for _, text := range list {
		lines = append(lines, terminal.Line(terminal.Noted, "not seen: "+text, ""))
	}
	return lines
}

func (s Secret) lines(width int) []string {
	lines := []string{terminal.Strong.Render(terminal.Legible(s.Secret)) + terminal.Faint.Render("  "+
		terminal.Legible(s.policy()))}
	if s.Error != "" {
		lines = []string{terminal.Strong.Render(terminal.Legible(s.Secret)),
			terminal.Line(terminal.Failed, s.Error, "")}
		if s.Hint != "" {
			lines = append(lines, "      "+s.Hint)
		}
		return lines
	}
	if len(s.Rotations) == 0 {
		lines = append(lines, terminal.Line(terminal.Noted, "no rotation was seen", ""))
	} else {
		lines = append(lines, History(s.Rotations, width)...)
	}
	for _, g := range s.Gaps {
		to := "now"
		if g.To != nil {
			to = clock(*g.To)
		}
		mark := terminal.Failed
		if !g.Covered {
			mark = terminal.Warned
		}
		lines = append(lines, terminal.Line(mark, fmt.Sprintf("%s to %s: %s", clock(g.From), to, g.what()),
			join(g.Sources)))
	}
	for _, e := range s.Exceptions {
		when := clock(e.From)
		if e.To != nil && !e.To.Equal(e.From) {
			when += " to " + clock(*e.To)
		}
		text := when + ": " + e.what()
		if e.Reason != "" {
			text += ": " + e.Reason
		}
		lines = append(lines, terminal.Line(terminal.Warned, text, join(e.Sources)))
	}
	return append(lines, notSeen(s.Unseen)...)
}

// History is a table of rotations, for a terminal of that width, or for a pipe if it is 0.
func History(list []Rotation, width int) []string {
	t := terminal.Table{
		Headers: []string{"date", "what", "replaced key", "its age", "revoked", "refused", "sources"},
		Paint: func(row, _ int) lipgloss.Style {
			switch p := list[row].Replaced; {
			case p != nil && p.End.State == NotSeen:
				return terminal.Warn
			case list[row].Kind.ByRotation():
				return lipgloss.NewStyle()
			}
			return terminal.Faint
		},
	}
	for _, r := range list {
		name := r.Replaced.name()
		if r.Replaced != nil && r.Replaced.Fingerprint != "" && width > 0 {
			name = r.Replaced.Fingerprint // the id is in the other formats
		}
		t.Rows = append(t.Rows, []string{clock(r.Time), r.what(), name, r.Replaced.age(), r.Replaced.end(),
			r.Replaced.refused(), r.sources()})
	}
	lines := strings.Split(t.Render(width > 0, width), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}
