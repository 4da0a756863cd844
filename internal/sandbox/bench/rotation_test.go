package bench_test

import (
	"testing"
	"time"

	"quilt-rotate/internal/sandbox"
)

// latency is the time of each request, in the service or in the network.
const latency = 20 * time.Millisecond

// The tests of internal/rotation and internal/revocation check the same numbers.
var (
	requestsOfRotation  = map[string]int{registry: 5, secretsManager: 14}
	requestsOfIdleSweep = map[string]int{registry: 1, secretsManager: 2}
)

// BenchmarkRotation compares the time of a whole rotation, with its cold start, with the time of
// its requests alone: 20 ms for each. Over the network, a rotation also needs a TCP and a TLS
// handshake for each service.
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

// BenchmarkIdleSweep compares the time of a sweep that has nothing to do with the time of its
// requests alone. Over the network, each sweep has a cold start, as is usual for one sweep in an
// hour.
func BenchmarkIdleSweep(b *testing.B) {
	b.Run("service", func(b *testing.B) {
		w := newWorkbench(b)
		arn := w.secret()
		w.setLatency(latency)
		w.sweep(arn) // the cold start, which is not measured here
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

// measureRequests compares the time of act with the time of its requests alone. It fails if act
// sends other numbers of requests.
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
