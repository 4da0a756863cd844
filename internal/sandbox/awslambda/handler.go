package awslambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// runHandler runs an invocation in this process. A handler cannot be killed at its deadline. Its
// context ends, the caller gets the timeout, and a later result of the handler is ignored.
func (h *Host) runHandler(inv *invocation) outcome {
	inv.begin("")
	ctx, cancel := context.WithDeadline(h.ctx, inv.deadline)
	defer cancel()
	ctx = lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: inv.requestID,
		InvokedFunctionArn: inv.deployment.arn})

	type result struct {
		reply  reply
		failed *failure
	}
	done := make(chan result, 1)
	go func() {
		r := result{failed: &failure{kind: "Runtime.ExitError", message: "Runtime exited without providing a reason"}}
		defer func() {
			if value := recover(); value != nil {
				r = result{reply: panicReply(value)}
			}
			done <- r
		}()
		answer, err := inv.deployment.config.Handler.Invoke(ctx, inv.payload)
		r = result{reply: handlerReply(answer, err)}
	}()

	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
	}
	switch { // the deadline comes first, because a process would have been killed
	case h.ctx.Err() != nil:
		return outcome{err: errClosed}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return inv.failed(inv.deployment.timeout())
	case r.failed != nil:
		return inv.failed(r.failed)
	}
	return inv.answered(r.reply, nil)
}

func handlerReply(answer []byte, err error) reply {
	switch {
	case err != nil:
		return errorReply(messages.InvokeResponse_Error{Message: err.Error(), Type: typeName(err)}, err)
	case len(answer) > maxResponse:
		return reply{body: responseTooLarge(), failed: true}
	}
	return reply{body: answer}
}

func panicReply(value any) reply {
	report := messages.InvokeResponse_Error{Message: fmt.Sprint(value), Type: typeName(value)}
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		frame, more := frames.Next()
		report.StackTrace = append(report.StackTrace, &messages.InvokeResponse_Error_StackFrame{Path: frame.File,
			Line: int32(frame.Line), Label: frame.Function})
		if !more {
			return errorReply(report, value)
		}
	}
}

// errorReply returns the error report of aws-lambda-go. If the cause is already such a report, it
// is not changed.
func errorReply(report messages.InvokeResponse_Error, cause any) reply {
	if own, ok := cause.(messages.InvokeResponse_Error); ok {
		report = own
	}
	body, err := json.Marshal(report)
	if err != nil {
		panic(err) // strings and numbers can always be encoded
	}
	return reply{body: body, failed: true}
}

// typeName returns the error type that aws-lambda-go reports: the name of the Go type without its
// package.
func typeName(value any) string {
	t := reflect.TypeOf(value)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}
