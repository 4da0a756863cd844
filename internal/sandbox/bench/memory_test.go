package bench_test

import (
	"testing"

	"quilt-rotate/internal/sandbox"
)

// BenchmarkPeakMemory is the most memory that a whole rotation had resident, beside that of the
// other handlers after as many events.
func BenchmarkPeakMemory(b *testing.B) {
	for _, other := range yardsticks {
		b.Run("beside-"+other, func(b *testing.B) { measureMemory(b, newWorld(b), other) })
	}
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
		b.Skip("SKIPPED: peak memory: this system does not report it")
	}
	beside(b, "KiB", measured, yardstick)
}
