package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/terminal"
)

// Status is the result of a check.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // a person should look at it
	Failed  Status = "failed"
	Skipped Status = "skipped" // the detail says why
)

// See begins the detail of a check that was skipped because of another check, whose name follows.
const See = "see "

// Result is one check of the thing that its group is about.
type Result struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// check is one row of a table: its name, the earlier checks of the table that it needs, and its
// function.
type check[Subject any] struct {
	name  string
	needs []string
	look  func(Subject, context.Context) finding
}

// finding is the result of a check's function.
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

// broken returns the finding of a check that ended with an error. If the operator has no permission
// for the AWS request, the check is skipped, because nothing is known.
func broken(err error, fix string) finding {
	denied := awsclient.Denied(err)
	err = awsclient.Explain(err)
	if denied {
		return skip("%s", err)
	}
	return failure(cmp.Or(fix, terminal.Hint(err)), "%s", err)
}

// runChecks runs the checks of a table in their order. If a check needs another check that failed
// or was skipped, it is skipped and names the first check that failed. So one fault is one failure.
func runChecks[Subject any](ctx context.Context, checks []check[Subject], s Subject) []Result {
	results := make([]Result, 0, len(checks))
	missing := map[string]string{} // by name of a check without a result: the check that has the reason
	for _, c := range checks {
		var f finding
		if i := slices.IndexFunc(c.needs, func(need string) bool { return missing[need] != "" }); i >= 0 {
			missing[c.name] = missing[c.needs[i]]
			f = skip("%s", missing[c.name])
		} else if f = c.look(s, ctx); f.status == Failed || f.status == Skipped {
			missing[c.name] = See + c.name
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

// span formats a duration in days, or as settings accept it, without the zeros that Go writes.
func span(d time.Duration) string {
	if d%day == 0 {
		return days(d)
	}
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(d.String())
}
