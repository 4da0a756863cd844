// Package schedule parses rotation schedules. It calculates the time between two rotation windows,
// and the lifetime that a key needs so that one missed rotation causes no outage.
//
// It calls no service and reads no secret. The rules are those of the AWS Secrets Manager user
// guide, "Schedule expressions": all times are in UTC, and windows begin on the hour.
package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schedule has the properties of a rotation schedule.
type Schedule struct {
	Shortest, Longest time.Duration // between the beginnings of two windows
	Window            time.Duration // the default length of a window
	MaxWindow         time.Duration // a window must end before the next one begins, and before the day ends
}

// Reserve is the time that people have to act after a missed rotation.
const Reserve = 7 * day

// ParseWindow parses the length of a window, in whole hours. "" is the default of Secrets Manager.
func (s Schedule) ParseWindow(text string) (time.Duration, error) {
	if text == "" {
		return s.Window, nil
	}
	window, err := time.ParseDuration(text)
	if err != nil || window < time.Hour || window%time.Hour != 0 || window > s.MaxWindow {
		return 0, fmt.Errorf("must be whole hours, such as 2h, and at most %dh with this schedule",
			int(s.MaxWindow.Hours()))
	}
	return window, nil
}

// MinLifetime returns how long a key must be valid so that one missed rotation causes no outage, in
// whole days: two intervals, the window, and [Reserve]. If window is zero, the default window is
// used.
func (s Schedule) MinLifetime(window time.Duration) time.Duration {
	if window == 0 {
		window = s.Window
	}
	least := 2*s.Longest + window + Reserve
	return (least + day - 1) / day * day
}

// Days returns the schedule of a rotation every n days, as with AutomaticallyAfterDays.
func Days(n int) Schedule {
	every := time.Duration(n) * day
	return Schedule{every, every, day, day} // the window begins at midnight and lasts until the day ends
}

const day = 24 * time.Hour

// MustBe describes the form of a schedule expression.
const MustBe = "must be rate(30 days), rate(12 hours) or cron(0 4 ? * SUN *)"

var (
	errSchedule = errors.New(MustBe)
	errTooOften = errors.New("must leave at least 4 hours between rotations: Secrets Manager requires it")
	errRateMax  = errors.New("must be a rate of at most 999 days")
	errMinutes  = errors.New("must begin with the minute 0, such as cron(0 4 ? * SUN *): windows begin on the hour")
	errYear     = errors.New("must end with * (every year), such as cron(0 4 ? * SUN *)")
	errDays     = errors.New("must have ? in exactly one of two fields: the third (days of the month) or the " +
		"fifth (days of the week)")
	errFields = errors.New("must have six fields: 0, hours, days of the month, months, days of the week, *")
	errNever  = errors.New("has a date that never occurs: correct its day or month")
)

// The characters are those that the API takes.
var (
	rateForm = regexp.MustCompile(`^rate\(([0-9]{1,6}) (hour|hours|day|days)\)$`)
	cronForm = regexp.MustCompile(`^cron\(([0-9A-Za-z#?*/, -]*)\)$`)
)

// Parse parses a schedule expression. The error says what the expression must be.
func Parse(text string) (Schedule, error) {
	if m := rateForm.FindStringSubmatch(text); m != nil {
		return rate(m)
	}
	if m := cronForm.FindStringSubmatch(text); m != nil {
		return cron(strings.Fields(m[1]))
	}
	return Schedule{}, errSchedule
}

func rate(m []string) (Schedule, error) {
	n, _ := strconv.Atoi(m[1])
	if unit := strings.TrimSuffix(m[2], "s"); (n == 1) != (m[2] == unit) {
		if n != 1 {
			unit += "s"
		}
		return Schedule{}, fmt.Errorf("must be rate(%d %s): AWS requires the singular after 1 and the plural after "+
			"other numbers", n, unit)
	}
	every := time.Duration(n) * time.Hour
	s := Schedule{every, every, time.Hour, min(every, day)}
	if strings.HasPrefix(m[2], "day") {
		every *= 24
		s = Days(n)
	}
	switch {
	case every < 4*time.Hour:
		return Schedule{}, errTooOften
	case every > 999*day:
		return Schedule{}, errRateMax
	}
	return s, nil
}

