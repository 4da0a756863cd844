package bench_test

import (
	"testing"

	"quilt-rotate/internal/sandbox"
)

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
