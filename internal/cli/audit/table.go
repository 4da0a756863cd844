package audit

import (
	"fmt"
	"io"
	"math"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/dustin/go-humanize"

	"quilt-rotate/internal/terminal"
)

// maxOwners is the number of owners that the table shows. The other formats have all owners.
const maxOwners = 15

// findingStyles: red for keys that expire or have expired, yellow for keys that may not be needed.
var findingStyles = map[Finding]lipgloss.Style{Expired: terminal.Bad, Expiring: terminal.Bad, Unused: terminal.Warn,
	NeverUsed: terminal.Warn, Unmanaged: terminal.Warn}

// WriteTable writes the report for people: totals, owners, and the keys that have a finding. width
// is the width of the terminal. 0 means a pipe, in which each row is one line.
func (r Report) WriteTable(w io.Writer, width int) error {
	blocks := []string{r.heading(width)}
	if len(r.Keys) > 0 {
		blocks = append(blocks, render(r.totals(), width), r.owners(width), r.keys(width))
	}
	_, err := io.WriteString(w, strings.Join(blocks, "\n\n")+"\n")
	return err
}

func render(t terminal.Table, width int) string { return t.Render(width > 0, width) }

func (r Report) heading(width int) string {
	lines := []string{terminal.Strong.Render("API keys at " + terminal.Legible(r.Registry))}
	details := []string{r.At.Format("2 Jan 2006 15:04 UTC") + ", asked by " + terminal.Legible(r.AskedBy)}
	if r.Scope != "" {
		details = append(details, terminal.Legible(r.Scope))
	}
	for _, line := range details {
		lines = append(lines, fitted(terminal.Faint, line, width))
	}
	counts := []string{plural(len(r.Keys), "key")}
	for _, s := range r.Statuses {
		counts = append(counts, number(s.Keys)+" "+terminal.Legible(strings.ToLower(string(s.Status))))
	}
	lines = append(lines, "", fitted(lipgloss.NewStyle(), strings.Join(counts, ", "), width))
	for _, note := range r.Notes {
		lines = append(lines, fitted(terminal.Warn, "! "+note, width))
	}
	return strings.Join(lines, "\n")
}

// fitted wraps a line to the width of a terminal.
func fitted(style lipgloss.Style, line string, width int) string {
	if width > 0 {
		line = lipgloss.Wrap(line, width, "")
	}
	return style.Render(line)
}

func (r Report) totals() terminal.Table {
	t := terminal.Table{Headers: []string{"finding", "  keys", "what it means"}}
	for _, total := range r.Totals {
		keys := number(total.Keys)
		if total.Unjudged {
			keys = "?"
		}
		t.Rows = append(t.Rows, []string{string(total.Finding), fmt.Sprintf("%6s", keys), r.means(total.Finding)})
	}
	t.Paint = func(row, _ int) lipgloss.Style {
		if total := r.Totals[row]; !total.Unjudged && total.Keys > 0 {
			return findingStyles[total.Finding]
		}
		return terminal.Faint
	}
	return t
}

func (r Report) owners(width int) string {
	shown := r.Owners[:min(len(r.Owners), maxOwners)]
	t := terminal.Table{Headers: []string{"owner", "keys", "expired", "with findings"}}
	for _, o := range shown {
		t.Rows = append(t.Rows, []string{o.Owner, fmt.Sprintf("%4d", o.Keys), fmt.Sprintf("%7d", o.Expired),
			fmt.Sprintf("%13d", o.Findings)})
	}
	block := render(t, width)
	if more := len(r.Owners) - len(shown); more > 0 {
		block += "\n" + terminal.Faint.Render(fmt.Sprintf("and %s with fewer keys: --format json has them all",
			plural(more, "owner")))
	}
	return block
}

// keys returns the table of the keys with a finding. If the terminal is too narrow for ids and
// fingerprints, they are left out.
func (r Report) keys(width int) string {
	whole := terminal.Table{Headers: []string{"id", "name", "fingerprint", "owner", "expires", "last used", "findings"}}
	var first []Finding
	for _, k := range r.Keys {
		if len(k.Findings) > 0 {
			first = append(first, k.Findings[0])
			whole.Rows = append(whole.Rows, []string{k.ID, k.Name, k.Fingerprint, k.Owner, k.inDays(), k.daysAgo(),
				words(k.Findings, " ")})
		}
	}
	if len(first) == 0 {
		return "no key has a finding"
	}
	whole.Paint = func(row, _ int) lipgloss.Style { return findingStyles[first[row]] }
	if text := whole.Render(width > 0, math.MaxInt); width == 0 || lipgloss.Width(text) <= width {
		return text
	}
	narrow := terminal.Table{Headers: []string{"name", "owner", "expires", "last used", "findings"}, Paint: whole.Paint}
	for _, row := range whole.Rows {
		narrow.Rows = append(narrow.Rows, []string{row[1], row[3], row[4], row[5], row[6]})
	}
	return render(narrow, width) + "\n" + terminal.Faint.Render("for the ids that keys revoke needs: --format csv or "+
		"json")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number formats a number for people: 10,000.
func number(n int) string { return humanize.Comma(int64(n)) }
