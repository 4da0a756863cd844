package bench_test

import (
	"fmt"
	"testing"
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
)

// BenchmarkScheduledSweepOfManyKeys measures how many bytes a scheduled sweep receives that has
// nothing to do. This must not depend on the number of the user's keys. One sweep in a day fetches
// the list of all keys to search for orphans: see BenchmarkSweepOfManyKeys.
func BenchmarkScheduledSweepOfManyKeys(b *testing.B) {
	users := []*user{newUser(b, 10), newUser(b, 1000), newUser(b, 100000)}
	for b.Loop() {
		for _, u := range users {
			u.measureScheduled()
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, u := range users {
		b.ReportMetric(u.received, fmt.Sprint("bytes-", u.keys))
		b.ReportMetric(u.own.median(), fmt.Sprint("ms-", u.keys))
		b.ReportMetric(u.memory.median(), fmt.Sprint("KiB-peak-", u.keys))
		if u.received != users[0].received {
			b.Errorf("a sweep received %.0f bytes for %d keys, but %.0f bytes for %d keys", u.received, u.keys,
				users[0].received, users[0].keys)
		}
	}
}

// measureScheduled sweeps in a new environment, in an hour in which the sweep does not search for
// orphans.
func (u *user) measureScheduled() {
	u.Helper()
	u.Lambda.Recycle(sandbox.RevokeFunction)
	u.reset()
	day := u.Clock.Now().UTC().Truncate(24 * time.Hour)
	u.invoke(sandbox.RevokeFunction, map[string]any{"secretId": u.arn,
		"time": day.Add(time.Duration(revocation.SearchHour(u.arn)+1) * time.Hour)})
	counted, last := u.counted(), u.last[sandbox.RevokeFunction]
	counted.check(u.B, requestsOfIdleSweep)
	u.own.add(milliseconds(last.Duration - counted.busy))
	u.memory.add(kilobytes(last.PeakMemory))
	u.received = float64(counted.received[registry] + counted.received[secretsManager])
}
