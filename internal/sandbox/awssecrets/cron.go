package awssecrets

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// A cron is a cron expression with six fields. The minutes, which must be 0, and the year, which
// must be *, are not stored.
type cron struct {
	hours  uint64 // one bit for each hour
	months uint64
	day    func(time.Time) bool
}

var (
	monthNames = []string{"", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"", "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

func parseCron(text string) (*cron, bool) {
	fields := strings.Fields(text)
	if len(fields) != 6 || fields[0] != "0" || fields[5] != "*" {
		return nil, false
	}
	var c cron
	var ok bool
	if c.hours, ok = parseField(fields[1], 0, 23, nil); !ok {
		return nil, false
	}
	if c.months, ok = parseField(fields[3], 1, 12, monthNames); !ok {
		return nil, false
	}
	// Either the day of the month or the day of the week must be a question mark.
	switch dayOfMonth, dayOfWeek := fields[2], fields[4]; {
	case dayOfMonth == "?" && dayOfWeek != "?":
		c.day, ok = parseDayOfWeek(dayOfWeek)
	case dayOfWeek == "?" && dayOfMonth != "?":
		c.day, ok = parseDayOfMonth(dayOfMonth)
	default:
		ok = false
	}
	return &c, ok
}

func parseDayOfMonth(field string) (func(time.Time) bool, bool) {
	if field == "L" {
		return func(t time.Time) bool { return t.AddDate(0, 0, 1).Day() == 1 }, true
	}
	days, ok := parseField(field, 1, 31, nil)
	return func(t time.Time) bool { return days&(1<<t.Day()) != 0 }, ok
}

func parseDayOfWeek(field string) (func(time.Time) bool, bool) {
	weekday := func(t time.Time) int { return int(t.Weekday()) + 1 }
	if text, nth, found := strings.Cut(field, "#"); found { // 3#2: the second Tuesday
		d, ok := parseNumber(text, 1, 7, dayNames)
		n, okay := parseNumber(nth, 1, 5, nil)
		return func(t time.Time) bool { return weekday(t) == d && (t.Day()-1)/7+1 == n }, ok && okay
	}
	if text, found := strings.CutSuffix(field, "L"); found && text != "" { // 6L: the last Friday
		d, ok := parseNumber(text, 1, 7, dayNames)
		return func(t time.Time) bool { return weekday(t) == d && t.AddDate(0, 0, 7).Month() != t.Month() }, ok
	}
	if field == "L" {
		field = "SAT"
	}
	days, ok := parseField(field, 1, 7, dayNames)
	return func(t time.Time) bool { return days&(1<<weekday(t)) != 0 }, ok
}

// parseField parses a list of numbers, ranges and steps. It returns a set with one bit for each
// number.
func parseField(field string, low, high int, names []string) (set uint64, ok bool) {
	for part := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			if step, ok = parseNumber(stepText, 1, high, nil); !ok {
				return 0, false
			}
		}
		if stepped && span == "" {
			span = "*"
		}
		from, to, ok := parseSpan(span, low, high, names)
		if !ok {
			return 0, false
		}
		// 2/8 means every eighth number from 2. /8 starts at the lowest number.
		if stepped && !strings.Contains(span, "-") {
			to = high
		}
		for n := from; n <= to; n += step {
			set |= 1 << n
		}
	}
	return set, true
}

func parseSpan(span string, low, high int, names []string) (from, to int, ok bool) {
	if span == "*" {
		return low, high, true
	}
	first, last, isRange := strings.Cut(span, "-")
	if from, ok = parseNumber(first, low, high, names); !ok || !isRange {
		return from, from, ok
	}
	to, ok = parseNumber(last, low, high, names)
	return from, to, ok && from <= to
}

func parseNumber(text string, low, high int, names []string) (int, bool) {
	for n, name := range names {
		if name != "" && strings.EqualFold(name, text) {
			return n, true
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= low && n <= high
}

// hourly reports whether there is more than one window a day.
func (c *cron) hourly() bool { return bits.OnesCount64(c.hours) > 1 }

// shortestGap returns the shortest time between two windows in hours, at most 24. The time over
// midnight counts only if two consecutive days have windows.
func (c *cron) shortestGap() int {
	shortest, first, last := 24, bits.TrailingZeros64(c.hours), bits.Len64(c.hours)-1
	for hour, former := first+1, first; hour <= last; hour++ {
		if c.hours&(1<<hour) != 0 {
			shortest, former = min(shortest, hour-former), hour
		}
	}
	if overnight := first + 24 - last; overnight < shortest && c.consecutive() {
		return overnight
	}
	return shortest
}

// consecutive reports whether two consecutive days ever have windows.
func (c *cron) consecutive() bool {
	start, before := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), false
	for d := start; d.Before(start.AddDate(years, 0, 0)); d = d.AddDate(0, 0, 1) {
		opens := c.months&(1<<d.Month()) != 0 && c.day(d)
		if opens && before {
			return true
		}
		before = opens
	}
	return false
}

// longestWindow returns the maximum length of a window in hours.
func (c *cron) longestWindow() int { return min(c.shortestGap(), 24-(bits.Len64(c.hours)-1)) }

// years is how many years ahead windows are searched. Nine years contain every date, including 29
// February where a century year is not a leap year.
const years = 9

// next returns the start of the first window after t.
func (c *cron) next(t time.Time) (time.Time, bool) {
	for d := day(t); d.Before(t.AddDate(years, 0, 0)); d = d.AddDate(0, 0, 1) {
		if c.months&(1<<d.Month()) == 0 || !c.day(d) {
			continue
		}
		for hour := range 24 {
			opens := d.Add(time.Duration(hour) * time.Hour)
			if c.hours&(1<<hour) != 0 && opens.After(t) {
				return opens, true
			}
		}
	}
	return time.Time{}, false
}
