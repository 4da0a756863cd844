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

// functions are the deployed functions.
var functions = []string{sandbox.RotateFunction, sandbox.RevokeFunction}

// baselines are the handlers with which the functions are compared.
var baselines = []string{smallest, floor}

// compareEach runs a benchmark for each function and each baseline.
func compareEach(b *testing.B, run func(b *testing.B, function, other string)) {
	for _, function := range functions {
		for _, other := range baselines {
			b.Run(function+"/compared-with-"+other, func(b *testing.B) { run(b, function, other) })
		}
	}
}

// BenchmarkColdStart measures the time from the start of a function's process to its first request
// for an event.
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

// start starts a function and returns the milliseconds of its start. It sends an event that both
// deployed functions refuse. It fails if the function answers with another error type, because a
// function that cannot start has no valid time.
func (w *workbench) start(function, want string) (took float64) {
	w.Helper()
	w.Lambda.Recycle(function)
	answer, functionError, err := w.Lambda.Invoke(w.Context(), function, []byte("[]"))
	if err != nil {
		w.Fatal(err)
	}
	if got := errorType(answer, functionError); got != want {
		w.Fatalf("%s: got the error %q, want %q: %s", function, got, want, answer)
	}
	if w.last[function].InitDuration <= 0 {
		w.Fatalf("%s: the host reported no time of the start", function)
	}
	return milliseconds(w.last[function].InitDuration)
}

// errorType returns the error type of a function's answer, or "" if the function did not fail.
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

// BenchmarkColdStartInstructions counts the instructions up to the first request for an event. The
// number does not depend on the load of the machine. The instructions of the kernel are not
// counted.
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

// instructions runs a program until it requests its first event, and returns the number of
// instructions. The request fails, because there is no host.
func instructions(b *testing.B, path string) float64 {
	b.Helper()
	command := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", path)
	command.Env = []string{
		// callgrind crashes if a goroutine is preempted by a signal.
		"PATH=/usr/bin:/bin", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1",
		"AWS_LAMBDA_RUNTIME_API=127.0.0.1:1", "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x",
		"HOME=/",
		settings.EnvRegistryURL + "=https://registry.example.com",
	}
	output, _ := command.CombinedOutput() // the program fails, because there is no host
	m := collected.FindSubmatch(output)
	if m == nil || !strings.Contains(string(output), "127.0.0.1:1") {
		b.Fatalf("the program did not request an event:\n%s", output)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkZip compares the sizes of the deployment packages for arm64.
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
