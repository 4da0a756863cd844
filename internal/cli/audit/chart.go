package audit

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A chart is bars below each other: readable at the width of a phone, each with its label and its number in text. Units are those of
// the drawing's viewBox.
type chart struct {
	ID    string
	Title string
	Desc  string // what the picture says, in a sentence
	Empty string // why there is no picture
	Bars  []bar
}

type bar struct {
	Label string
	Keys  int
	Class string // its colour
}

const (
	chartWidth = 360
	barsFrom   = 104
	barRoom    = 206 // leaves room for a number of six digits
	barPitch   = 26
)

func (c chart) Width() int  { return chartWidth }
func (c chart) Height() int { return len(c.Bars)*barPitch + 2 }
func (c chart) From() int   { return barsFrom }

// Y is where the row of a bar begins; TextY is its baseline.
func (c chart) Y(i int) int     { return i*barPitch + 5 }
func (c chart) TextY(i int) int { return i*barPitch + 18 }

// Length is in proportion to the longest bar; one key is seen, also beside thousands.
func (c chart) Length(b bar) int {
	most := slices.MaxFunc(c.Bars, func(a, b bar) int { return a.Keys - b.Keys }).Keys
	if b.Keys == 0 {
		return 0
	}
	return max(2, b.Keys*barRoom/most)
}

// Number is the bar's label at its end.
func (b bar) Number() string { return number(b.Keys) }

// NumberX is where the number stands: behind the bar.
func (c chart) NumberX(b bar) int { return barsFrom + c.Length(b) + 8 }

// steps are the ends of the ranges in days, the threshold among them, so that the coloured bars are those that are counted as found.
func steps(threshold int, usual ...int) []int {
	usual = append(usual, threshold)
	slices.Sort(usual)
	return slices.Compact(usual)
}

// ranged counts times into ranges up to each end, which belongs to it, and one more for what is longer.
func ranged(times []time.Duration, ends []int) []bar {
	bars := make([]bar, len(ends)+1)
	from := 0
	for i, end := range ends {
		bars[i].Label = fmt.Sprintf("%d–%d days", from, end)
		from = end
	}
	bars[len(ends)].Label = fmt.Sprintf("over %d days", from)
	for _, t := range times {
		i, _ := slices.BinarySearchFunc(ends, t, func(end int, t time.Duration) int { return cmp.Compare(days(end), t) })
		bars[i].Keys++
	}
	return bars
}

// expiryChart shows how long keys still work. Red are those that are found expired or expiring.
func (r Report) expiryChart() chart {
	var left []time.Duration
	for _, k := range r.Keys {
		if !k.Expired() {
			left = append(left, k.ExpiresAt.Sub(r.At))
		}
	}
	ends := steps(r.ExpiringDays, 7, 30, 60, 90, 180)
	bars := ranged(left, ends)
	for i := range bars {
		if i < len(ends) && ends[i] <= r.ExpiringDays {
			bars[i].Class = "bad"
		}
	}
	expired := bar{Label: "expired", Keys: len(r.Keys) - len(left), Class: "bad"}
	return chart{ID: "expiry", Title: "Days to expiry", Bars: append([]bar{expired}, bars...)}.described()
}

// useChart shows when keys that work were last used. Amber are those that are found unused or never used.
func (r Report) useChart() chart {
	c := chart{ID: "use", Title: "Days since last use"}
	if slices.Contains(r.Unjudged, Unused) {
		c.Empty = "No key has a date of last use."
		return c
	}
	var ago []time.Duration
	never := bar{Label: "never", Class: "warn"}
	for _, k := range r.Keys {
		switch {
		case k.Expired():
		case k.LastUsedAt == nil:
			never.Keys++
		default:
			ago = append(ago, r.At.Sub(*k.LastUsedAt))
		}
	}
	ends := steps(r.UnusedDays, 1, 7, 30, 60, 180)
	c.Bars = ranged(ago, ends)
	for i := range c.Bars {
		if i > 0 && ends[i-1] >= r.UnusedDays {
			c.Bars[i].Class = "warn"
		}
	}
	c.Bars = append(c.Bars, never)
	return c.described()
}

func (c chart) described() chart {
	total := 0
	for i, b := range c.Bars {
		total += b.Keys
		if i > 0 {
			c.Desc += "; "
		}
		c.Desc += fmt.Sprintf("%s: %s", b.Label, plural(b.Keys, "key"))
	}
	if total == 0 {
		c.Empty = "There is no such key."
	}
	return c
}
