package main

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
)

// statusLines are a secret as a person reads it: its rotation, a table of its versions, what the next sweep will do, and what is wrong.
func statusLines(s status.Status, watched bool, width int) []string {
	lines := fitting(title(s), watched, width)
	if s.ARN == "" {
		return append(lines, problemLines(s, watched, width)...)
	}
	if line := rotationLine(s); line != "" {
		lines = append(lines, line)
	}
	if s.PausedUntil != nil {
		lines = append(lines, terminal.Line(terminal.Warned, "sweeps are paused until "+status.Clock(*s.PausedUntil), s.PauseReason))
	}
	if len(s.Replicas) > 0 {
		var words []string
		for _, r := range s.Replicas {
			words = append(words, r.Region+" "+r.Status)
		}
		lines = append(lines, terminal.Line(terminal.Noted, "replicas: "+strings.Join(words, ", "), ""))
	}
	for line := range strings.SplitSeq(versionTable(s, watched, width), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	if s.Sweep != nil && s.Sweep.WouldFail == nil {
		for _, a := range s.Sweep.Actions {
			l := status.Planned(a, s.Sweep.RegistryTime)
			lines = append(lines, fitting(terminal.Line(l.Mark, l.Text, l.Detail), watched, width)...)
		}
		for _, note := range s.Sweep.Notes {
			lines = append(lines, fitting(terminal.Line(terminal.Warned, note, ""), watched, width)...)
		}
		if len(s.Sweep.Actions) == 0 && s.Sweep.Outcome != revocation.NotBootstrapped {
			lines = append(lines, terminal.Line(terminal.Done, "the next sweep has nothing to do", ""))
		}
	}
	return append(lines, problemLines(s, watched, width)...)
}

func title(s status.Status) string {
	text := terminal.Strong.Render(s.Secret)
	if s.Registry != "" {
		text += terminal.Faint.Render("  at " + s.Registry)
	}
	if s.Sweep != nil && s.Sweep.Registry != nil {
		text += terminal.Faint.Render("  keys of " + s.Sweep.Registry.Owner)
	}
	return text
}

// rotationLine says how the secret is rotated; "" if that is a problem.
func rotationLine(s status.Status) string {
	r := s.Rotation
	switch {
	case r.UnderWay && r.UnderWaySince != nil:
		return terminal.Line(terminal.Later, "a rotation is under way, since "+terminal.Ago(s.Time.Sub(*r.UnderWaySince)), "")
	case r.UnderWay:
		return terminal.Line(terminal.Later, "a rotation is under way", "")
	case !r.On || r.Overdue: // which is shown as a problem
		return ""
	case r.Next == nil:
		return terminal.Line(terminal.Done, "rotation is on", "when the next one is, is not known")
	}
	return terminal.Line(terminal.Done, fmt.Sprintf("rotation is on, the next one in %s", terminal.About(r.Next.Sub(s.Time))), status.Clock(*r.Next))
}

func problemLines(s status.Status, watched bool, width int) []string {
	var lines []string
	for _, p := range s.Problems {
		mark := terminal.Warned
		if p.Severe {
			mark = terminal.Failed
		}
		lines = append(lines, fitting(terminal.Line(mark, p.Text, ""), watched, width)...)
		if p.Hint != "" {
			lines = append(lines, "      "+p.Hint)
		}
	}
	if s.Error != "" {
		lines = append(lines, fitting(terminal.Line(terminal.Failed, s.Error, ""), watched, width)...)
		if s.Hint != "" {
			lines = append(lines, "      "+s.Hint)
		}
	}
	return lines
}

// fitting breaks a line at a terminal.
func fitting(line string, watched bool, width int) []string {
	if !watched {
		return []string{line}
	}
	return terminal.Wrap(line, width)
}

// A column of the table of versions. Those with a higher extra are left out first if the terminal is too narrow.
type column struct {
	header string
	extra  int // 0: always there
	cell   func(v revocation.Seen, now time.Time) string
}

var versionColumns = []column{
	{"version", 0, func(v revocation.Seen, _ time.Time) string { return short(v.Version) }},
	{"stage", 0, func(v revocation.Seen, _ time.Time) string { return status.Stage(v) }},
	{"key", 0, func(v revocation.Seen, _ time.Time) string { return status.KeyOf(v) }},
	{"age", 0, func(v revocation.Seen, now time.Time) string { return since(now, v.CreatedAt) }},
	{"expires in", 0, expiresIn},
	{"last used", 0, lastUsed},
	{"key id", 1, func(v revocation.Seen, _ time.Time) string { return v.KeyID }},
	{"owner", 2, func(v revocation.Seen, _ time.Time) string { return v.Owner }},
	{"name", 3, func(v revocation.Seen, _ time.Time) string { return v.KeyName }},
}

const extras = 3

// versionTable has as many columns as fit; in a pipe, all of them.
func versionTable(s status.Status, watched bool, width int) string {
	now := s.Time
	if s.Sweep != nil {
		now = s.Sweep.RegistryTime
	}
	for extra := extras; ; extra-- {
		t := terminal.Table{Paint: func(row, col int) lipgloss.Style { return paintVersion(s.Versions[row]) }}
		for _, c := range versionColumns {
			if c.extra <= extra {
				t.Headers = append(t.Headers, c.header)
			}
		}
		for _, v := range s.Versions {
			var row []string
			for _, c := range versionColumns {
				if c.extra <= extra {
					cell := c.cell(v, now)
					if c.header == "key" && extra > 0 && cell == v.KeyID {
						cell = "-" // its fingerprint is not known, and the id has a column of its own
					}
					row = append(row, cell)
				}
			}
			t.Rows = append(t.Rows, row)
		}
		if text := t.Render(watched, 10_000); !watched || extra == 0 || lipgloss.Width(text) <= width {
			return t.Render(watched, width)
		}
	}
}

func paintVersion(v revocation.Seen) lipgloss.Style {
	switch {
	case v.Status == quilt.Expired:
		return terminal.Bad
	case status.Stage(v) == "current":
		return terminal.Good
	case status.Stage(v) == "pending":
		return terminal.Warn
	}
	return lipgloss.NewStyle()
}

func short(versionID string) string { return versionID[:min(8, len(versionID))] }

func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return terminal.About(max(0, now.Sub(t)))
}

func expiresIn(v revocation.Seen, now time.Time) string {
	switch {
	case v.ExpiresAt.IsZero():
		return "-"
	case v.Status == quilt.Expired || !now.Before(v.ExpiresAt):
		return "✗ expired"
	}
	return terminal.About(v.ExpiresAt.Sub(now))
}

func lastUsed(v revocation.Seen, now time.Time) string {
	switch {
	case v.LastUsedAt != nil:
		return terminal.Ago(now.Sub(*v.LastUsedAt))
	case v.CreatedAt.IsZero():
		return "-"
	}
	return "never"
}
