package bench_test

import (
	"os/exec"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/demo/scene"
)

// BenchmarkDemo is the time of `make demo` after the build, in a pipe. Nothing stands beside it:
// its measure is a person's patience.
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
			b.Fatalf("the demo: %v\n%s", err, output)
		}
		measured.add(milliseconds(time.Since(began)))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(measured.median(), "ms")
}
