package bench_test

import (
	"testing"
	"time"

	"quilt-rotate/internal/sandbox"
)

// latency is what each service takes for a request, where its time is of interest.
const latency = 20 * time.Millisecond

// BenchmarkRotation is the time of a whole rotation, its cold start included, beside that which the services alone would take: 20 ms for each request.
func BenchmarkRotation(b *testing.B) {
	w := newWorld(b)
	w.slow(latency)
	var measured, yardstick sample
	for b.Loop() {
		measured.add(milliseconds(w.rotate()))
		yardstick.add(milliseconds(latency * time.Duration(w.requests["registry"]+w.requests["secretsmanager"])))
	}
	beside(b, "ms", measured, yardstick)
	b.ReportMetric(float64(w.requests["registry"]), "requests-registry")
	b.ReportMetric(float64(w.requests["secretsmanager"]), "requests-secretsmanager")
}

// BenchmarkIdleSweep is the time of a sweep that has nothing to do, beside that which the services alone would take.
func BenchmarkIdleSweep(b *testing.B) {
	w := newWorld(b)
	arn := w.secret()
	w.slow(latency)
	sweep := func() time.Duration {
		w.forget()
		began := time.Now()
		w.invoke(sandbox.RevokeFunction, map[string]string{"secretId": arn})
		return time.Since(began)
	}
	sweep() // the cold start, which is BenchmarkColdStart's
	var measured, yardstick sample
	for b.Loop() {
		measured.add(milliseconds(sweep()))
		yardstick.add(milliseconds(latency * time.Duration(w.requests["registry"]+w.requests["secretsmanager"])))
	}
	beside(b, "ms", measured, yardstick)
	b.ReportMetric(float64(w.requests["registry"]), "requests-registry")
	b.ReportMetric(float64(w.requests["secretsmanager"]), "requests-secretsmanager")
}

// BenchmarkPeakMemory is the most memory that a whole rotation had resident, beside the smallest handler's after as many events.
func BenchmarkPeakMemory(b *testing.B) {
	measureMemory(b, newWorld(b), smallest)
}

func measureMemory(b *testing.B, w *world, other string) {
	b.Helper()
	var measured, yardstick sample
	for b.Loop() {
		w.rotate()
		measured.add(kilobytes(w.last[sandbox.RotateFunction].PeakMemory))
		w.live(other)
		yardstick.add(kilobytes(w.last[other].PeakMemory))
	}
	if yardstick.median() == 0 {
		b.Skip("SKIPPED: this system does not tell a process's peak memory, so it is NOT measured")
	}
	beside(b, "KiB", measured, yardstick)
}
