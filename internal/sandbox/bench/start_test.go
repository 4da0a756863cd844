package bench_test

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/settings"
)

// functions are the two that are deployed.
var functions = []string{sandbox.RotateFunction, sandbox.RevokeFunction}

// yardsticks are the handlers that each start, package and rotation is measured beside.
var baselines = []string{smallest, floor}

// besideEach runs a benchmark for each function beside each yardstick.
func compareEach(b *testing.B, run func(b *testing.B, function, other string)) {
	for _, function := range functions {
		for _, other := range baselines {
			b.Run(function+"/compared-with-"+other, func(b *testing.B) { run(b, function, other) })
		}
	}
}

// BenchmarkColdStart is the time from the start of a function's process to its first request for an
// event.
func BenchmarkColdStart(b *testing.B) {
	compareEach(b, func(b *testing.B, name, other string) {
		w := newWorkbench(b)
		var measured, baseline sample
		for b.Loop() {
			measured.add(w.start(name, "BadEvent"))
			baseline.add(w.start(other, ""))
		}
		reportRatio(b, "ms", measured, baseline)
	})
}

// start starts a function with an event that both of ours refuse, since nothing but the start is of
// interest, and tells how many milliseconds that took. It fails unless the function answers with
// that type of error, or without one: what cannot start takes no time.
func (w *workbench) start(function, want string) (took float64) {
	w.Helper()
	w.Lambda.Recycle(function)
	answer, functionError, err := w.Lambda.Invoke(w.Context(), function, []byte("[]"))
	if err != nil {
		w.Fatal(err)
	}
	if got := errorType(answer, functionError); got != want {
		w.Fatalf("%s answers with the error %q, not %q: %s", function, got, want, answer)
	}
	if w.last[function].InitDuration <= 0 {
		w.Fatalf("%s was not started: the host told no time", function)
	}
	return milliseconds(w.last[function].InitDuration)
}

// errorType is what a function calls its failure; "" where it did not fail.
func errorType(answer []byte, functionError string) string {
	if functionError == "" {
		return ""
	}
	var failure struct {
		Type string `json:"errorType"`
	}
	if json.Unmarshal(answer, &failure) != nil || failure.Type == "" {
		return functionError
	}
	return failure.Type
}

// BenchmarkColdStartInstructions counts the instructions up to the first request for an event,
// which is the same on a busy machine. What the kernel does for the process is not in it.
func BenchmarkColdStartInstructions(b *testing.B) {
	if _, err := exec.LookPath("valgrind"); err != nil {
		b.Skip("SKIPPED: instructions: valgrind is not installed")
	}
	compareEach(b, func(b *testing.B, name, other string) {
		var measured, baseline sample
		for b.Loop() {
			measured.add(instructions(b, program(b, name)))
			baseline.add(instructions(b, program(b, other)))
		}
		reportRatio(b, "instructions", measured, baseline)
	})
}

var collected = regexp.MustCompile(`Collected : ([0-9]+)`)

// instructions runs a program to where it asks for its first event, of a host that is not there.
func instructions(b *testing.B, path string) float64 {
	b.Helper()
	command := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", path)
	command.Env = []string{
		// callgrind does not outlive a preemption by signal
		"PATH=/usr/bin:/bin", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1",
		"AWS_LAMBDA_RUNTIME_API=127.0.0.1:1", "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x",
		"HOME=/",
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
	compareEach(b, func(b *testing.B, name, other string) {
		var measured, baseline sample
		for b.Loop() {
			measured.add(kilobytes(packageSize(b, program(b, name, "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0"))))
			baseline.add(kilobytes(packageSize(b, program(b, other, "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0"))))
		}
		reportRatio(b, "KiB", measured, baseline)
	})
}
