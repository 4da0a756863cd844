package awssecrets

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quilt-rotate/internal/sandbox/hermetic"
	product "quilt-rotate/internal/settings/schedule"
)

func init() { hermetic.FixSeed() }

// documented are the examples of "Rotation schedules" in the User Guide, and some special cases.
var documented = []string{
	"rate(4 hours)", "rate(1 day)", "rate(10 days)",
	"cron(0 /8 * * ? *)", "cron(0 8/8 * * ? *)", "cron(0 2/10 * * ? *)", "cron(0 4/12 * * ? *)", "cron(0 10 * * ? *)",
	"cron(0 18 ? * SAT *)", "cron(0 8 1 * ? *)", "cron(0 1 ? 1/3 SUN#1 *)", "cron(0 17 L * ? *)",
	"cron(0 8 ? * MON-FRI *)", "cron(0 16 1,15 * ? *)", "cron(0 0 ? * SUN#1 *)", "cron(0 0 ? 1/11 2#1 *)",
	"cron(0 8 ? * SUNL *)", "cron(0 8 ? JAN,APR,JUL,OCT TUE#3 *)", "cron(0 8 ? * L *)", "cron(0 8 1/2 1-3 ? *)",
	"cron(0 0,23 ? * SUN *)", "cron(0 0 2-2/3 * ? *)", "cron(0 0 29 2 ? *)",
}

func TestProductAndSandboxParseSchedulesAlike(t *testing.T) {
	// The lifetime of a key must be long enough for the schedule. The functions and the sandbox
	// have separate parsers, so that this test can find an error in either.
	for _, expression := range documented {
		if _, err := product.Parse(expression); err != nil {
			t.Errorf("%s: Parse: %v", expression, err)
		}
		agree(t, expression)
	}
	for _, expression := range []string{"rate(1 days)", "rate(30 day)", "rate(3 hours)", "rate(1000 days)",
		"cron(0 +4 * * ? *)", "cron(0\t4 * * ? *)", "cron(0 /0 * * ? *)", "cron(0 4 30 2 ? *)"} {
		if agree(t, expression) {
			t.Errorf("%s is accepted, want an error", expression)
		}
	}
	accepted, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if agree(rt, expressions().Draw(rt, "expression")) {
			accepted++
		} else {
			refused++
		}
	})
	if accepted < 20 || refused < 20 {
		t.Errorf("%d expressions were accepted and %d refused, want at least 20 of each", accepted, refused)
	}
}

// agree fails the test if the two packages parse an expression differently. It reports whether they
// accept it.
func agree(t rapid.TB, expression string) bool {
	t.Helper()
	ours, err := product.Parse(expression)
	service, refused := rules{ScheduleExpression: expression}.parse()
	var seen observed
	if refused == nil {
		seen = observe(service)
	}
	// The service may accept a date that never occurs. The product needs two windows to measure the
	// time between them.
	if (err == nil) != (refused == nil && seen.windows > 1) {
		t.Fatalf("%s: product: %v; service: %v, %d windows", expression, err, refused, seen.windows)
	}
	if err != nil {
		return false
	}
	if seen.shortest != ours.Shortest || seen.longest != ours.Longest {
		t.Fatalf("%s: windows are %s to %s apart, but the product returns %s to %s", expression,
			seen.shortest, seen.longest, ours.Shortest, ours.Longest)
	}
	if seen.window != ours.Window {
		t.Fatalf("%s: a window is %s long, but the product returns %s", expression, seen.window, ours.Window)
	}
	for hours := range 26 {
		text := fmt.Sprintf("%dh", hours)
		_, ourErr := ours.ParseWindow(text)
		if _, serviceErr := service.withDuration(text); (ourErr == nil) != (serviceErr == nil) {
			t.Fatalf("%s with a window of %s: product: %v; service: %v", expression, text, ourErr, serviceErr)
		}
	}
	return true
}

// observed describes a schedule's windows in nine years.
type observed struct {
	windows           int
	shortest, longest time.Duration // from one window to the next
	window            time.Duration // the length of the longest window if no duration is set
}

func observe(s schedule) observed {
	var seen observed
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	var former time.Time
	opens, found := s.opens(start.Add(-time.Second))
	for found && opens.Before(start.AddDate(9, 0, 0)) {
		if gap := opens.Sub(former); seen.windows > 0 {
			seen.longest = max(seen.longest, gap)
			if seen.windows == 1 || gap < seen.shortest {
				seen.shortest = gap
			}
		}
		seen.windows++
		seen.window = max(seen.window, s.closes(opens).Add(time.Second).Sub(opens))
		former = opens
		opens, found = s.opens(opens)
	}
	return seen
}

// expressions generates schedules of every form. About a third are valid.
func expressions() *rapid.Generator[string] {
	field := func(number string) string {
		span := fmt.Sprintf(`(\*|%[1]s|%[1]s|%[1]s-%[1]s)`, number)
		part := fmt.Sprintf(`(%[1]s|%[1]s/[0-9]|/[1-9])`, span)
		return "(" + number + "|" + part + "|" + part + "," + part + ")"
	}
	hours := field(`([0-9]|1[0-9]|2[0-4])`)
	ofMonth := "(L|" + field(`([0-9]|[12][0-9]|3[0-2])`) + ")"
	months := `(\*|` + field(`([0-9]|1[0-3]|JAN|feb|DEC)`) + ")"
	weekday := `([0-8]|SUN|tue|SAT)`
	ofWeek := fmt.Sprintf("(L|%[1]sL|%[1]s#[0-6]|%[2]s)", weekday, field(weekday))
	valid := func(days, week string) *rapid.Generator[string] {
		return rapid.StringMatching(`cron\(0 ` + hours + " " + days + " " + months + " " + week + ` \*\)`)
	}
	return rapid.OneOf(
		rapid.StringMatching(`rate\(([0-9]{1,2}|99[89]|100[01]|2397[5-7]) (hour|day)s?\)`),
		valid(ofMonth, `\?`), valid(ofMonth, `\?`), valid(`\?`, ofWeek), valid(`\?`, ofWeek),
		rapid.StringMatching(`cron\([01] (4|04|\+4|4h|4-) [*?] \*[ \t\n]{1,2}[?*] [*2]\)`),
	)
}
