package awslambda

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// reservedVariables are the variables that the service sets and a function's configuration cannot
// set (Developer Guide, "Defined runtime environment variables").
var reservedVariables = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_MAX_CONCURRENCY",
	"AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_METADATA_TOKEN",
}

// An environment is an execution environment of a function: a process with its Runtime API and its
// /tmp. It processes one event at a time.
type environment struct {
	deployment *deployment
	stream     string // its log stream
	directory  string // its /tmp
	api        *runtimeAPI
	output     *output
	command    *exec.Cmd
	initTime   time.Duration

	// exited is closed when the process has ended, its output has been read, and its files have
	// been removed.
	exited chan struct{}
}

// launch starts an environment and waits until it requests its first event, but at most for limit.
// It returns a failure of the function as failure, and a failure of the sandbox as error.
func (h *Host) launch(d *deployment, phase string, limit time.Duration) (*environment, *failure, error) {
	env, err := h.prepare(d)
	if err != nil {
		return nil, nil, fmt.Errorf("create an environment of the function %s: %w", d.config.Name, err)
	}
	ctx, cancel := h.withTimeout(h.ctx, limit)
	defer cancel()
	began := time.Now()
	failed := env.initialize(ctx)
	env.initTime = time.Since(began)
	if failed == nil {
		return env, nil, nil
	}
	env.close()
	if h.ctx.Err() != nil {
		return nil, nil, errClosed
	}
	d.journal.add(env.stream, "", fmt.Sprintf("INIT_REPORT Init Duration: %s\tPhase: %s\t%s",
		milliseconds(env.initTime), phase, failed.status()))
	return nil, failed, nil
}

// prepare creates an environment without starting its process.
func (h *Host) prepare(d *deployment) (*environment, error) {
	env := &environment{
		deployment: d,
		stream: fmt.Sprintf("%s/[%s]%s", time.Now().UTC().Format("2006/01/02"), version,
			strings.ReplaceAll(newID(), "-", "")),
		exited: make(chan struct{}),
	}
	var err error
	if env.directory, err = os.MkdirTemp(h.directory, d.config.Name+"-"); err != nil {
		return nil, err
	}
	if env.api, err = newRuntimeAPI(); err != nil {
		return nil, err
	}
	emit := func(requestID, text string) { d.journal.add(env.stream, requestID, text) }
	if env.output, err = newOutput(emit); err != nil {
		env.api.close()
		return nil, err
	}
	env.command = exec.Command(d.executable.command[0], d.executable.command[1:]...)
	env.command.Dir = filepath.Dir(d.executable.path)
	env.command.Env = env.variables(h.options.Region)
	env.command.Stdout, env.command.Stderr = env.output.writer, env.output.writer
	isolate(env.command)
	return env, nil
}

// initialize starts the process and waits for its first request for an event.
func (e *environment) initialize(ctx context.Context) *failure {
	if err := startIsolated(e.command); err != nil {
		e.cleanUp()
		return &failure{kind: "Runtime.InvalidEntrypoint", message: err.Error()}
	}
	go e.reap()
	select {
	case <-e.api.ready:
		return nil
	case report := <-e.api.initErr:
		select { // the process should exit by itself, so that its last output is in the log
		case <-e.exited:
		case <-ctx.Done():
		}
		return report.initFailure()
	case <-e.exited:
		select {
		case report := <-e.api.initErr: // an error that the process reported before it ended is more precise
			return report.initFailure()
		default:
			return e.exitFailure()
		}
	case <-ctx.Done():
		return e.deployment.timeout()
	}
}

