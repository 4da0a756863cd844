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

func TestInvocationHasItsContext(t *testing.T) {
	// Protects what the functions read of an invocation: request ID, ARN, deadline, trace.
	host := start(t, awslambda.Config{Timeout: 10 * time.Minute})
	got := invoke[struct {
		RequestID, ARN, Trace string
		Remaining             float64
	}](t, host, event{Do: "context"})
	if want := "arn:aws:lambda:eu-central-1:123456789012:function:rotate"; got.ARN != want {
		t.Errorf("function ARN %s, want %s", got.ARN, want)
	}
	if begin := logged(host, "START RequestId: "+got.RequestID); len(begin) != 1 {
		t.Errorf("the log has %d START lines of request %q", len(begin), got.RequestID)
	}
	if got.Remaining <= 0 || got.Remaining > 600 {
		t.Errorf("%.1f s remain of a time-out of 10 minutes", got.Remaining)
	}
	if !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(got.Trace) {
		t.Errorf("trace header %q", got.Trace)
	}
}

func TestEnvironmentHasTheServicesVariablesAndNoOther(t *testing.T) {
	// Protects the runs from this machine's environment, which the service does not have.
	t.Setenv("PARENT_ONLY", "must not arrive")
	t.Setenv("AWS_PROFILE", "must not arrive either")
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
		t.Errorf("working directory %s, want the task root %s", got.Directory, root)
	}
	if variables["HOME"] == os.Getenv("HOME") || variables["TMPDIR"] != variables["HOME"] {
		t.Errorf("HOME %s and TMPDIR %s: want one folder that belongs to the environment", variables["HOME"],
			variables["TMPDIR"])
	}
	if !regexp.MustCompile(`^127\.0\.0\.1:\d+$`).MatchString(variables["AWS_LAMBDA_RUNTIME_API"]) {
		t.Errorf("the Runtime API is at %q", variables["AWS_LAMBDA_RUNTIME_API"])
	}
	if !regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`).MatchString(
		variables["AWS_LAMBDA_LOG_STREAM_NAME"]) {
		t.Errorf("log stream %q", variables["AWS_LAMBDA_LOG_STREAM_NAME"])
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
		t.Errorf("the environment is\n%v\nwant\n%v", variables, want)
	}
	host.Recycle("rotate")
	if _, err := os.Stat(temporary); !os.IsNotExist(err) {
		t.Errorf("the environment's folder is still there after it: %v", err)
	}
}

func TestTypedErrorReachesTheCallerAndTheEnvironmentStaysWarm(t *testing.T) {
	// Protects the error types, which are an operations API, and warm reuse after a handled error.
	host := start(t, awslambda.Config{})
	former := invoke[process](t, host, event{Do: "count"})
	if got := invokeFailing(t, host, event{Do: "fail", Value: "k1"}); got.ErrorType != "KeyRefused" ||
		got.ErrorMessage != "key k1 was refused" {
		t.Errorf("the caller reads %+v", got)
	}
	if now := invoke[process](t, host, event{Do: "count"}); now.PID != former.PID || now.Invocations != 3 {
		t.Errorf("process %d has %d invocations, want process %d with 3", now.PID, now.Invocations, former.PID)
	}
}

func TestPanicIsReportedAndTheNextEventGetsAFreshProcess(t *testing.T) {
	// Protects against losing an event to a process that posts its panic first and exits only then.
	host := start(t, awslambda.Config{})
	for range 5 {
		former := invoke[process](t, host, event{Do: "count"})
		got := invokeFailing(t, host, event{Do: "panic", Value: "nil map"})
		if got.ErrorType != "string" || got.ErrorMessage != "nil map" || len(got.StackTrace) == 0 {
			t.Errorf("the caller reads %+v", got)
		}
		recovers(t, host, former.PID)
		host.Recycle("rotate")
	}
	if reports := logged(host, "\tStatus: error\tError Type: Runtime.ExitError"); len(reports) != 5 {
		t.Errorf("%d REPORT lines tell of the exit, want 5", len(reports))
	}
}

func TestExitFailsTheInvocation(t *testing.T) {
	// Protects a crash inside a step: the caller hears of it, the last output is kept, the next
	// event works.
	for status, want := range map[int]string{2: "Error: Runtime exited with error: exit status 2",
		0: "Error: Runtime exited without providing a reason"} {
		host := start(t, awslambda.Config{})
		former := invoke[process](t, host, event{Do: "count"})
		got := invokeFailing(t, host, event{Do: "exit", Size: status})
		if got.ErrorType != "Runtime.ExitError" || !regexp.MustCompile(`^RequestId: [0-9a-f-]{36} `+want+
			`$`).MatchString(got.ErrorMessage) {
			t.Errorf("exit status %d: the caller reads %+v", status, got)
		}
		if lines := logged(host, "last words without a line's end"); len(lines) != 1 ||
			!strings.Contains(got.ErrorMessage, lines[0].RequestID) {
			t.Errorf("exit status %d: the last words are logged as %+v", status, lines)
		}
		recovers(t, host, former.PID)
	}
}

func TestTimeoutKillsTheProcessAndItsChildren(t *testing.T) {
	// Protects the deadline: nothing that the function started may act after its caller was told of
	// the time-out.
	host := start(t, awslambda.Config{Timeout: 500 * time.Millisecond})
	timeout := make(chan struct{})
	host.LimitBy(timeout)
	former := invoke[process](t, host, event{Do: "count"})
	child := newGate(t)
	go func() {
		<-child.met
		close(timeout)
	}()
	got := invokeFailing(t, host, event{Do: "sleep", Value: child.url})
	if got.ErrorType != "Sandbox.Timedout" ||
		!regexp.MustCompile(`^RequestId: [0-9a-f-]{36} Error: Task timed out after 0\.50 seconds$`).MatchString(
			got.ErrorMessage) {
		t.Errorf("the caller reads %+v", got)
	}
	receive(t, child.left, "the function's child is killed with it")
	host.LimitByTime()
	if len(logged(host, "asleep")) != 1 {
		t.Errorf("the output of the killed process is lost: %q", texts(host.Logs("rotate")))
	}
	if reports := logged(host, "\tStatus: timeout"); len(reports) != 1 {
		t.Errorf("%d REPORT lines tell of the time-out, want 1", len(reports))
	}
	add(t, host, awslambda.Config{Name: "rotate", Timeout: time.Minute})
	recovers(t, host, former.PID)
}

func TestProcessThatIgnoresItsDeadlineIsKilledByTheClock(t *testing.T) {
	// Protects the deadline: without a test that says when, it is the configured time.
	host := start(t, awslambda.Config{Timeout: 50 * time.Millisecond})
	child := newGate(t)
	close(child.open)
	if got := invokeFailing(t, host, event{Do: "sleep", Value: child.url}); got.ErrorType != "Sandbox.Timedout" {
		t.Errorf("the caller reads %+v", got)
	}
}

func TestResponseMayHaveSixMegabytes(t *testing.T) {
	// Protects the service's limit: an answer that works here must work there.
	host := start(t, awslambda.Config{})
	const limit, quotes = 6291556, 2
	if got := invoke[string](t, host, event{Do: "big", Size: limit - quotes}); len(got) != limit-quotes {
		t.Errorf("got %d bytes of %d", len(got), limit-quotes)
	}
	got := invokeFailing(t, host, event{Do: "big", Size: limit - quotes + 1})
	if got.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("the caller reads %+v", got)
	}
	recovers(t, host, 0)
}

func TestFailedInitIsTriedOnceMoreAndThenReported(t *testing.T) {
	// Protects the refusal to start: the service runs Init again inside the invocation, then
	// answers with its failure.
	for start, want := range map[string]struct{ errorType, message, phases string }{
		"exit":   {"Runtime.ExitError", "Runtime exited with error: exit status 3", "Error Type: Runtime.ExitError"},
		"report": {"InvalidSettings", "GRACE_PERIOD is not a duration", "Error Type: InvalidSettings"},
		"hang":   {"Sandbox.Timedout", "Task timed out after 0.30 seconds", "Status: timeout"},
	} {
		t.Run(start, func(t *testing.T) {
			initializing := make(eachInit, 2)
			host := newHost(t, awslambda.Options{Stderr: initializing})
			if start == "hang" { // until its first line is logged
				host.LimitBy(initializing)
			}
			add(t, host, awslambda.Config{Name: "rotate", Timeout: 300 * time.Millisecond,
				Environment: map[string]string{"BOOTSTRAP_START": start}})
			got := invokeFailing(t, host, event{})
			if got.ErrorType != want.errorType || !strings.HasSuffix(got.ErrorMessage, want.message) {
				t.Errorf("the caller reads %+v, want %+v", got, want)
			}
			if n := len(logged(host, "initializing")); n != 2 {
				t.Errorf("the process started %d times, want 2", n)
			}
			for _, phase := range []string{"init", "invoke"} {
				if lines := logged(host, "\tPhase: "+phase+"\t"); len(lines) != 1 || !strings.Contains(lines[0].Text,
					want.phases) {
					t.Errorf("the log tells of phase %s: %q", phase, texts(lines))
				}
			}
			if n := len(logged(host, "reported 202")); start == "report" && n != 2 {
				t.Errorf("what the runtime wrote after its report was logged %d times, want 2", n)
			}
			host.LimitByTime()
			add(t, host, awslambda.Config{Name: "rotate"})
			recovers(t, host, 0)
		})
	}
}

// eachInit gets one for each process that logs that it is initializing.
type eachInit chan struct{}

func (e eachInit) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("initializing")) {
		select {
		case e <- struct{}{}:
		default: // no test waits for more
		}
	}
	return len(line), nil
}

func TestInitThatFailsOnceIsNotSeenByTheCaller(t *testing.T) {
	// Protects the same second try: a start that works then serves the event.
	marker := filepath.Join(t.TempDir(), "failed")
	host := start(t, awslambda.Config{Environment: map[string]string{"BOOTSTRAP_START": "fail once",
		"BOOTSTRAP_MARKER": marker}})
	if got := invoke[process](t, host, event{Do: "count"}); got.Invocations != 1 {
		t.Errorf("got %+v", got)
	}
	if report := logged(host, "REPORT RequestId"); len(report) != 1 || strings.Contains(report[0].Text,
		"Init Duration") {
		t.Errorf("the service counts a second Init as the invocation's: %q", texts(report))
	}
}

func TestColdAndWarmStarts(t *testing.T) {
	// Protects what the cold starts are measured by: Init Duration stands in the first REPORT of
	// each environment only.
	host := start(t, awslambda.Config{})
	cold := invoke[process](t, host, event{Do: "count"})
	warm := invoke[process](t, host, event{Do: "count"})
	host.Recycle("rotate")
	again := invoke[process](t, host, event{Do: "count"})
	if warm != (process{2, cold.PID}) || again.Invocations != 1 || again.PID == cold.PID {
		t.Errorf("cold %+v, warm %+v, recycled %+v", cold, warm, again)
	}
	form := regexp.MustCompile(
		`^REPORT RequestId: [0-9a-f-]{36}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB(\tMax Memory Used: [1-9]\d* MB)?(\tInit Duration: \d+\.\d\d ms)?$`)
	var inits []bool
	for _, line := range logged(host, "REPORT RequestId") {
		if !form.MatchString(line.Text) {
			t.Errorf("REPORT line %q", line.Text)
		}
		inits = append(inits, strings.Contains(line.Text, "\tInit Duration: "))
	}
	if !slices.Equal(inits, []bool{true, false, true}) {
		t.Errorf("Init Duration in the three REPORT lines: %v", inits)
	}
}

func TestProcessThatDiesWhileIdleTakesNoEventWithIt(t *testing.T) {
	// Protects the next event from a process that ended between two.
	host := start(t, awslambda.Config{})
	g := newGate(t)
	invoke[string](t, host, event{Do: "exit when idle", Value: g.url})
	receive(t, g.met, "the process waits to exit")
	former := invoke[process](t, host, event{Do: "count"})
	close(g.open)
	receive(t, g.left, "the process exits")
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		answer, functionError, err := host.Invoke(context.Background(), "rotate", event{Do: "count"}.payload(t))
		switch {
		case err != nil:
			t.Fatal(err)
		case functionError != "": // the exit met an event: that one crashed, as it would in the service
		case decode[process](t, answer).PID != former.PID:
			return
		}
	}
	t.Error("no event got a fresh process")
}

func TestConcurrentEventsHaveAnEnvironmentEach(t *testing.T) {
	// Protects against state of one invocation in another that runs at the same time.
	host := start(t, awslambda.Config{Timeout: 10 * time.Minute})
	g := newGate(t)
	answers := make(chan process, 3)
	for range 3 {
		go func() { answers <- invoke[process](t, host, event{Do: "meet", Value: g.url}) }()
	}
	for range 3 {
		receive(t, g.met, "three events at once")
	}
	close(g.open)
	processes := map[int]bool{}
	for range 3 {
		processes[receive(t, answers, "answer").PID] = true
	}
	if len(processes) != 3 {
		t.Errorf("three events at once ran in %d processes", len(processes))
	}
	if now := invoke[process](t, host, event{Do: "count"}); !processes[now.PID] {
		t.Errorf("process %d is none of the warm ones", now.PID)
	}
}

func TestThrottledCallerIsRefusedAndAnEventWaits(t *testing.T) {
	// Protects the limit that Secrets Manager's own documentation warns of: a caller gets 429, an
	// event is kept.
	host := newHost(t, awslambda.Options{Concurrency: 1})
	add(t, host, awslambda.Config{Name: "rotate", Timeout: 10 * time.Minute})
	g := newGate(t)
	done := make(chan process, 1)
	go func() { done <- invoke[process](t, host, event{Do: "meet", Value: g.url}) }()
	receive(t, g.met, "the first event")

	response, body := call(t, host, "POST", "/2015-03-31/functions/rotate/invocations", "{}")
	refusal := decode[map[string]string](t, body)
	if response.StatusCode != 429 || response.Header.Get("X-Amzn-Errortype") != "TooManyRequestsException" ||
		refusal["Reason"] != "ConcurrentInvocationLimitExceeded" {
		t.Errorf("the second caller got %s %v %s", response.Status, response.Header, body)
	}
	if _, err := host.InvokeEvent("rotate", event{Do: "print", Size: 1, Value: "kept"}.payload(t)); err != nil {
		t.Fatal(err)
	}
	if lines := logged(host, "kept"); len(lines) != 0 {
		t.Errorf("the event ran beyond the limit")
	}
	close(g.open)
	receive(t, done, "the first answer")
	idle(t, host)
	if len(logged(host, "line 0 kept")) != 1 {
		t.Errorf("the event that waited never ran: %q", texts(host.Logs("rotate")))
	}
}

func TestUpdateReplacesTheEnvironmentsAfterTheirEvent(t *testing.T) {
	// Protects a deployment during a rotation: the step under way is finished by the code that
	// began it.
	host := start(t, awslambda.Config{Timeout: 10 * time.Minute, Environment: map[string]string{"LOG_LEVEL": "INFO"}})
	child, g := newGate(t), newGate(t)
	invoke[string](t, host, event{Do: "child", Value: child.url})
	receive(t, child.met, "a child of the environment")
	former := make(chan process, 1)
	go func() { former <- invoke[process](t, host, event{Do: "meet", Value: g.url}) }()
	receive(t, g.met, "the event under way")

	add(t, host, awslambda.Config{Name: "rotate", Environment: map[string]string{"LOG_LEVEL": "DEBUG"}})
	got := invoke[struct{ Variables []string }](t, host, event{Do: "environment"})
	if !slices.Contains(got.Variables, "LOG_LEVEL=DEBUG") {
		t.Errorf("the update did not reach the next event: %v", got.Variables)
	}
	current := invoke[process](t, host, event{Do: "count"})
	close(g.open)
	retired := receive(t, former, "the answer of the event under way")
	receive(t, child.left, "the former environment is killed")
	for range 3 {
		if now := invoke[process](t, host, event{Do: "count"}); now.PID != current.PID || now.PID == retired.PID {
			t.Errorf("process %d took an event; the update's is %d, the former %d", now.PID, current.PID, retired.PID)
		}
	}
}

func TestCallerThatHangsUpDoesNotStopTheFunction(t *testing.T) {
	// Protects the case that makes orphans: the caller gave up, and the step goes on.
	host := newHost(t, awslambda.Options{Concurrency: 1})
	add(t, host, awslambda.Config{Name: "rotate", Timeout: 10 * time.Minute})
	g := newGate(t)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		_, _, err := host.Invoke(ctx, "rotate", event{Do: "meet", Value: g.url}.payload(t))
		result <- err
	}()
	receive(t, g.met, "the event")
	cancel()
	if err := receive(t, result, "the caller's answer"); err == nil {
		t.Error("the caller that hung up got an answer")
	}
	// waits for the place that the first still holds
	if _, err := host.InvokeEvent("rotate", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	close(g.open)
	idle(t, host)
	reports := logged(host, "REPORT RequestId")
	if len(reports) != 2 || strings.Contains(reports[0].Text, "Status:") || reports[0].Stream != reports[1].Stream {
		t.Errorf("the function did not go on undisturbed: %q", texts(reports))
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	// Protects the machine: no process, child or file outlives the host.
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	host := start(t, awslambda.Config{Timeout: 10 * time.Minute})
	child, running := newGate(t), newGate(t)
	invoke[string](t, host, event{Do: "child", Value: child.url})
	receive(t, child.met, "a child of an idle environment")
	ended := make(chan error, 1)
	go func() {
		_, _, err := host.Invoke(context.Background(), "rotate", event{Do: "meet", Value: running.url}.payload(t))
		ended <- err
	}()
	receive(t, running.met, "an event under way")

	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, ended, "the invocation under way ends"); err == nil {
		t.Error("the invocation under way had an answer")
	}
	receive(t, running.left, "its process is killed")
	receive(t, child.left, "the child is killed")
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("files are left behind: %v %v", left, err)
	}
	if _, _, err := host.Invoke(context.Background(), "rotate", nil); err == nil {
		t.Error("a closed host takes events")
	}
}

func TestEveryLineIsLoggedInOrder(t *testing.T) {
	// Protects the logs, which tests search for keys and operators read: nothing lost, credited to
	// its request.
	var console bytes.Buffer
	host := newHost(t, awslambda.Options{Stderr: &console})
	add(t, host, awslambda.Config{Name: "rotate"})
	const size = 20000
	invoke[string](t, host, event{Do: "print", Size: size, Value: strings.Repeat("x", 60)})
	lines := host.Logs("rotate")
	if len(lines) != size+4 { // initializing, START, END, REPORT
		t.Fatalf("%d lines are logged, want %d", len(lines), size+4)
	}
	if lines[0].Text != "initializing" || lines[0].RequestID != "" {
		t.Errorf("first line %+v", lines[0])
	}
	id, stream := lines[1].RequestID, lines[0].Stream
	for i, line := range lines[2 : size+2] {
		if !strings.HasPrefix(line.Text, fmt.Sprintf("line %d ", i)) || line.RequestID != id || line.Stream != stream ||
			line.Time.IsZero() {
			t.Fatalf("line %d is %+v", i, line)
		}
	}
	if got := texts(lines[size+2:]); got[0] != "END RequestId: "+id || !strings.HasPrefix(got[1], "REPORT RequestId: "+
		id) {
		t.Errorf("last lines %q", got)
	}
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(console.String(), "rotate | line "); n != size {
		t.Errorf("the copy has %d lines of the function, want %d", n, size)
	}
}

func TestRuntimeAPIRefusesWhatIsOutOfTurn(t *testing.T) {
	// Protects the protocol: an answer for another event, or for an earlier try of this one, must
	// not pass for it.
	host := start(t, awslambda.Config{Environment: map[string]string{"BOOTSTRAP_START": "by hand"}})
	got := invoke[map[string]int](t, host, event{})
	want := map[string]int{"next before an answer": 403, "init error after init": 403, "answer of another event": 400,
		"answer of an old try": 400}
	if !maps.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
	if len(logged(host, "answer 202")) != 1 || len(logged(host, "second answer 403")) != 1 {
		t.Errorf("the log is %q", texts(host.Logs("rotate")))
	}
}

var arm64 = flag.Bool("arm64", false,
	"compile for another architecture, which takes a minute with an empty build cache")

func TestForeignArchitectureRunsThroughQemuOrSaysWhatToDo(t *testing.T) {
	// Protects the demo of the deployable arm64 artifact on an amd64 machine, and the other way
	// round.
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
			t.Errorf("the error is %v", err)
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
			t.Errorf("got %+v", got)
		}
	})
}

func TestAddRefusesWhatTheServiceWould(t *testing.T) {
	// Protects the configurations: what is refused at a deployment must not pass here.
	host := newHost(t, awslambda.Options{})
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	tooMany := 3
	for name, test := range map[string]struct {
		config awslambda.Config
		says   string
	}{
		"no name":           {awslambda.Config{Bootstrap: bootstrap}, "function name"},
		"no code":           {awslambda.Config{Name: "rotate"}, "bootstrap or a handler"},
		"missing bootstrap": {awslambda.Config{Name: "rotate", Bootstrap: plain + "-not"}, "no such file"},
		"no executable":     {awslambda.Config{Name: "rotate", Bootstrap: plain}, "mode to 0755"},
		"time-out too long": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap, Timeout: time.Hour}, "timeout"},
		"too little memory": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap, MemoryMB: 64}, "memory size"},
		"too many retries": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap, MaximumRetryAttempts: &tooMany},
			"retry attempts"},
		"reserved variable": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap,
			Environment: map[string]string{"AWS_REGION": "x"}}, "AWS_REGION"},
		"impossible variable": {awslambda.Config{Name: "rotate", Bootstrap: bootstrap,
			Environment: map[string]string{"A-B": "x"}}, "A-B"},
	} {
		if _, err := host.Add(test.config); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: the error is %v, want one that says %q", name, err, test.says)
		}
	}
}

func TestProgramThatCannotRunFailsTheInvocation(t *testing.T) {
	// Protects the caller from an answer that looks like the sandbox's own fault.
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte("neither a program nor a script\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	host := start(t, awslambda.Config{Bootstrap: path})
	if got := invokeFailing(t, host, event{}); got.ErrorType != "Runtime.InvalidEntrypoint" {
		t.Errorf("the caller reads %+v", got)
	}
}
