// Command bootstrap is the function of the tests. The event selects what it does. The variable
// BOOTSTRAP_START selects how it starts.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type Event struct {
	Do    string
	Value string
	Size  int
}

// KeyRefused is an error with a type that is reported to the caller.
type KeyRefused struct{ Key string }

func (e *KeyRefused) Error() string { return "key " + e.Key + " was refused" }

var invocations int

func main() {
	fmt.Println("initializing")
	switch os.Getenv("BOOTSTRAP_START") {
	case "exit":
		os.Exit(3)
	case "report":
		status := post("init/error", `{"errorMessage":"GRACE_PERIOD is not a duration","errorType":"InvalidSettings"}`)
		fmt.Println("reported", status)
		os.Exit(1)
	case "hang":
		time.Sleep(time.Hour)
	case "fail once":
		if marker := os.Getenv("BOOTSTRAP_MARKER"); os.Mkdir(marker, 0o700) == nil {
			os.Exit(4)
		}
	case "child":
		wait(os.Getenv("BOOTSTRAP_GATE"))
		return
	case "misuse the Runtime API":
		misuseRuntimeAPI()
		return
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, event Event) (any, error) {
	invocations++
	switch event.Do {
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]any{
			"RequestID": lc.AwsRequestID, "ARN": lc.InvokedFunctionArn,
			"Remaining": time.Until(deadline).Seconds(), "Trace": os.Getenv("_X_AMZN_TRACE_ID"),
		}, nil
	case "environment":
		directory, err := os.Getwd()
		return map[string]any{"Variables": os.Environ(), "Directory": directory}, err
	case "count":
		return map[string]int{"Invocations": invocations, "PID": os.Getpid()}, nil
	case "fail":
		return nil, &KeyRefused{event.Value}
	case "panic":
		panic(event.Value)
	case "exit":
		fmt.Print("output without a newline")
		os.Exit(event.Size)
	case "exit when idle":
		go func() {
			wait(event.Value)
			os.Exit(7)
		}()
	case "sleep":
		fmt.Println("asleep")
		startChild(event.Value)
		<-ctx.Done()
		time.Sleep(time.Hour) // continue after the deadline, like a call that ignores its context
	case "wait":
		wait(event.Value)
		return map[string]int{"PID": os.Getpid()}, nil
	case "child":
		startChild(event.Value)
	case "big":
		return strings.Repeat("x", event.Size), nil
	case "print":
		for i := range event.Size {
			fmt.Fprintf(os.Stderr, "line %d %s\n", i, event.Value)
		}
	}
	return event.Value, nil
}

// wait returns when the test answers.
func wait(gate string) {
	answer, err := http.Get(gate)
	if err != nil {
		panic(err)
	}
	_ = answer.Body.Close()
}

// startChild starts a process that calls wait.
func startChild(gate string) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "BOOTSTRAP_START=child", "BOOTSTRAP_GATE="+gate)
	if err := child.Start(); err != nil {
		panic(err)
	}
}

// misuseRuntimeAPI gets an event and sends invalid requests to the Runtime API. Its answer to the
// event has the statuses that it got.
func misuseRuntimeAPI() {
	answer, err := http.Get(api("invocation/next"))
	if err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	id := answer.Header.Get("Lambda-Runtime-Aws-Request-Id")
	statuses := map[string]int{
		"next before an answer":      get("invocation/next"),
		"init error after init":      post("init/error", `{}`),
		"answer of another event":    post("invocation/11111111-1111-4111-8111-111111111111/response", `{}`),
		"answer of a former attempt": post("invocation/"+id+"/response", `{}`, "Lambda-Runtime-Invocation-Id", "stale"),
	}
	body, err := json.Marshal(statuses)
	if err != nil {
		panic(err)
	}
	status := post("invocation/"+id+"/response", string(body), "Lambda-Runtime-Invocation-Id",
		answer.Header.Get("Lambda-Runtime-Invocation-Id"))
	fmt.Println("answer", status)
	fmt.Println("second answer", post("invocation/"+id+"/response", `{}`))
	get("invocation/next")
}

func api(path string) string {
	return "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/" + path
}

func get(path string) int {
	answer, err := http.Get(api(path))
	if err != nil {
		panic(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// post sends the body in chunks, because the length of a reader is not known.
func post(path, body string, header ...string) int {
	request, err := http.NewRequest(http.MethodPost, api(path), io.MultiReader(bytes.NewReader([]byte(body))))
	if err != nil {
		panic(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
