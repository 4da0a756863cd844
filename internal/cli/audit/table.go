package audit

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/x/ansi"
	"github.com/dustin/go-humanize"

	"quilt-rotate/internal/terminal"
)

// TableOptions tell what the table is read on.
type TableOptions struct {
	Width  int  // columns; zero: as wide as it gets, a key a line, as a pipe wants it
	Colour bool // the terminal's own sixteen colours, so that they fit its theme
}

// Owners that the table shows; the other formats have all.
const maxOwners = 15

// The narrowest terminal that lines are broken for.
const minWidth = 72

// WriteTable writes the report for a terminal: totals, owners, and the keys that have a finding.
func (r Report) WriteTable(w io.Writer, o TableOptions) error {
	if o.Width > 0 {
		o.Width = max(o.Width, minWidth)
	}
	t := textReport{Report: r, TableOptions: o}
	blocks := []string{t.heading()}
	if len(r.Keys) > 0 {
		blocks = append(blocks, t.totals(), t.owners(), t.keys())
	}
	_, err := io.WriteString(w, strings.Join(blocks, "\n\n")+"\n")
	return err
}

type textReport struct {
	Report
	TableOptions
}

// style is none without colour: not even bold or faint.
func (t textReport) style(s lipgloss.Style) lipgloss.Style {
	if !t.Colour {
		return lipgloss.NewStyle()
	}
	return s
}

var (
	strong = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	bad    = lipgloss.NewStyle().Foreground(lipgloss.Red)
)

// findingStyles: red for what breaks or is broken, yellow for what should be cleared up.
var findingStyles = map[Finding]lipgloss.Style{
	Expired: bad, Expiring: bad, Unused: warn, NeverUsed: warn, Unmanaged: warn, Elsewhere: lipgloss.NewStyle(), Name: lipgloss.NewStyle(),
}

func (t textReport) heading() string {
	lines := []string{t.style(strong).Render("API keys at " + terminal.Legible(t.Registry))}
	lines = append(lines, t.style(faint).Render(t.At.Format("2 Jan 2006 15:04 UTC")+", asked by "+terminal.Legible(t.AskedBy)))
	if t.Scope != "" {
		lines = append(lines, t.style(faint).Render(t.wrapped(terminal.Legible(t.Scope), t.Width)))
	}
	counts := []string{plural(len(t.Keys), "key")}
	for _, s := range t.Statuses {
		counts = append(counts, number(s.Keys)+" "+terminal.Legible(strings.ToLower(string(s.Status))))
	}
	lines = append(lines, "", strings.Join(counts, ", "))
	for _, note := range t.Notes {
		lines = append(lines, t.style(warn).Render(t.wrapped("! "+note, t.Width)))
	}
	return strings.Join(lines, "\n")
}

func (t textReport) totals() string {
	table := t.table("finding", "  keys", "what it means")
	for _, total := range t.Totals {
		keys := number(total.Keys)
		if total.Unjudged {
			keys = "?"
		}
		table.Row(string(total.Finding), fmt.Sprintf("%6s", keys), t.means(total.Finding))
	}
	return t.styled(table, func(row int) lipgloss.Style {
		switch total := t.Totals[row]; {
		case total.Unjudged || total.Keys == 0:
			return faint
		default:
			return findingStyles[total.Finding]
		}
	})
}

func (t textReport) owners() string {
	shown := t.Owners[:min(len(t.Owners), maxOwners)]
	table := t.table("owner", "keys", "expired", "with findings")
	for _, o := range shown {
		table.Row(t.wrapped(terminal.Legible(o.Owner), t.Width-36), fmt.Sprintf("%4d", o.Keys), fmt.Sprintf("%7d", o.Expired), fmt.Sprintf("%13d", o.Findings))
	}
	block := t.styled(table, func(int) lipgloss.Style { return lipgloss.NewStyle() })
	if more := len(t.Owners) - len(shown); more > 0 {
		block += "\n" + t.style(faint).Render(fmt.Sprintf("and %s with fewer keys: --format json has them all", plural(more, "owner")))
	}
	return block
}

