package status

import (
	"context"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/report"
	"quilt-rotate/internal/terminal"
)

const (
	historyLength   = 5
	historyPeriod   = 365 * 24 * time.Hour
	historyPatience = 15 * time.Second // status is typed during an incident
)

// History is the last rotations of a secret, from the sources of `quilt-rotate report`.
type History struct {
	Rotations []report.Rotation `json:"rotations"` // at most five of the last year, the oldest first
	Unseen    []string          `json:"unseen"`    // what could not be read
}

// AddHistory reads the last rotations of the secret. What cannot be read within 15 seconds is in
// [History.Unseen]. AddHistory fails only if ctx has ended.
func (s *Status) AddHistory(ctx context.Context, c *awsclient.Cloud, progress func(string)) error {
	if s.ARN == "" {
		return nil
	}
	evidence, err := report.Read(ctx, c, report.Options{Secrets: []string{s.ARN}, Since: historyPeriod,
		LogPatience: historyPatience, Progress: progress})
	if err != nil {
		return err
	}
	of := evidence.Secrets[0]
	if of.Error != "" {
		s.History = &History{Rotations: of.Rotations, Unseen: []string{of.Error}}
		return nil
	}
	s.History = &History{Rotations: of.Rotations[max(0, len(of.Rotations)-historyLength):],
		Unseen: append(evidence.Unseen, of.Unseen...)}
	return nil
}

// Lines returns the history as a table, for a terminal of that width, or for a pipe if it is 0.
func (h *History) Lines(width int) []string {
	lines := []string{"", terminal.Faint.Render("last rotations; for more: quilt-rotate report")}
	if len(h.Rotations) == 0 {
		lines = append(lines, terminal.Line(terminal.Noted, "no rotation was seen", ""))
	} else {
		lines = append(lines, report.History(h.Rotations, width)...)
	}
	for _, text := range h.Unseen {
		lines = append(lines, terminal.Line(terminal.Noted, "not seen: "+text, ""))
	}
	return lines
}