// variables returns all environment variables of the process. The function's configuration can
// override the variables that the service does not reserve.
func (e *environment) variables(region string) []string {
	c := e.deployment.config
	variables := map[string]string{
		"LANG": "en_US.UTF-8",
		"PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"TZ":   ":UTC",
		// The service sets neither variable. On the service, each environment has its own /tmp, and
		// no home folder with a ~/.aws.
		"HOME":   e.directory,
		"TMPDIR": e.directory,
	}
	maps.Copy(variables, c.Environment)
	maps.Copy(variables, map[string]string{
		"_HANDLER":                        "bootstrap",
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_ACCESS_KEY_ID":               "ASIASANDBOXSANDBOX00",
		"AWS_SECRET_ACCESS_KEY":           "sandbox-secret-access-key",
		"AWS_SESSION_TOKEN":               "sandbox-session-token",
		"AWS_LAMBDA_FUNCTION_NAME":        c.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(c.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + c.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      e.stream,
		"AWS_LAMBDA_RUNTIME_API":          e.api.address(),
		"LAMBDA_TASK_ROOT":                e.command.Dir,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
	})
	list := make([]string, 0, len(variables))
	for name, value := range variables {
		list = append(list, name+"="+value)
	}
	return list
}

// serve sends an event to the environment and waits for the end of the invocation. taken is false
// if the process ended before it got the event. The caller must then use another environment.
func (e *environment) serve(ctx context.Context, inv *invocation, withTimeout limiter) (out outcome, taken bool) {
	e.output.setRequestID(inv.requestID)
	inv.begin(e.stream)
	limited, cancel := withTimeout(context.Background(), time.Until(inv.deadline))
	defer cancel()

	sent := inv.event()
	select {
	case e.api.events <- sent:
		if err := <-sent.delivered; err != nil {
			return outcome{}, false
		}
	case <-e.exited:
		return outcome{}, false
	case <-limited.Done():
		e.close()
		return inv.failed(e.deployment.timeout()), true
	case <-ctx.Done():
		e.close()
		return outcome{err: errClosed}, true
	}
	out = e.await(ctx, inv, limited.Done())
	e.output.setRequestID("")
	return out, true
}

// await waits until the runtime requests its next event, exits, or reaches the deadline. A reply
// that the runtime sent before it exited is the answer: a Go runtime reports a panic and then
// exits.
func (e *environment) await(ctx context.Context, inv *invocation, deadline <-chan struct{}) outcome {
	var failed *failure
	select {
	case <-e.api.ready:
		inv.peakMemory = peakMemory(e.command.Process.Pid)
		e.output.sync()
	case <-e.exited:
		failed = e.exitFailure()
	case <-deadline:
		inv.peakMemory = peakMemory(e.command.Process.Pid)
		e.close()
		failed = e.deployment.timeout()
	case <-ctx.Done():
		e.close()
		return outcome{err: errClosed}
	}
	select {
	case r := <-e.api.replies:
		return inv.answered(r, failed)
	default:
		return inv.failed(failed) // not nil, because a runtime that is ready has sent a reply
	}
}

// running reports whether the process has not ended.
func (e *environment) running() bool {
	select {
	case <-e.exited:
		return false
	default:
		return true
	}
}

// close kills the process and waits until its files have been removed.
func (e *environment) close() {
	if e.running() {
		_ = e.command.Process.Kill() // does nothing if the process has just ended
	}
	<-e.exited
}

func closeAll(environments []*environment) {
	for _, e := range environments {
		e.close()
	}
}

// reap waits for the end of the process, and then kills its children and removes its files.
func (e *environment) reap() {
	_ = e.command.Wait() // the result is in ProcessState
	// This kills the children. The kernel does not reuse the number of a process group that has
	// members.
	_ = syscall.Kill(-e.command.Process.Pid, syscall.SIGKILL)
	e.cleanUp()
}

func (e *environment) cleanUp() {
	e.output.finish()
	e.api.close()
	_ = os.RemoveAll(e.directory)
	close(e.exited)
}

func (e *environment) exitFailure() *failure {
	state := e.command.ProcessState
	if state.Success() {
		return &failure{kind: "Runtime.ExitError", message: "Runtime exited without providing a reason"}
	}
	return &failure{kind: "Runtime.ExitError", message: "Runtime exited with error: " + state.String()}
}

func (d *deployment) timeout() *failure {
	return &failure{kind: "Sandbox.Timedout", message: fmt.Sprintf("Task timed out after %.2f seconds",
		d.config.Timeout.Seconds()), timedOut: true}
}

// initFailure returns the failure that a runtime reported during initialization. The caller gets
// the body of the report. The log gets the error type, from the header or otherwise from the body.
func (r reply) initFailure() *failure {
	var document struct {
		Type string `json:"errorType"`
	}
	if err := json.Unmarshal(r.body, &document); err != nil {
		return &failure{kind: "Runtime.Unknown", message: "Runtime failed to start"}
	}
	return &failure{kind: cmp.Or(r.errorType, document.Type, "Runtime.Unknown"), report: r.body}
}
