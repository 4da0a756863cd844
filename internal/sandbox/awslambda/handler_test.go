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
	// Most tests use a handler instead of a process, because it is faster.
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
		t.Errorf("got the function ARN %s", got)
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
			t.Errorf("%s: got the error %+v, want %+v", e.Do, got, want)
		}
	}
	if starts, ends := len(logged(host, "START RequestId")), len(logged(host, "REPORT RequestId")); starts != 6 ||
		ends != 6 {
		t.Errorf("got %d START and %d REPORT lines, want 6 of each", starts, ends)
	}
}

func TestContextOfAHandlerEndsAtTheDeadline(t *testing.T) {
	// An answer after the deadline is ignored, because a process would have been killed.
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
		t.Errorf("got the error %+v, want a timeout", got)
	}
	if err := receive(t, stopped, "the end of the handler's context"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the handler's context ended with %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestHandlerThatIgnoresItsDeadlineBlocksNothing(t *testing.T) {
	// The caller gets the timeout, and Close returns.
	release := make(chan struct{})
	defer close(release)
	config := handlerOf(func(context.Context, event) (any, error) {
		<-release
		return nil, nil
	})
	config.Timeout = 50 * time.Millisecond
	host := start(t, config)
	if got := invokeFailing(t, host, event{}); got.ErrorType != "Sandbox.Timedout" {
		t.Errorf("got the error %+v, want a timeout", got)
	}
	if err := host.Close(); err != nil {
		t.Error(err)
	}
}
