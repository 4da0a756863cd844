package bench_test

import (
	"fmt"
	"testing"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/sandbox"
)

// BenchmarkSweepOfManyKeys is a sweep of a user who has that many keys, since each sweep lists all of them. Its own time, that of the registry and the
// network left out, stands beside that for ten keys, per byte received; so does its memory.
func BenchmarkSweepOfManyKeys(b *testing.B) {
	for _, count := range []int{1000, 10000, 200000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			many, few := newUser(b, count), newUser(b, 10)
			var own, ownFew, perByte, perByteFew, memory, memoryFew sample
			for b.Loop() {
				took, bytes := many.sweep()
				own.add(milliseconds(took))
				perByte.add(float64(took) / bytes)
				memory.add(kilobytes(many.last[sandbox.RevokeFunction].PeakMemory))
				took, bytes = few.sweep()
				ownFew.add(milliseconds(took))
				perByteFew.add(float64(took) / bytes)
				memoryFew.add(kilobytes(few.last[sandbox.RevokeFunction].PeakMemory))
			}
			beside(b, "ns/byte", perByte, perByteFew)
			b.ReportMetric(own.median(), "ms")
			b.ReportMetric(ownFew.median(), "ms-beside")
			b.ReportMetric(float64(many.counted().received["registry"])/float64(count), "bytes/key")
			b.ReportMetric(memory.median(), "KiB-peak")
			b.ReportMetric(memoryFew.median(), "KiB-peak-beside")
		})
	}
}

// A user has a secret, and many keys of other secrets beside.
type user struct {
	*world
	arn string
}

func newUser(b *testing.B, keys int) user {
	b.Helper()
	w := newWorld(b)
	u := user{w, w.secret()}
	for i := range keys - 1 {
		name := fmt.Sprintf("bench/%d/%d", keys, i)
		w.Registry.MintKey(sandbox.UserEmail, apikey.Name(name, w.Clock.Now(), name), 90)
	}
	w.slow(0)
	return u
}

// sweep sweeps in a cold environment, so that its memory is that of this sweep, and tells the time that the function took by itself, its start
// left out.
func (u user) sweep() (took time.Duration, received float64) {
	u.Helper()
	u.Lambda.Recycle(sandbox.RevokeFunction)
	u.forget()
	u.invoke(sandbox.RevokeFunction, map[string]string{"secretId": u.arn})
	return u.last[sandbox.RevokeFunction].Duration - u.counted().busy, float64(u.counted().received["registry"] + u.counted().received["secretsmanager"])
}