// cron evaluates the expression for nine years, which include every case of leap years.
func cron(fields []string) (Schedule, error) {
	if len(fields) != 6 {
		return Schedule{}, errFields
	}
	switch {
	case fields[0] != "0":
		return Schedule{}, errMinutes
	case fields[5] != "*":
		return Schedule{}, errYear
	case (fields[2] == "?") == (fields[4] == "?"):
		return Schedule{}, errDays
	}
	hours, okHours := numbers(fields[1], 0, 23, nil)
	months, okMonths := numbers(fields[3], 1, 12, monthNames)
	fits, okDays := dayRule(fields[2], fields[4])
	if !okHours || !okMonths || !okDays {
		return Schedule{}, errors.New("has an invalid field: " + errSchedule.Error())
	}
	return measure(hours, months, fits)
}

func measure(hours, months []int, fits func(time.Time) bool) (Schedule, error) {
	s := Schedule{Window: time.Hour, MaxWindow: day}
	if len(hours) == 1 {
		s.Window = time.Duration(24-hours[0]) * time.Hour
	}
	var last time.Time
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for date := start; date.Before(start.AddDate(9, 0, 0)); date = date.AddDate(0, 0, 1) {
		if !slices.Contains(months, int(date.Month())) || !fits(date) {
			continue
		}
		for _, hour := range hours {
			at := date.Add(time.Duration(hour) * time.Hour)
			s.MaxWindow = min(s.MaxWindow, time.Duration(24-hour)*time.Hour)
			if !last.IsZero() {
				gap := at.Sub(last)
				s.Longest = max(s.Longest, gap)
				if s.Shortest == 0 || gap < s.Shortest {
					s.Shortest = gap
				}
			}
			last = at
		}
	}
	s.MaxWindow = min(s.MaxWindow, s.Shortest)
	switch {
	case last.IsZero() || s.Shortest == 0:
		return Schedule{}, errNever
	case s.Shortest < 4*time.Hour:
		return Schedule{}, errTooOften
	}
	return s, nil
}

var (
	monthNames = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"} // 1 to 7
)

// dayRule parses the days of the month or of the week: one of the two fields is "?".
func dayRule(ofMonth, ofWeek string) (func(time.Time) bool, bool) {
	if ofWeek == "?" {
		if ofMonth == "L" {
			return isLastOfMonth, true
		}
		days, ok := numbers(ofMonth, 1, 31, nil)
		return func(t time.Time) bool { return slices.Contains(days, t.Day()) }, ok
	}
	if name, nth, found := strings.Cut(ofWeek, "#"); found {
		weekday, ok := number(name, 1, 7, dayNames)
		n, okNth := number(nth, 1, 5, nil)
		return func(t time.Time) bool { return int(t.Weekday())+1 == weekday && (t.Day()-1)/7+1 == n }, ok && okNth
	}
	if name, found := strings.CutSuffix(ofWeek, "L"); found && name != "" {
		weekday, ok := number(name, 1, 7, dayNames)
		return func(t time.Time) bool { return lastWeekday(t, weekday) }, ok
	}
	if ofWeek == "L" {
		ofWeek = "SAT"
	}
	weekdays, ok := numbers(ofWeek, 1, 7, dayNames)
	return func(t time.Time) bool { return slices.Contains(weekdays, int(t.Weekday())+1) }, ok
}

func isLastOfMonth(t time.Time) bool { return t.AddDate(0, 0, 1).Day() == 1 }

func lastWeekday(t time.Time, weekday int) bool {
	return int(t.Weekday())+1 == weekday && t.AddDate(0, 0, 7).Month() != t.Month()
}

// numbers parses one field, such as *, 4, 4,16, 1-5, */6, 0/6 or SUN.
func numbers(field string, least, most int, names []string) ([]int, bool) {
	var all []int
	for part := range strings.SplitSeq(field, ",") {
		base, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			n, ok := number(stepText, 1, most, nil)
			if !ok {
				return nil, false
			}
			step = n
		}
		from, to, ok := span(base, least, most, names, stepped)
		if !ok {
			return nil, false
		}
		for n := from; n <= to; n += step {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), len(all) > 0
}

func span(base string, least, most int, names []string, stepped bool) (from, to int, ok bool) {
	if base == "*" || base == "" && stepped {
		return least, most, true
	}
	first, last, isRange := strings.Cut(base, "-")
	from, ok = number(first, least, most, names)
	if !ok {
		return 0, 0, false
	}
	switch {
	case isRange:
		to, ok = number(last, least, most, names)
		return from, to, ok && from <= to
	case stepped:
		return from, most, true
	}
	return from, from, true
}

func number(text string, least, most int, names []string) (int, bool) {
	if i := slices.Index(names, strings.ToUpper(text)); i >= 0 {
		return i + 1, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= least && n <= most
}
