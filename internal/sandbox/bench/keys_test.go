package bench_test

import (
	"fmt"
	"testing"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/sandbox"
)

// BenchmarkSweepOfManyKeys measures the time and memory of a sweep that lists all keys of its user,
// for three numbers of keys. It compares the time for each additional byte from 10,000 to 200,000
// keys with the time for each additional byte from 1,000 to 10,000 keys. The ratio is more than 1
// if the time grows faster than the number of bytes.
func BenchmarkSweepOfManyKeys(b *testing.B) {
	few, some, many := newUser(b, 1000), newUser(b, 10000), newUser(b, 200000)
	users := []*user{few, some, many}
	for b.Loop() {
		for _, u := range users {
			u.measure()
		}
	}
	b.ReportMetric(0, "ns/op")
	reportGrowth(b, "ratio", 0.5, few, some, many)
	reportGrowth(b, "ratio-of-quartiles", 0.25, few, some, many)
	b.ReportMetric(some.nanosecondsPerByte(few, 0.5), "ns/byte-baseline")
	b.ReportMetric(many.nanosecondsPerByte(some, 0.5), "ns/byte")
	for _, u := range users {
		u.report()
	}
}

func reportGrowth(b *testing.B, unit string, quantile float64, few, some, many *user) {
	b.Helper()
	baseline := some.nanosecondsPerByte(few, quantile)
	if baseline <= 0 {
		b.Fatalf("a sweep of %d keys took no longer than one of %d keys: the machine is too busy for this benchmark",
			some.keys, few.keys)
	}
	b.ReportMetric(many.nanosecondsPerByte(some, quantile)/baseline, unit)
}

// A user has a secret, and many keys of other secrets.
type user struct {
	*workbench
	arn  string
	keys int

	own      sample // milliseconds of the function, without its start, the services and the network
	memory   sample // in KiB
	received float64
}

func newUser(b *testing.B, keys int) *user {
	b.Helper()
	w := newWorkbench(b)
	u := &user{workbench: w, arn: w.secret(), keys: keys}
	for i := range keys - 1 {
		name := fmt.Sprintf("bench/%d/%d", keys, i)
		w.Registry.MintKey(sandbox.UserEmail, apikey.Name(name, w.Clock.Now(), name), 90)
	}
	w.setLatency(0)
	return u
}

// measure sweeps in a new environment, so that the memory is that of this sweep only.
func (u *user) measure() {
	u.Helper()
	u.Lambda.Recycle(sandbox.RevokeFunction)
	u.sweep(u.arn)
	counted, last := u.counted(), u.last[sandbox.RevokeFunction]
	u.own.add(milliseconds(last.Duration - counted.busy))
	u.memory.add(kilobytes(last.PeakMemory))
	u.received = float64(counted.received[registry] + counted.received[secretsManager])
}

// nanosecondsPerByte returns the time for each byte that a sweep receives in addition to those of a
// user with fewer keys.
func (u *user) nanosecondsPerByte(fewer *user, quantile float64) float64 {
	return 1e6 * (u.own.quantile(quantile) - fewer.own.quantile(quantile)) / (u.received - fewer.received)
}

func (u *user) report() {
	u.Helper()
	u.ReportMetric(u.own.median(), fmt.Sprint("ms-", u.keys))
	u.ReportMetric(u.memory.median(), fmt.Sprint("KiB-peak-", u.keys))
	u.ReportMetric(u.received/float64(u.keys), fmt.Sprint("bytes/key-", u.keys))
}
