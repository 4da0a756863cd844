package terminal

import (
	"fmt"
	"time"
)

// Ago returns a length of time before now in one unit, such as "3 days ago".
func Ago(d time.Duration) string {
	if d < 5*time.Second {
		return "just now"
	}
	return About(d) + " ago"
}

// About returns a length of time in one unit, rounded down: in days if it is at least two days, and
// otherwise in hours, minutes or seconds.
func About(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + About(-d)
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d/day))
}
