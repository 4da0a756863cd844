package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// statusLines returns the lines that describe a secret: its rotation, its versions, what the next
// sweep will do, and its problems.
func statusLines(s status.Status, watched bool, width int) []string {
	lines := fitting(title(s), watched, width)
	if s.ARN == "" {
		return append(lines, problemLines(s, watched, width)...)
	}
	if line := rotationLine(s); line != "" {
		lines = append(lines, line)
	}
	if s.Rotation.LastOnNeed {
		lines = append(lines, terminal.Line(terminal.Noted, "the last rotation was on need",
			"a sweep found that the previous key was refused or about to expire"))
	}
	if s.Rotation.OnNeedOff {
		lines = append(lines, terminal.Line(terminal.Noted, "rotation on need is off", "by the tag "+
			settings.TagOnNeed))
	}
	if s.PausedUntil != nil {
		lines = append(lines, terminal.Line(terminal.Warned, "sweeps are paused until "+status.Clock(*s.PausedUntil),
			s.PauseReason))
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
	lines = append(lines, problemLines(s, watched, width)...)
	if s.History != nil {
		if !watched {
			width = 0
		}
		lines = append(lines, s.History.Lines(width)...)
	}
	return lines
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

// rotationLine returns the line about the secret's rotation, or "" if a problem reports its state.
func rotationLine(s status.Status) string {
	r := s.Rotation
	switch {
	case r.UnderWay && r.UnderWaySince != nil:
		return terminal.Line(terminal.Later, "a rotation is under way, started "+
			terminal.Ago(s.Time.Sub(*r.UnderWaySince)), "")
	case r.UnderWay:
		return terminal.Line(terminal.Later, "a rotation is under way", "")
	case !r.On || r.Overdue: // a problem reports it
		return ""
	case r.Next == nil:
		return terminal.Line(terminal.Done, "rotation is on", "the time of the next rotation is not known")
	}
	return terminal.Line(terminal.Done, fmt.Sprintf("rotation is on, the next one in %s",
		terminal.About(r.Next.Sub(s.Time))), status.Clock(*r.Next))
}

func problemLines(s status.Status, watched bool, width int) []string {
	var lines []string
	problems := s.Problems
	if s.Error != "" {
		problems = append(slices.Clone(problems), status.Problem{Severe: true, Text: s.Error, Hint: s.Hint})
	}
	for _, p := range problems {
		mark := terminal.Warned
		if p.Severe {
			mark = terminal.Failed
		}
		lines = append(lines, fitting(terminal.Line(mark, p.Text, ""), watched, width)...)
		if p.Hint != "" {
			lines = append(lines, "      "+p.Hint)
		}
	}
	return lines
}

// fitting wraps a line to the width of a terminal.
func fitting(line string, watched bool, width int) []string {
	if !watched {
		return []string{line}
	}
	return terminal.Wrap(line, width)
}

// versionColumns are the columns of the table of versions. If the terminal is too narrow for all of
// them, the wide columns are left out.
var versionColumns = []struct {
	header string
	wide   bool
	cell   func(v revocation.VersionInfo, now time.Time) string
}{
	{"version", false, func(v revocation.VersionInfo, _ time.Time) string { return status.Short(v.Version) }},
	{"stage", false, func(v revocation.VersionInfo, _ time.Time) string { return status.Stage(v) }},
	{"key", false, func(v revocation.VersionInfo, _ time.Time) string { return status.KeyOf(v) }},
	{"age", false, func(v revocation.VersionInfo, now time.Time) string { return since(now, v.CreatedAt) }},
	{"expires in", false, expiresIn},
	{"last used", false, lastUsed},
	{"key id", true, func(v revocation.VersionInfo, _ time.Time) string { return v.KeyID }},
	{"owner", true, func(v revocation.VersionInfo, _ time.Time) string { return v.Owner }},
	{"name", true, func(v revocation.VersionInfo, _ time.Time) string { return v.KeyName }},
}

func versionTable(s status.Status, watched bool, width int) string {
	now := s.Time
	if s.Sweep != nil {
		now = s.Sweep.RegistryTime
	}
	table := func(all bool) terminal.Table {
		t := terminal.Table{Paint: func(row, col int) lipgloss.Style { return paintVersion(s.Versions[row]) },
			Rows: make([][]string, len(s.Versions))}
		for _, c := range versionColumns {
			if c.wide && !all {
				continue
			}
			t.Headers = append(t.Headers, c.header)
			for row, v := range s.Versions {
				cell := c.cell(v, now)
				if c.header == "key" && all && cell == v.KeyID {
					cell = "-" // the fingerprint is not known, and the id has its own column
				}
				t.Rows[row] = append(t.Rows[row], cell)
			}
		}
		return t
	}
	if text := table(true).Render(watched, math.MaxInt); !watched || lipgloss.Width(text) <= width {
		return text
	}
	return table(false).Render(watched, width)
}

func paintVersion(v revocation.VersionInfo) lipgloss.Style {
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

func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return terminal.About(max(0, now.Sub(t)))
}

func expiresIn(v revocation.VersionInfo, now time.Time) string {
	switch {
	case v.ExpiresAt.IsZero():
		return "-"
	case v.Status == quilt.Expired || !now.Before(v.ExpiresAt):
		return "✗ expired"
	}
	return terminal.About(v.ExpiresAt.Sub(now))
}

func lastUsed(v revocation.VersionInfo, now time.Time) string {
	switch {
	case v.LastUsedAt != nil:
		return terminal.Ago(now.Sub(*v.LastUsedAt))
	case v.CreatedAt.IsZero():
		return "-"
	}
	return "never"
}
