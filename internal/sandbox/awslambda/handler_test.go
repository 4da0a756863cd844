package awslambda_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"quilt-rotate/internal/sandbox/awslambda"
)

type keyRefused struct{}

func (keyRefused) Error() string { return "key was refused" }

func handlerOf(f func(context.Context, event) (any, error)) awslambda.Config {
	return awslambda.Config{Handler: lambda.NewHandler(f)}
}

func TestHandlerAnswersAsAProcessDoes(t *testing.T) {
	// Protects the equivalence that lets most tests do without a process.
	host := start(t, handlerOf(func(ctx context.Context, e event) (any, error) {
		switch e.Do {
		case "fail":
			return nil, keyRefused{}
		case "wrapped":
			return nil, errors.New("plain")
		case "panic":
			panic(e.Value)
		case "exit":
			runtime.Goexit()
		case "big":
			return strings.Repeat("x", e.Size), nil
		}
		lc, _ := lambdacontext.FromContext(ctx)
		return lc.InvokedFunctionArn, nil
	}))
	if got := invoke[string](t, host, event{}); got != "arn:aws:lambda:eu-central-1:123456789012:function:rotate" {
		t.Errorf("function ARN %s", got)
	}
	for e, want := range map[event]report{
		{Do: "fail"}:                 {ErrorType: "keyRefused", ErrorMessage: "key was refused"},
		{Do: "wrapped"}:              {ErrorType: "errorString", ErrorMessage: "plain"},
		{Do: "panic", Value: "boom"}: {ErrorType: "string", ErrorMessage: "boom"},
		{Do: "exit"}: {ErrorType: "Runtime.ExitError",
			ErrorMessage: "Error: Runtime exited without providing a reason"},
		{Do: "big", Size: 6291556 - 1}: {ErrorType: "Function.ResponseSizeTooLarge", ErrorMessage: "(6291556 bytes)."},
	} {
		got := invokeFailing(t, host, e)
		if got.ErrorType != want.ErrorType || !strings.HasSuffix(got.ErrorMessage, want.ErrorMessage) ||
			(len(got.StackTrace) > 0) != (e.Do == "panic") {
			t.Errorf("%s: the caller reads %+v, want %+v", e.Do, got, want)
		}
	}
	if starts, ends := len(logged(host, "START RequestId")), len(logged(host, "REPORT RequestId")); starts != 6 ||
		ends != 6 {
		t.Errorf("%d START and %d REPORT lines of 6 invocations", starts, ends)
	}
}

func TestHandlersContextEndsAtTheDeadline(t *testing.T) {
	// Protects the deadline in tests: what a handler returns at its end comes too late, as a
	// process is killed by then.
	stopped := make(chan error, 1)
	config := handlerOf(func(ctx context.Context, _ event) (any, error) {
		<-ctx.Done()
		stopped <- ctx.Err()
		return "too late", nil
	})
	config.Timeout = 50 * time.Millisecond
	host := start(t, config)
	if got := invokeFailing(t, host, event{}); got.ErrorType != "Sandbox.Timedout" ||
		!strings.HasSuffix(got.ErrorMessage, "Error: Task timed out after 0.05 seconds") {
		t.Errorf("the caller reads %+v", got)
	}
	if err := receive(t, stopped, "the handler's context ends"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the handler's context ended with %v", err)
	}
}

func TestHandlerThatIgnoresItsDeadlineHoldsUpNobody(t *testing.T) {
	// Protects tests from a handler that hangs: its caller hears of the time-out, and Close
	// returns.
	release := make(chan struct{})
	defer close(release)
	config := handlerOf(func(context.Context, event) (any, error) {
		<-release
		return nil, nil
	})
	config.Timeout = 50 * time.Millisecond
	host := start(t, config)
	if got := invokeFailing(t, host, event{}); got.ErrorType != "Sandbox.Timedout" {
		t.Errorf("the caller reads %+v", got)
	}
	if err := host.Close(); err != nil {
		t.Error(err)
	}
}
