package bench_test

import (
	"testing"
	"time"

	"quilt-rotate/internal/sandbox"
)

// latency is what each request takes, at the service or on the way, where its time is of interest.
const latency = 20 * time.Millisecond

// What golden tests of internal/rotation and internal/revocation hold as well.
var (
	requestsOfRotation  = map[string]int{registry: 5, secretsManager: 14}
	requestsOfIdleSweep = map[string]int{registry: 1, secretsManager: 2}
)

// BenchmarkRotation is the time of a whole rotation, its cold start included, beside that which its
// requests alone would take: 20 ms each, one after the other. Over the network it also dials, and
// agrees on TLS.
func BenchmarkRotation(b *testing.B) {
	b.Run("service", func(b *testing.B) {
		w := newWorkbench(b)
		w.setLatency(latency)
		measureRequests(b, w, requestsOfRotation, w.rotate)
	})
	b.Run("network", func(b *testing.B) {
		w := newWorkbench(b)
		w.deploy(sandbox.RotateFunction, w.behindNetwork(latency))
		w.setLatency(0)
		measureRequests(b, w, requestsOfRotation, w.rotate)
	})
}

// BenchmarkIdleSweep is the time of a sweep that has nothing to do, beside that which its requests
// alone would take. Over the network it is a cold one: a sweep an hour finds no warm environment in
// practice.
func BenchmarkIdleSweep(b *testing.B) {
	b.Run("service", func(b *testing.B) {
		w := newWorkbench(b)
		arn := w.secret()
		w.setLatency(latency)
		w.sweep(arn) // the cold start, which is BenchmarkColdStart's
		measureRequests(b, w, requestsOfIdleSweep, func() time.Duration { return w.sweep(arn) })
	})
	b.Run("network", func(b *testing.B) {
		w := newWorkbench(b)
		arn := w.secret()
		w.deploy(sandbox.RevokeFunction, w.behindNetwork(latency))
		w.setLatency(0)
		measureRequests(b, w, requestsOfIdleSweep, func() time.Duration {
			w.Lambda.Recycle(sandbox.RevokeFunction)
			return w.sweep(arn)
		})
	})
}

// measureRequests holds what a function does beside the time of its requests, which must be those
// that are wanted.
func measureRequests(b *testing.B, w *workbench, want map[string]int, act func() time.Duration) {
	b.Helper()
	var measured, baseline sample
	for b.Loop() {
		measured.add(milliseconds(act()))
		counted := w.counted()
		counted.check(b, want)
		if w.overNetwork {
			counted.checkConnections(b)
		}
		baseline.add(milliseconds(counted.baseline(latency)))
	}
	reportRatio(b, "ms", measured, baseline)
	w.counted().report(b)
}