// Widths of the columns of keys whose longest text is known.
const (
	expiresWidth  = len("in 365 d")
	usedWidth     = len("365 d ago")
	findingsWidth = len("never-used")
	keyFrames     = 6 + 5*2 // lines and blanks of five columns
	minOwner      = 12
)

// keys shows those with a finding, one a line where that fits.
func (t textReport) keys() string {
	var found []Key
	for _, k := range t.Keys {
		if len(k.Findings) > 0 {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return "no key has a finding"
	}
	style := func(row int) lipgloss.Style { return findingStyles[found[row].Findings[0]] }
	if table := t.wide(found); t.Width == 0 || table.fits(t.Width) {
		return t.styled(table.Table, style)
	}
	return t.styled(t.narrow(found), style) + "\n" + t.style(faint).Render("their ids, to revoke them by: --format csv or json")
}

// wideTable is a table that knows how wide it will be.
type wideTable struct {
	*table.Table
	widths []int
}

func (t textReport) wide(keys []Key) wideTable {
	headers := []string{"id", "name", "fingerprint", "owner", "expires", "last used", "findings"}
	wide := wideTable{t.table(headers...), make([]int, len(headers))}
	measure := func(cells []string) {
		for i, c := range cells {
			wide.widths[i] = max(wide.widths[i], ansi.StringWidth(c))
		}
	}
	measure(headers)
	for _, k := range keys {
		row := []string{terminal.Legible(k.ID), terminal.Legible(k.Name), terminal.Legible(k.Fingerprint), terminal.Legible(k.Owner), k.inDays(), k.daysAgo(), words(k.Findings, " ")}
		measure(row)
		wide.Row(row...)
	}
	return wide
}

func (w wideTable) fits(width int) bool {
	total := 1
	for _, column := range w.widths {
		total += column + 3
	}
	return total <= width
}

// narrow breaks names and owners, and sets fingerprints and findings below each other.
func (t textReport) narrow(keys []Key) *table.Table {
	room := t.Width - keyFrames - expiresWidth - usedWidth - findingsWidth
	owner := max(minOwner, room*2/5)
	table := t.table("key", "owner", "expires", "last used", "findings")
	for _, k := range keys {
		table.Row(
			t.wrapped(terminal.Legible(k.Name), room-owner)+"\n"+t.wrapped(terminal.Legible(k.Fingerprint), room-owner), t.wrapped(terminal.Legible(k.Owner), owner),
			k.inDays(), k.daysAgo(), words(k.Findings, "\n"),
		)
	}
	return table
}

// table has a border where it is read, and none in a pipe, so that each row is a line.
func (t textReport) table(headers ...string) *table.Table {
	if t.Width == 0 {
		return table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
			BorderColumn(false).BorderHeader(false).Headers(headers...)
	}
	return table.New().Border(lipgloss.RoundedBorder()).BorderStyle(t.style(faint)).Headers(headers...)
}

// styled renders a table in the colours of its rows.
func (t textReport) styled(table *table.Table, of func(row int) lipgloss.Style) string {
	cell := lipgloss.NewStyle().Padding(0, 1)
	if t.Width == 0 {
		cell = lipgloss.NewStyle().PaddingRight(2)
	}
	text := table.StyleFunc(func(row, _ int) lipgloss.Style {
		switch {
		case !t.Colour:
			return cell
		case row < 0: // the header
			return cell.Faint(true)
		}
		return of(row).Padding(0, 1)
	}).Render()
	if t.Width > 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ") // what fills the last column
	}
	return strings.Join(lines, "\n")
}

// wrapped breaks after a hyphen where it can, and anywhere where it must.
func (t textReport) wrapped(s string, width int) string {
	if t.Width == 0 {
		return s
	}
	return ansi.Wrap(s, width, "@.")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number is one for people: 10,000.
func number(n int) string { return humanize.Comma(int64(n)) }
