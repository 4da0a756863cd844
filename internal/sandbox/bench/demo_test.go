package bench_test

import (
	"os/exec"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/demo/scene"
)

// BenchmarkDemo measures the time of `make demo` after the build, without a terminal. It is not
// compared with anything.
func BenchmarkDemo(b *testing.B) {
	functions := b.TempDir()
	if _, err := scene.Build(b.Context(), functions); err != nil {
		b.Fatal(err)
	}
	command := program(b, "quilt-sandbox")
	var measured sample
	for b.Loop() {
		began := time.Now()
		demo := exec.CommandContext(b.Context(), command, "demo", "--functions", functions)
		if output, err := demo.CombinedOutput(); err != nil {
			b.Fatalf("the demo failed: %v\n%s", err, output)
		}
		measured.add(milliseconds(time.Since(began)))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(measured.median(), "ms")
}
