package schedule_test

import (
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/settings/schedule"
)

const day = 24 * time.Hour

func TestMinLifetime(t *testing.T) {
	// A key must not expire because one rotation failed: two intervals, the window and a week.
	for text, c := range map[string]struct {
		window time.Duration
		days   int
	}{
		"rate(30 days)":          {4 * time.Hour, 68},
		"rate(1 day)":            {0, 10},
		"rate(12 hours)":         {0, 9},
		"cron(0 4 ? * SUN *)":    {4 * time.Hour, 22},
		"cron(0 4 1 * ? *)":      {0, 70},
		"cron(0 0 1 1,7 ? *)":    {0, 376},
		"cron(0 8,20 ? * MON *)": {0, 21},
	} {
		s, err := schedule.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.MinLifetime(c.window); got != time.Duration(c.days)*day {
			t.Errorf("%s with a window of %s: a key must live %d days, want %d", text, c.window, got/day, c.days)
		}
	}
}

func TestDaysAreARate(t *testing.T) {
	// AutomaticallyAfterDays gives the same schedule as rate().
	rate, err := schedule.Parse("rate(30 days)")
	if err != nil || schedule.Days(30) != rate {
		t.Errorf("30 days are %+v, and rate(30 days) is %+v (%v)", schedule.Days(30), rate, err)
	}
}

func TestParseRefuses(t *testing.T) {
	// The error says what is wrong with the expression.
	for text, want := range map[string]string{
		"":                     "must be rate(30 days)",
		"rate(1 days)":         "must be rate(1 day): AWS requires the singular after 1",
		"rate(1 hours)":        "must be rate(1 hour)",
		"rate(30 day)":         "must be rate(30 days)",
		"rate(3 hours)":        "at least 4 hours",
		"rate(1000 days)":      "at most 999 days",
		"cron(5 4 ? * SUN *)":  "minute 0",
		"cron(0 4 * * SUN *)":  "exactly one of two fields",
		"cron(0 4 30 2 ? *)":   "never occurs",
		"cron(0 4 ? * XYZ *)":  "has an invalid field",
		"cron(0 4 ? * SUN 27)": "every year",
	} {
		if _, err := schedule.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a sentence with %q", text, err, want)
		}
	}
}
