package doctor

import (
	"testing"
	"time"
)

func TestGranularity(t *testing.T) {
	// Protects the judgement on the quiet period: how finely uses are recorded is estimated from what the registry shows, and never taken for coarse
	// because one use happened to fall on a full hour.
	at := func(text string) time.Time {
		moment, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	for name, c := range map[string]struct {
		used, now string
		others    []string
		want      time.Duration
	}{
		"at once":                        {"2026-11-24T15:39:19.9Z", "2026-11-24T15:39:20Z", nil, 0},
		"by the day":                     {"2026-11-24T00:00:00Z", "2026-11-24T15:39:20Z", nil, day},
		"by the day, in another zone":    {"2026-11-24T01:00:00+01:00", "2026-11-24T15:39:20Z", nil, day},
		"by the hour":                    {"2026-11-24T15:00:00Z", "2026-11-24T15:39:20Z", []string{"2026-11-23T08:00:00Z"}, time.Hour},
		"late":                           {"2026-11-24T15:12:07Z", "2026-11-24T15:39:20Z", nil, 0},
		"just after midnight, by day":    {"2026-11-24T00:00:00Z", "2026-11-24T00:00:30Z", []string{"2026-11-23T00:00:00Z"}, day},
		"just after midnight, at once":   {"2026-11-24T00:00:00Z", "2026-11-24T00:00:30Z", []string{"2026-11-23T07:12:13Z"}, 0},
		"just after the hour, by hour":   {"2026-11-24T15:00:00Z", "2026-11-24T15:00:30Z", []string{"2026-11-23T07:00:00Z"}, time.Hour},
		"a use of yesterday is no proof": {"2026-11-23T00:00:00Z", "2026-11-24T15:39:20Z", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var others []time.Time
			for _, text := range c.others {
				others = append(others, at(text))
			}
			if got := granularity(at(c.used), at(c.now), others); got != c.want {
				t.Errorf("it is %s, want %s", got, c.want)
			}
		})
	}
}
