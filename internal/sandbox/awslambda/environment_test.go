package awslambda_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/awslambda"
)

func TestInvocationHasRequestIDAndDeadline(t *testing.T) {
	host := start(t, awslambda.Config{Timeout: 10 * time.Minute})
	got := invoke[struct {
		RequestID, ARN, Trace string
		Remaining             float64
	}](t, host, event{Do: "context"})
	if want := "arn:aws:lambda:eu-central-1:123456789012:function:rotate"; got.ARN != want {
		t.Errorf("got the function ARN %s, want %s", got.ARN, want)
	}
	if begin := logged(host, "START RequestId: "+got.RequestID); len(begin) != 1 {
		t.Errorf("the log has %d START lines of the request %q, want 1", len(begin), got.RequestID)
	}
	if got.Remaining <= 0 || got.Remaining > 600 {
		t.Errorf("got %.1f s until the deadline, want at most 10 minutes", got.Remaining)
	}
	if !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(got.Trace) {
		t.Errorf("got the trace header %q", got.Trace)
	}
}

func TestEnvironmentHasOnlyTheVariablesOfTheService(t *testing.T) {
	// A function must not get the environment variables of this machine.
	t.Setenv("PARENT_ONLY", "must not be passed on")
	t.Setenv("AWS_PROFILE", "must not be passed on")
	host := start(t, awslambda.Config{MemoryMB: 256, Environment: map[string]string{"LOG_LEVEL": "DEBUG",
		"TZ": ":Europe/Berlin"}})
	got := invoke[struct {
		Variables []string
		Directory string
	}](t, host, event{Do: "environment"})

	variables := map[string]string{}
	for _, variable := range got.Variables {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	root, err := filepath.EvalSymlinks(filepath.Dir(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	if got.Directory != root {
		t.Errorf("got the working directory %s, want the task root %s", got.Directory, root)
	}
	if variables["HOME"] == os.Getenv("HOME") || variables["TMPDIR"] != variables["HOME"] {
		t.Errorf("HOME is %s and TMPDIR is %s, want the same folder of the environment", variables["HOME"],
			variables["TMPDIR"])
	}
	if !regexp.MustCompile(`^127\.0\.0\.1:\d+$`).MatchString(variables["AWS_LAMBDA_RUNTIME_API"]) {
		t.Errorf("got the address %q of the Runtime API", variables["AWS_LAMBDA_RUNTIME_API"])
	}
	if !regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`).MatchString(
		variables["AWS_LAMBDA_LOG_STREAM_NAME"]) {
		t.Errorf("got the log stream %q", variables["AWS_LAMBDA_LOG_STREAM_NAME"])
	}
	temporary := variables["TMPDIR"]
	for _, own := range []string{"HOME", "TMPDIR", "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME",
		"_X_AMZN_TRACE_ID" /* aws-lambda-go sets it */} {
		delete(variables, own)
	}
	want := map[string]string{
		"_HANDLER":                        "bootstrap",
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_ACCESS_KEY_ID":               "ASIASANDBOXSANDBOX00",
		"AWS_SECRET_ACCESS_KEY":           "sandbox-secret-access-key",
		"AWS_SESSION_TOKEN":               "sandbox-session-token",
		"AWS_LAMBDA_FUNCTION_NAME":        "rotate",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/rotate",
		"LAMBDA_TASK_ROOT":                filepath.Dir(bootstrap),
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"LANG":                            "en_US.UTF-8",
		"PATH":                            "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"TZ":                              ":Europe/Berlin",
		"LOG_LEVEL":                       "DEBUG",
	}
	if !maps.Equal(variables, want) {
		t.Errorf("got the variables\n%v\nwant\n%v", variables, want)
	}
	host.Recycle("rotate")
	if _, err := os.Stat(temporary); !os.IsNotExist(err) {
		t.Errorf("the folder of a closed environment still exists: %v", err)
	}
}

func TestErrorTypeIsReportedAndTheEnvironmentIsReused(t *testing.T) {
	// Operators and alarms use the error types.
	host := start(t, awslambda.Config{})
	former := invoke[process](t, host, event{Do: "count"})
	if got := invokeFailing(t, host, event{Do: "fail", Value: "k1"}); got.ErrorType != "KeyRefused" ||
		got.ErrorMessage != "key k1 was refused" {
		t.Errorf("got the error %+v, want KeyRefused", got)
	}
	if now := invoke[process](t, host, event{Do: "count"}); now.PID != former.PID || now.Invocations != 3 {
		t.Errorf("process %d has processed %d events, want process %d with 3 events", now.PID,
			now.Invocations, former.PID)
	}
}

func TestPanicIsReportedAndTheNextEventGetsANewProcess(t *testing.T) {
	// The process reports its panic before it exits. No event may be sent to it in between.
	host := start(t, awslambda.Config{})
	for range 5 {
		former := invoke[process](t, host, event{Do: "count"})
		got := invokeFailing(t, host, event{Do: "panic", Value: "nil map"})
		if got.ErrorType != "string" || got.ErrorMessage != "nil map" || len(got.StackTrace) == 0 {
			t.Errorf("got the error %+v, want the panic", got)
		}
		checkNewProcess(t, host, former.PID)
		host.Recycle("rotate")
	}
	if reports := logged(host, "\tStatus: error\tError Type: Runtime.ExitError"); len(reports) != 5 {
		t.Errorf("got %d REPORT lines with the exit, want 5", len(reports))
	}
}

func TestExitFailsTheInvocation(t *testing.T) {
	// The log has the last output of the process, and the next event is processed.
	for status, want := range map[int]string{2: "Error: Runtime exited with error: exit status 2",
		0: "Error: Runtime exited without providing a reason"} {
		host := start(t, awslambda.Config{})
		former := invoke[process](t, host, event{Do: "count"})
		got := invokeFailing(t, host, event{Do: "exit", Size: status})
		if got.ErrorType != "Runtime.ExitError" || !regexp.MustCompile(`^RequestId: [0-9a-f-]{36} `+want+
			`$`).MatchString(got.ErrorMessage) {
			t.Errorf("exit status %d: got the error %+v", status, got)
		}
		if lines := logged(host, "output without a newline"); len(lines) != 1 ||
			!strings.Contains(got.ErrorMessage, lines[0].RequestID) {
			t.Errorf("exit status %d: got the last log lines %+v", status, lines)
		}
		checkNewProcess(t, host, former.PID)
	}
}

func TestTimeoutKillsTheProcessAndItsChildren(t *testing.T) {
	// After the caller got the timeout, no process of the function may continue.
	host := start(t, awslambda.Config{Timeout: 500 * time.Millisecond})
	timeout := make(chan struct{})
	host.TimeOutOn(timeout)
	former := invoke[process](t, host, event{Do: "count"})
	child := newGate(t)
	go func() {
		<-child.arrived
		close(timeout)
	}()
	got := invokeFailing(t, host, event{Do: "sleep", Value: child.url})
	if got.ErrorType != "Sandbox.Timedout" ||
		!regexp.MustCompile(`^RequestId: [0-9a-f-]{36} Error: Task timed out after 0\.50 seconds$`).MatchString(
			got.ErrorMessage) {
		t.Errorf("got the error %+v, want a timeout", got)
	}
	receive(t, child.left, "the end of the function's child process")
	host.TimeOutByTime()
	if len(logged(host, "asleep")) != 1 {
		t.Errorf("the log does not have the output of the killed process: %q", texts(host.Logs("rotate")))
	}
	if reports := logged(host, "\tStatus: timeout"); len(reports) != 1 {
		t.Errorf("got %d REPORT lines with the timeout, want 1", len(reports))
	}
	add(t, host, awslambda.Config{Name: "rotate", Timeout: time.Minute})
	checkNewProcess(t, host, former.PID)
}

func TestProcessIsKilledAfterTheConfiguredTimeout(t *testing.T) {
	host := start(t, awslambda.Config{Timeout: 50 * time.Millisecond})
	child := newGate(t)
	close(child.open)
	if got := invokeFailing(t, host, event{Do: "sleep", Value: child.url}); got.ErrorType != "Sandbox.Timedout" {
		t.Errorf("got the error %+v, want a timeout", got)
	}
}

func TestResponseIsLimitedTo6MB(t *testing.T) {
	host := start(t, awslambda.Config{})
	const limit, quotes = 6291556, 2
	if got := invoke[string](t, host, event{Do: "big", Size: limit - quotes}); len(got) != limit-quotes {
		t.Errorf("got %d bytes, want %d", len(got), limit-quotes)
	}
	got := invokeFailing(t, host, event{Do: "big", Size: limit - quotes + 1})
	if got.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("got the error %+v, want Function.ResponseSizeTooLarge", got)
	}
	checkNewProcess(t, host, 0)
}

func TestFailedInitIsRepeatedOnceAndThenReported(t *testing.T) {
	// The service repeats Init as part of the invocation.
	for start, want := range map[string]struct{ errorType, message, phases string }{
		"exit":   {"Runtime.ExitError", "Runtime exited with error: exit status 3", "Error Type: Runtime.ExitError"},
		"report": {"InvalidSettings", "GRACE_PERIOD is not a duration", "Error Type: InvalidSettings"},
		"hang":   {"Sandbox.Timedout", "Task timed out after 0.30 seconds", "Status: timeout"},
	} {
		t.Run(start, func(t *testing.T) {
			initializing := make(initSignal, 2)
			host := newHost(t, awslambda.Options{Stderr: initializing})
			if start == "hang" { // the time limit is over when the process has written its first line
				host.TimeOutOn(initializing)
			}
			add(t, host, awslambda.Config{Name: "rotate", Timeout: 300 * time.Millisecond,
				Environment: map[string]string{"BOOTSTRAP_START": start}})
			got := invokeFailing(t, host, event{})
			if got.ErrorType != want.errorType || !strings.HasSuffix(got.ErrorMessage, want.message) {
				t.Errorf("got the error %+v, want %+v", got, want)
			}
			if n := len(logged(host, "initializing")); n != 2 {
				t.Errorf("the process started %d times, want 2", n)
			}
			for _, phase := range []string{"init", "invoke"} {
				if lines := logged(host, "\tPhase: "+phase+"\t"); len(lines) != 1 || !strings.Contains(lines[0].Text,
					want.phases) {
					t.Errorf("phase %s: got the log lines %q, want one with %q", phase, texts(lines), want.phases)
				}
			}
			if n := len(logged(host, "reported 202")); start == "report" && n != 2 {
				t.Errorf("the log has %d lines that were written after the report, want 2", n)
			}
			host.TimeOutByTime()
			add(t, host, awslambda.Config{Name: "rotate"})
			checkNewProcess(t, host, 0)
		})
	}
}

// initSignal receives a value for each log line of a process that initializes.
type initSignal chan struct{}

func (s initSignal) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("initializing")) {
		select {
		case s <- struct{}{}:
		default: // no test waits for this value
		}
	}
	return len(line), nil
}

func TestInitThatFailsOnceIsNotReported(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "failed")
	host := start(t, awslambda.Config{Environment: map[string]string{"BOOTSTRAP_START": "fail once",
		"BOOTSTRAP_MARKER": marker}})
	if got := invoke[process](t, host, event{Do: "count"}); got.Invocations != 1 {
		t.Errorf("got %+v, want one invocation", got)
	}
	if report := logged(host, "REPORT RequestId"); len(report) != 1 || strings.Contains(report[0].Text,
		"Init Duration") {
		t.Errorf("got the REPORT lines %q, want one without Init Duration, because Init was repeated", texts(report))
	}
}

func TestColdAndWarmStarts(t *testing.T) {
	// Only the first REPORT line of an environment has an Init Duration.
	host := start(t, awslambda.Config{})
	cold := invoke[process](t, host, event{Do: "count"})
	warm := invoke[process](t, host, event{Do: "count"})
	host.Recycle("rotate")
	again := invoke[process](t, host, event{Do: "count"})
	if warm != (process{2, cold.PID}) || again.Invocations != 1 || again.PID == cold.PID {
		t.Errorf("got the processes %+v, %+v and, after Recycle, %+v", cold, warm, again)
	}
	form := regexp.MustCompile(
		`^REPORT RequestId: [0-9a-f-]{36}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB(\tMax Memory Used: [1-9]\d* MB)?(\tInit Duration: \d+\.\d\d ms)?$`)
	var inits []bool
	for _, line := range logged(host, "REPORT RequestId") {
		if !form.MatchString(line.Text) {
			t.Errorf("got the REPORT line %q", line.Text)
		}
		inits = append(inits, strings.Contains(line.Text, "\tInit Duration: "))
	}
	if !slices.Equal(inits, []bool{true, false, true}) {
		t.Errorf("the REPORT lines with Init Duration are %v, want the first and the third", inits)
	}
}

func TestIdleProcessThatExitsLosesNoEvent(t *testing.T) {
	host := start(t, awslambda.Config{})
	g := newGate(t)
	invoke[string](t, host, event{Do: "exit when idle", Value: g.url})
	receive(t, g.arrived, "the request of the process before its exit")
	former := invoke[process](t, host, event{Do: "count"})
	close(g.open)
	receive(t, g.left, "the answer to the process")
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		answer, functionError, err := host.Invoke(context.Background(), "rotate", event{Do: "count"}.payload(t))
		switch {
		case err != nil:
			t.Fatal(err)
		case functionError != "": // the process exited during an event, which fails on the service too
		case decode[process](t, answer).PID != former.PID:
			return
		}
	}
	t.Error("no event got a new process")
}

func TestConcurrentEventsHaveDifferentEnvironments(t *testing.T) {
	// Two invocations that run at the same time must not share state.
	host := start(t, awslambda.Config{Timeout: 10 * time.Minute})
	g := newGate(t)
	answers := make(chan process, 3)
	for range 3 {
		go func() { answers <- invoke[process](t, host, event{Do: "wait", Value: g.url}) }()
	}
	for range 3 {
		receive(t, g.arrived, "three events at the same time")
	}
	close(g.open)
	processes := map[int]bool{}
	for range 3 {
		processes[receive(t, answers, "an answer").PID] = true
	}
	if len(processes) != 3 {
		t.Errorf("got %d processes, want 3", len(processes))
	}
	if now := invoke[process](t, host, event{Do: "count"}); !processes[now.PID] {
		t.Errorf("the next event got the new process %d, want one of the idle processes", now.PID)
	}
}

func TestThrottledCallIsRefusedAndAThrottledEventWaits(t *testing.T) {
	// The documentation of Secrets Manager warns of this limit.
	host := newHost(t, awslambda.Options{Concurrency: 1})
	add(t, host, awslambda.Config{Name: "rotate", Timeout: 10 * time.Minute})
	g := newGate(t)
	done := make(chan process, 1)
	go func() { done <- invoke[process](t, host, event{Do: "wait", Value: g.url}) }()
	receive(t, g.arrived, "the first event")

	response, body := call(t, host, "POST", "/2015-03-31/functions/rotate/invocations", "{}")
	refusal := decode[map[string]string](t, body)
	if response.StatusCode != 429 || response.Header.Get("X-Amzn-Errortype") != "TooManyRequestsException" ||
		refusal["Reason"] != "ConcurrentInvocationLimitExceeded" {
		t.Errorf("the second caller: got %s %v %s, want 429", response.Status, response.Header, body)
	}
	if _, err := host.InvokeEvent("rotate", event{Do: "print", Size: 1, Value: "kept"}.payload(t)); err != nil {
		t.Fatal(err)
	}
	if lines := logged(host, "kept"); len(lines) != 0 {
		t.Errorf("the event was not throttled")
	}
	close(g.open)
	receive(t, done, "the first answer")
	waitIdle(t, host)
	if len(logged(host, "line 0 kept")) != 1 {
		t.Errorf("the throttled event was not processed: %q", texts(host.Logs("rotate")))
	}
}

func TestUpdateReplacesEnvironmentsAfterTheirEvent(t *testing.T) {
	// If a deployment happens during a rotation step, the former code finishes the step.
	host := start(t, awslambda.Config{Timeout: 10 * time.Minute, Environment: map[string]string{"LOG_LEVEL": "INFO"}})
	child, g := newGate(t), newGate(t)
	invoke[string](t, host, event{Do: "child", Value: child.url})
	receive(t, child.arrived, "a child process of the environment")
	former := make(chan process, 1)
	go func() { former <- invoke[process](t, host, event{Do: "wait", Value: g.url}) }()
	receive(t, g.arrived, "the running event")

	add(t, host, awslambda.Config{Name: "rotate", Environment: map[string]string{"LOG_LEVEL": "DEBUG"}})
	got := invoke[struct{ Variables []string }](t, host, event{Do: "environment"})
	if !slices.Contains(got.Variables, "LOG_LEVEL=DEBUG") {
		t.Errorf("the next event does not have the updated variable: %v", got.Variables)
	}
	current := invoke[process](t, host, event{Do: "count"})
	close(g.open)
	retired := receive(t, former, "the answer of the running event")
	receive(t, child.left, "the end of the former environment")
	for range 3 {
		if now := invoke[process](t, host, event{Do: "count"}); now.PID != current.PID || now.PID == retired.PID {
			t.Errorf("process %d got the event, want process %d of the update and not the former process %d", now.PID,
				current.PID, retired.PID)
		}
	}
}

func TestFunctionContinuesWhenTheCallerStopsWaiting(t *testing.T) {
	// A step that continues after its caller stopped waiting can create an orphan.
	host := newHost(t, awslambda.Options{Concurrency: 1})
	add(t, host, awslambda.Config{Name: "rotate", Timeout: 10 * time.Minute})
	g := newGate(t)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		_, _, err := host.Invoke(ctx, "rotate", event{Do: "wait", Value: g.url}.payload(t))
		result <- err
	}()
	receive(t, g.arrived, "the event")
	cancel()
	if err := receive(t, result, "the result of the caller"); err == nil {
		t.Error("the caller that stopped waiting got an answer")
	}
	// This event waits until the first event has ended.
	if _, err := host.InvokeEvent("rotate", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	close(g.open)
	waitIdle(t, host)
	reports := logged(host, "REPORT RequestId")
	if len(reports) != 2 || strings.Contains(reports[0].Text, "Status:") || reports[0].Stream != reports[1].Stream {
		t.Errorf("got the REPORT lines %q, want two of the same environment without a failure", texts(reports))
	}
}

func TestCloseEndsProcessesAndRemovesFiles(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	host := start(t, awslambda.Config{Timeout: 10 * time.Minute})
	child, running := newGate(t), newGate(t)
	invoke[string](t, host, event{Do: "child", Value: child.url})
	receive(t, child.arrived, "a child process of an idle environment")
	ended := make(chan error, 1)
	go func() {
		_, _, err := host.Invoke(context.Background(), "rotate", event{Do: "wait", Value: running.url}.payload(t))
		ended <- err
	}()
	receive(t, running.arrived, "a running event")

	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, ended, "the end of the running invocation"); err == nil {
		t.Error("the running invocation got an answer, want an error")
	}
	receive(t, running.left, "the end of its process")
	receive(t, child.left, "the end of the child process")
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("got the files %v (%v), want none", left, err)
	}
	if _, _, err := host.Invoke(context.Background(), "rotate", nil); err == nil {
		t.Error("a closed host accepts events")
	}
}

func TestEveryLineIsLoggedInOrder(t *testing.T) {
	// Tests search the logs for keys, so no line may be missing. Each line has its request ID.
	var console bytes.Buffer
	host := newHost(t, awslambda.Options{Stderr: &console})
	add(t, host, awslambda.Config{Name: "rotate"})
	const size = 20000
	invoke[string](t, host, event{Do: "print", Size: size, Value: strings.Repeat("x", 60)})
	lines := host.Logs("rotate")
	if len(lines) != size+4 { // initializing, START, END, REPORT
		t.Fatalf("got %d log lines, want %d", len(lines), size+4)
	}
	if lines[0].Text != "initializing" || lines[0].RequestID != "" {
		t.Errorf("got the first line %+v, want initializing", lines[0])
	}
	id, stream := lines[1].RequestID, lines[0].Stream
	for i, line := range lines[2 : size+2] {
		if !strings.HasPrefix(line.Text, fmt.Sprintf("line %d ", i)) || line.RequestID != id || line.Stream != stream ||
			line.Time.IsZero() {
			t.Fatalf("line %d: got %+v", i, line)
		}
	}
	if got := texts(lines[size+2:]); got[0] != "END RequestId: "+id || !strings.HasPrefix(got[1], "REPORT RequestId: "+
		id) {
		t.Errorf("got the last lines %q, want END and REPORT", got)
	}
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(console.String(), "rotate | line "); n != size {
		t.Errorf("Stderr got %d lines of the function, want %d", n, size)
	}
}

func TestRuntimeAPIRefusesRequestsInTheWrongOrder(t *testing.T) {
	// An answer to another event, or to a former attempt of the event, must not be accepted.
	host := start(t, awslambda.Config{Environment: map[string]string{"BOOTSTRAP_START": "misuse the Runtime API"}})
	got := invoke[map[string]int](t, host, event{})
	want := map[string]int{"next before an answer": 403, "init error after init": 403, "answer of another event": 400,
		"answer of a former attempt": 400}
	if !maps.Equal(got, want) {
		t.Errorf("got the statuses %v, want %v", got, want)
	}
	if len(logged(host, "answer 202")) != 1 || len(logged(host, "second answer 403")) != 1 {
		t.Errorf("got the log %q, want a first answer with 202 and a second with 403", texts(host.Logs("rotate")))
	}
}

var arm64 = flag.Bool("arm64", false,
	"compile for another architecture, which takes a minute with an empty build cache")

func TestForeignArchitectureRunsWithQemu(t *testing.T) {
	// Without qemu, the error says what to install. This makes it possible to run the deployable
	// arm64 function on an amd64 machine, and the other way round.
	foreign, emulator := "arm64", "qemu-aarch64"
	if goarch() == "arm64" {
		foreign, emulator = "amd64", "qemu-x86_64"
	}
	host := newHost(t, awslambda.Options{})
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, elfHeader(t, foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Run("without qemu", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := host.Add(awslambda.Config{Name: "rotate", Bootstrap: path})
		if err == nil || !strings.Contains(err.Error(), "built for "+foreign) || !strings.Contains(err.Error(),
			"install qemu-user") {
			t.Errorf("got the error %v, want one that says what to install", err)
		}
	})
	t.Run("with qemu", func(t *testing.T) {
		if !*arm64 {
			t.Skip("SKIPPED: a function of another architecture: run make arm64")
		}
		if _, err := exec.LookPath(emulator); err != nil {
			t.Skipf("SKIPPED: a function of another architecture: %s is not installed", emulator)
		}
		build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", path, "./testdata/bootstrap")
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+foreign)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		add(t, host, awslambda.Config{Name: "rotate", Bootstrap: path, Timeout: 10 * time.Minute})
		if got := invoke[process](t, host, event{Do: "count"}); got.Invocations != 1 {
			t.Errorf("got %+v, want one invocation", got)
		}
	})
}

func TestAddRefusesWhatTheServiceRefuses(t *testing.T) {
	host := newHost(t, awslambda.Options{})
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("not a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	tooMany := 3
	for name, test := range map[string]struct {
		config awslambda.Config
		want   string
	}{
		"no name":           {awslambda.Config{Bootstrap: bootstrap}, "function name"},
		"no code":           {awslambda.Config{Name: "rotate"}, "bootstrap or a handler"},
		"missing bootstrap": {awslambda.Config{Name: "rotate", Bootstrap: plain + "-not"}, "no such file"},
		"not executable":    {awslambda.Config{Name: "rotate", Bootstrap: plain}, "mode to 0755"},
		"timeout too long":  {awslambda.Config{Name: "rotate", Bootstrap: bootstrap, Timeout: time.Hour}, "timeout"},
		"too little memory": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap, MemoryMB: 64}, "memory size"},
		"too many retries": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap, MaximumRetryAttempts: &tooMany},
			"retry attempts"},
		"reserved variable": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap,
			Environment: map[string]string{"AWS_REGION": "x"}}, "AWS_REGION"},
		"invalid variable": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap,
			Environment: map[string]string{"A-B": "x"}}, "A-B"},
	} {
		if _, err := host.Add(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got the error %v, want one that contains %q", name, err, test.want)
		}
	}
}

func TestProgramThatCannotRunFailsTheInvocation(t *testing.T) {
	// It is a failure of the function and not of the sandbox.
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte("neither a program nor a script\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	host := start(t, awslambda.Config{Bootstrap: path})
	if got := invokeFailing(t, host, event{}); got.ErrorType != "Runtime.InvalidEntrypoint" {
		t.Errorf("got the error %+v, want Runtime.InvalidEntrypoint", got)
	}
}
