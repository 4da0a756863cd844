package bench_test

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/settings"
)

// functions are the two that are deployed, each with an event that it ends at once.
var functions = []string{sandbox.RotateFunction, sandbox.RevokeFunction}

// BenchmarkColdStart is the time from the start of a function's process to its first request for an event, beside the smallest handler's.
func BenchmarkColdStart(b *testing.B) {
	for _, name := range functions {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			start := func(function string) float64 {
				w.Lambda.Recycle(function)
				_, _, err := w.Lambda.Invoke(b.Context(), function, []byte("[]")) // which both refuse: nothing but the start is of interest
				if err != nil {
					b.Fatal(err)
				}
				return milliseconds(w.last[function].InitDuration)
			}
			var measured, yardstick sample
			for b.Loop() {
				measured.add(start(name))
				yardstick.add(start(smallest))
			}
			beside(b, "ms", measured, yardstick)
		})
	}
}

// BenchmarkColdStartInstructions counts the instructions up to the first request for an event, which is the same on a busy machine. What the kernel
// does for the process is not in it.
func BenchmarkColdStartInstructions(b *testing.B) {
	if _, err := exec.LookPath("valgrind"); err != nil {
		b.Skip("SKIPPED: valgrind is not installed, so instructions are NOT counted")
	}
	for _, name := range functions {
		b.Run(name, func(b *testing.B) {
			var measured, yardstick sample
			for b.Loop() {
				measured.add(instructions(b, program(b, name)))
				yardstick.add(instructions(b, program(b, smallest)))
			}
			beside(b, "instructions", measured, yardstick)
		})
	}
}

var collected = regexp.MustCompile(`Collected : ([0-9]+)`)

// instructions runs a program to where it asks for its first event, of a host that is not there.
func instructions(b *testing.B, path string) float64 {
	b.Helper()
	command := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", path)
	command.Env = []string{
		"PATH=/usr/bin:/bin", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", // callgrind does not outlive a preemption by signal
		"AWS_LAMBDA_RUNTIME_API=127.0.0.1:1", "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x",
		settings.EnvRegistryURL + "=https://registry.example.com",
	}
	output, _ := command.CombinedOutput() // it fails: nobody listens
	m := collected.FindSubmatch(output)
	if m == nil || !strings.Contains(string(output), "127.0.0.1:1") {
		b.Fatalf("the program did not ask for an event:\n%s", output)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkZip is the size of the deployment packages, as the deployment makes them for arm64.
func BenchmarkZip(b *testing.B) {
	for _, name := range functions {
		b.Run(name, func(b *testing.B) {
			var measured, yardstick sample
			for b.Loop() {
				measured.add(kilobytes(zipped(b, program(b, name, "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0"))))
				yardstick.add(kilobytes(zipped(b, program(b, smallest, "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0"))))
			}
			beside(b, "KiB", measured, yardstick)
		})
	}
}
