package awssecrets

import (
	"regexp"
	"strconv"
	"time"
)

// The limits of rotation schedules in the User Guide. Schedules are in UTC. Windows start on the
// hour, are at least four hours apart, and do not extend into the next day.
const (
	minHours    = 4
	maxRateDays = 999
	maxDays     = 1000
)

// rules are the RotationRules of a secret, in their wire format.
type rules struct {
	AutomaticallyAfterDays *int   `json:",omitempty"`
	Duration               string `json:",omitempty"`
	ScheduleExpression     string `json:",omitempty"`
}

// A schedule is a parsed set of rules. Windows open at an interval of days or hours, or at the
// times of a cron expression.
type schedule struct {
	days   int // the interval in days
	hours  int // the interval in hours
	cron   *cron
	length int // of a window in hours; 0: one hour, or the rest of the day if windows are a day apart
}

func (r rules) empty() bool { return r == rules{} }

// parse parses the rules and checks them.
func (r rules) parse() (schedule, error) {
	var parsed schedule
	var err error
	switch days, expression := r.AutomaticallyAfterDays, r.ScheduleExpression; {
	case days != nil && expression != "":
		err = invalidParameter("You can set RotationRules with AutomaticallyAfterDays or ScheduleExpression, but not " +
			"both.")
	case days != nil && (*days < 1 || *days > maxDays):
		err = invalidParameter("RotationRules.AutomaticallyAfterDays must be within 1-%d.", maxDays)
	case days != nil:
		parsed.days = *days
	case expression != "":
		parsed, err = parseExpression(expression)
	default:
		err = invalidParameter("RotationRules must have AutomaticallyAfterDays or ScheduleExpression.")
	}
	if err != nil {
		return schedule{}, err
	}
	return parsed.withDuration(r.Duration)
}

var (
	// The characters are those of the API reference. The User Guide uses a singular unit only after
	// 1, and EventBridge refuses everything else.
	ratePattern     = regexp.MustCompile(`^rate\((\d{1,6}) (hour|day)(s?)\)$`)
	cronPattern     = regexp.MustCompile(`^cron\(([0-9A-Za-z#?*/, -]*)\)$`)
	durationPattern = regexp.MustCompile(`^(\d{1,2})h$`)
)

func parseExpression(expression string) (schedule, error) {
	if m := ratePattern.FindStringSubmatch(expression); m != nil {
		n, _ := strconv.Atoi(m[1])
		switch inDays := m[2] == "day"; {
		case (n == 1) != (m[3] == ""):
			return schedule{}, invalidParameter("The unit of a rate is singular after 1 and plural otherwise: %s",
				expression)
		case inDays && n >= 1 && n <= maxRateDays:
			return schedule{days: n}, nil
		case !inDays && n >= minHours && n <= maxRateDays*24:
			return schedule{hours: n}, nil
		}
		return schedule{}, invalidParameter("A rotation rate must be between %d hours and %d days: %s", minHours,
			maxRateDays, expression)
	}
	if m := cronPattern.FindStringSubmatch(expression); m != nil {
		c, ok := parseCron(m[1])
		if !ok || c.shortestGap() < minHours {
			return schedule{}, invalidParameter("The cron expression is not valid for a rotation schedule: %s",
				expression)
		}
		return schedule{cron: c}, nil
	}
	return schedule{}, invalidParameter("ScheduleExpression must be a rate() or a cron() expression: %s", expression)
}

func (s schedule) withDuration(text string) (schedule, error) {
	if text == "" {
		return s, nil
	}
	longest := 24
	switch {
	case s.cron != nil:
		longest = s.cron.longestWindow()
	case s.hours > 0:
		longest = min(longest, s.hours)
	}
	m := durationPattern.FindStringSubmatch(text)
	if m != nil {
		s.length, _ = strconv.Atoi(m[1])
	}
	if s.length < 1 || s.length > longest {
		return schedule{}, invalidParameter("RotationRules.Duration must be 1-%dh: a window must not reach into the "+
			"next one or the next UTC day.", longest)
	}
	return s, nil
}

// next returns the last second of the first window that opens after the given time. It returns the
// zero time if there is no schedule.
func (r rules) next(after time.Time) time.Time {
	if r.empty() {
		return time.Time{}
	}
	s, err := r.parse()
	if err != nil {
		return time.Time{} // cannot happen: rules are checked before they are stored
	}
	opens, ok := s.opens(after)
	if !ok {
		return time.Time{}
	}
	return s.closes(opens)
}

func (s schedule) opens(after time.Time) (time.Time, bool) {
	midnight := day(after)
	switch {
	case s.cron != nil:
		return s.cron.next(after)
	case s.days > 0:
		return midnight.AddDate(0, 0, s.days), true
	}
	// Windows are aligned to midnight with the largest number of hours that divides both the
	// interval and a day.
	step := 24
	for s.hours%step != 0 || 24%step != 0 {
		step--
	}
	return after.Truncate(time.Duration(step) * time.Hour).Add(time.Duration(s.hours) * time.Hour), true
}

func (s schedule) closes(opens time.Time) time.Time {
	hourly := s.hours > 0 || s.cron != nil && s.cron.hourly()
	end := day(opens).AddDate(0, 0, 1)
	switch {
	case s.length > 0:
		end = opens.Add(time.Duration(s.length) * time.Hour)
	case hourly:
		end = opens.Add(time.Hour)
	}
	return end.Add(-time.Second)
}
