package quilt_test

import (
	"testing"
	"time"

	"quilt-rotate/internal/quilt"
)

// TestLatestUseOfACoarseTime uses a registry that records days: a use at exactly midnight may have
// been at any time of that day.
func TestLatestUseOfACoarseTime(t *testing.T) {
	for used, want := range map[string]string{
		"2026-11-22T00:00:00Z":           "2026-11-23T00:00:00Z",
		"2026-11-22T02:00:00+02:00":      "2026-11-23T00:00:00Z",
		"2026-11-22T00:00:00+02:00":      "2026-11-22T22:00:00Z", // a day in the registry's own zone
		"2026-11-22T09:00:00+05:30":      "2026-11-22T04:30:00Z", // an hour in its own zone
		"2026-11-22T09:30:00+05:30":      "2026-11-22T05:00:00Z", // an hour in UTC
		"2026-11-22T18:00:00Z":           "2026-11-22T19:00:00Z",
		"2026-11-22T18:15:00Z":           "2026-11-22T18:16:00Z",
		"2026-11-22T18:15:07Z":           "2026-11-22T18:15:07Z",
		"2026-11-22T00:00:00.000001Z":    "2026-11-22T00:00:00.000001Z",
		"2026-11-22T23:59:59.999999999Z": "2026-11-22T23:59:59.999999999Z",
	} {
		at, err := time.Parse(time.RFC3339Nano, used)
		if err != nil {
			t.Fatal(err)
		}
		key := quilt.APIKey{LastUsedAt: &at}
		if got := key.LatestUse().UTC().Format(time.RFC3339Nano); got != want {
			t.Errorf("a key that was used at %s was used by %s, want %s", used, got, want)
		}
		if !key.LastUsedAt.Equal(at) {
			t.Error("the registry's own time was changed")
		}
	}
	if (quilt.APIKey{}).LatestUse() != nil {
		t.Error("a key without a recorded use was used")
	}
}
