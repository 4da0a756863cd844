package doctor

import (
	"context"
	"fmt"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/terminal"
)

// Status is how a check came out.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // a person should look
	Failed  Status = "failed"
	Skipped Status = "skipped" // the detail says why
)

// Result is one check of the thing that its group is about.
type Result struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// check is one row of a table: its name, the checks of the same table without whose success it has nothing to look at, and the look itself.
type check[Subject any] struct {
	name  string
	needs []string
	look  func(Subject, context.Context) finding
}

// finding is what a look found.
type finding struct {
	status      Status
	detail, fix string
}

func ok(format string, args ...any) finding {
	return finding{OK, fmt.Sprintf(format, args...), ""}
}

func warning(fix, format string, args ...any) finding {
	return finding{Warning, fmt.Sprintf(format, args...), fix}
}

func failure(fix, format string, args ...any) finding {
	return finding{Failed, fmt.Sprintf(format, args...), fix}
}

func skip(format string, args ...any) finding {
	return finding{Skipped, fmt.Sprintf(format, args...), ""}
}

// broken is a look that could not be taken, or that an error is the result of. What the operator's own AWS rights forbid says nothing about the thing.
func broken(err error, fix string) finding {
	denied := awsclient.Denied(err)
	err = awsclient.Explain(err)
	if denied {
		return skip("%s", err)
	}
	if said := terminal.Hint(err); said != "" && fix == "" {
		fix = said
	}
	return failure(fix, "%s", err)
}

// examine goes through a table in its order. What needs a check that did not succeed is skipped, and names the one that failed first, so that one fault is
// one failure.
func examine[Subject any](ctx context.Context, checks []check[Subject], s Subject) []Result {
	results := make([]Result, 0, len(checks))
	missing := map[string]string{} // why the dependents of a check are skipped, by its name
	for _, c := range checks {
		f := finding{}
		for _, need := range c.needs {
			if why, ok := missing[need]; ok {
				f = skip("%s", why)
				break
			}
		}
		if f.status == "" {
			f = c.look(s, ctx)
		}
		switch f.status {
		case Failed:
			missing[c.name] = "see " + c.name
		case Skipped:
			missing[c.name] = f.detail
		}
		results = append(results, Result{c.name, f.status, f.detail, f.fix})
	}
	return results
}

const day = 24 * time.Hour

func days(d time.Duration) string { return plural(int(d/day), "day") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// hours is a duration as settings take it, without the zeros that Go writes.
func hours(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	if d%time.Minute == 0 {
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return d.String()
}
