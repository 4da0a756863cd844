package operations

import (
	"fmt"
	"time"

	"quilt-rotate/internal/terminal"
)

// Moment is an event of an emergency with its time.
type Moment struct {
	Time         time.Time `json:"time"`
	AfterSeconds int       `json:"afterSeconds"` // since the start
	Outcome      string    `json:"outcome"`      // done, failed, warning, noted
	What         string    `json:"what"`
	Detail       string    `json:"detail,omitempty"`
}

// A timeline reports each event with its time, and stores it for the result.
type timeline struct {
	Progress
	began   time.Time
	moments []Moment
}

var outcomes = map[terminal.Mark]string{terminal.Done: "done", terminal.Failed: "failed", terminal.Warned: "warning",
	terminal.Noted: "noted", terminal.Later: "later"}

// Report reports an event with the time of day and the time since the start.
func (t *timeline) Report(mark terminal.Mark, what, detail string) {
	now := time.Now().UTC()
	after := int(now.Sub(t.began).Seconds())
	t.moments = append(t.moments, Moment{now, after, outcomes[mark], what, detail})
	t.Progress.Report(mark, fmt.Sprintf("%s +%02d:%02d  %s", now.Format("15:04:05Z"), after/60, after%60, what), detail)
}
