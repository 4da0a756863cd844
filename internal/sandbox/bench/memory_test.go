package bench_test

import (
	"testing"

	"quilt-rotate/internal/sandbox"
)

// BenchmarkPeakMemory compares the peak resident memory of a whole rotation with that of the other
// handlers after the same number of events.
func BenchmarkPeakMemory(b *testing.B) {
	for _, other := range baselines {
		b.Run("compared-with-"+other, func(b *testing.B) { measureMemory(b, newWorkbench(b), other) })
	}
}

func measureMemory(b *testing.B, w *workbench, other string) {
	b.Helper()
	var measured, baseline sample
	for b.Loop() {
		w.rotate()
		measured.add(kilobytes(w.last[sandbox.RotateFunction].PeakMemory))
		w.sendEvents(other)
		baseline.add(kilobytes(w.last[other].PeakMemory))
	}
	if baseline.median() == 0 {
		b.Skip("SKIPPED: peak memory: this system does not report it")
	}
	reportRatio(b, "KiB", measured, baseline)
}
