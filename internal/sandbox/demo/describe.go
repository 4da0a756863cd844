package demo

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/terminal"
)

// Columns of the lines about steps.
const (
	nameWidth = 14
	timeWidth = 7
)

// describe returns the permanent lines of an event, if it has any.
func describe(h Event) []string {
	switch h := h.(type) {
	case Opened:
		return []string{
			"",
			terminal.Strong.Render("quilt-sandbox demo") + terminal.Faint.Render(": the life of an API key, with the "+
				"real functions on loopback"),
			terminal.Faint.Render("AWS " + h.AWS + "  registry " + h.Registry),
		}
	case Chapter:
		return []string{"", terminal.Title.Render(fmt.Sprintf("%d/%d  %s", h.Number, h.Of, h.Title))}
	case Did:
		return []string{terminal.Line(terminal.Done, h.What, h.Detail)}
	case Versions:
		return strings.Split(VersionsTable(h.When, h.Versions), "\n")
	case Stepped:
		return []string{describeStep(h)}
	case ClockMoved:
		return []string{terminal.Line(terminal.Later, fmt.Sprintf("%d hours later", int(h.By.Hours())),
			h.Now.Format("Mon 2 Jan 15:04")+" on the sandbox's clock")}
	case Swept:
		return describeSweep(h)
	case Checked:
		return []string{describeCheck(h)}
	case Ended:
		return []string{"", describeEnd(h), ""}
	}
	return nil // Began, Consumed and Stopped have no permanent lines
}

// stepTexts says what each step did.
var stepTexts = map[string]string{
	"createSecret": "created %s, stored it as AWSPENDING",
	"setSecret":    "checked that only the key changes",
	"testSecret":   "logged in with it",
	"finishSecret": "moved AWSCURRENT to it",
}

func describeStep(s Stepped) string {
	mark, text := terminal.Done, stepTexts[s.Step]
	if strings.Contains(text, "%s") {
		text = fmt.Sprintf(text, s.Key)
	}
	if s.Error != "" {
		mark, text = terminal.Failed, s.Error
	}
	return fmt.Sprintf("  %s %-*s%*d ms  %s", mark, nameWidth, s.Step, timeWidth-3, s.Took.Milliseconds(),
		terminal.Faint.Render(text))
}

func describeCheck(c Checked) string {
	if !c.Kept {
		return terminal.StyledLine(terminal.Bad, terminal.Failed, "NOT KEPT: "+c.Promise, c.Detail)
	}
	return terminal.StyledLine(terminal.Strong, terminal.Done, c.Promise, c.Detail)
}

func describeEnd(e Ended) string {
	text := fmt.Sprintf("%d of %d promises kept in %.1f s", e.Kept, e.Promises, e.Took.Seconds())
	if e.Kept < e.Promises {
		return terminal.Bad.Render(text)
	}
	return terminal.Good.Bold(true).Render(text)
}

var actionStyles = map[revocation.Kind]lipgloss.Style{
	revocation.Hold: terminal.Warn, revocation.Revoke: terminal.Good, revocation.RevokeOrphan: terminal.Good,
	revocation.Mark: terminal.Warn,
}

func describeSweep(s Swept) []string {
	const what = "sweep"
	if len(s.Actions) == 0 {
		return []string{terminal.Line(terminal.Noted, what, "nothing to do")}
	}
	var lines []string
	for _, a := range s.Actions {
		action := actionStyles[a.Action].Render(string(a.Action))
		lines = append(lines, fmt.Sprintf("  %s %s %s %s%s", terminal.Faint.Render("~"), what+":", action,
			a.Fingerprint, terminal.Faint.Render("  "+why(a, s.At))))
	}
	return lines
}

// why returns the reason of an action, with the other details of the sweep's result.
func why(a revocation.Taken, now time.Time) string {
	parts := []string{strings.ReplaceAll(string(a.Reason), "-", " ")}
	if a.Action == revocation.Hold {
		if a.LastUsedAt != nil {
			// The last use is the reason, and leaves room for the owner in 80 columns.
			parts = []string{"last used " + ago(now.Sub(*a.LastUsedAt))}
		}
		parts = append(parts, "by "+a.Owner)
	}
	if a.Error != "" {
		parts = append(parts, a.Error)
	}
	return strings.Join(parts, ", ")
}

func ago(d time.Duration) string {
	if d < 5*time.Second {
		return "just now"
	}
	return d.Round(time.Second).String() + " ago"
}

// VersionsTable returns a table of the labelled versions of a secret and their keys.
func VersionsTable(caption string, versions []scene.Version) string {
	t := table.New().Border(lipgloss.RoundedBorder()).BorderStyle(terminal.Faint).Headers("version", "labels "+caption,
		"key")
	current := map[int]bool{}
	for i, v := range versions {
		labels := make([]string, len(v.Labels))
		for j, label := range v.Labels {
			labels[j] = shorten(label)
			current[i] = current[i] || label == "AWSCURRENT"
		}
		t.Row(short(v.ID), strings.Join(labels, "\n"), v.Key)
	}
	t.StyleFunc(func(row, _ int) lipgloss.Style {
		cell := lipgloss.NewStyle().Padding(0, 1)
		switch {
		case row == table.HeaderRow:
			return cell.Faint(true)
		case current[row]:
			return cell.Foreground(lipgloss.Green)
		}
		return cell
	})
	return indent(t.Render())
}

func indent(block string) string { return "  " + strings.ReplaceAll(block, "\n", "\n  ") }

// short returns the first 8 characters of a version's id, as in the superseded label.
func short(id string) string { return id[:min(8, len(id))] }

// shorten shortens the key id in a label, which does not fit the line.
func shorten(label string) string {
	if id, ok := strings.CutPrefix(label, "quilt-key:"); ok && len(id) > 8 {
		return "quilt-key:" + short(id) + "…"
	}
	return label
}
