package terminal

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// Table is a table with headers. It prints its cells with [Legible]. In a pipe, it has no border
// and does not wrap, so that each row is one line.
type Table struct {
	Headers []string
	Rows    [][]string
	// Paint returns the style of a cell. It may be nil.
	Paint func(row, column int) lipgloss.Style
}

// Table prints a table.
func (c *Console) Table(t Table) error {
	_, err := fmt.Fprintln(c.Out, t.Render(c.Watched(), c.Width()))
	return err
}

// Render returns the table as text: for a terminal with a border and in at most width columns, and
// otherwise plain.
func (t Table) Render(watched bool, width int) string {
	drawn := table.New().Headers(t.Headers...).Rows(legibly(t.Rows)...)
	if watched {
		drawn = drawn.Border(lipgloss.RoundedBorder()).BorderStyle(Faint)
	} else {
		drawn = drawn.Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).
			BorderLeft(false).BorderRight(false).BorderColumn(false).BorderHeader(false)
	}
	text := drawn.StyleFunc(t.style(watched)).Render()
	if watched && lipgloss.Width(text) > width {
		text = drawn.Width(width).Render()
	}
	if !watched {
		text = trimLines(text)
	}
	return text
}

// trimLines removes the spaces that fill the last column.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

func (t Table) style(watched bool) func(row, column int) lipgloss.Style {
	return func(row, column int) lipgloss.Style {
		cell := lipgloss.NewStyle()
		if t.Paint != nil && row != table.HeaderRow {
			cell = t.Paint(row, column)
		}
		if row == table.HeaderRow {
			cell = cell.Faint(true)
		}
		if watched {
			return cell.Padding(0, 1)
		}
		return cell.PaddingRight(2)
	}
}

func legibly(rows [][]string) [][]string {
	shown := make([][]string, len(rows))
	for i, row := range rows {
		for _, cell := range row {
			shown[i] = append(shown[i], Legible(cell))
		}
	}
	return shown
}
