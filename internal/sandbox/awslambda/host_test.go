package awslambda_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/hermetic"
)

const (
	region  = "eu-central-1"
	account = "123456789012"
)

// bootstrap is the path of the executable of testdata/bootstrap.
var bootstrap string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	hermetic.Clear()
	if os.Getenv("TEST_BOOTSTRAP") != "" { // a child process of a test, for which the executable was built
		return m.Run()
	}
	directory, err := os.MkdirTemp("", "bootstrap-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(directory)
	bootstrap = filepath.Join(directory, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "./testdata/bootstrap")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build testdata/bootstrap: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func newHost(t testing.TB, options awslambda.Options) *awslambda.Host {
	t.Helper()
	options.Region, options.Account = region, account
	host, err := awslambda.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	return host
}

func add(t testing.TB, host *awslambda.Host, config awslambda.Config) string {
	t.Helper()
	if config.Handler == nil && config.Bootstrap == "" {
		config.Bootstrap = bootstrap
	}
	if config.Timeout == 0 {
		config.Timeout = 5 * time.Minute // only a test that hangs reaches it
	}
	arn, err := host.Add(config)
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

// start returns a Host with the function "rotate".
func start(t testing.TB, config awslambda.Config) *awslambda.Host {
	t.Helper()
	host := newHost(t, awslambda.Options{})
	config.Name = "rotate"
	add(t, host, config)
	return host
}

type event struct {
	Do    string
	Value string
	Size  int
}

// payload returns the event as JSON.
func (e event) payload(t testing.TB) []byte {
	t.Helper()
	payload, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// invoke invokes the function and decodes its answer. The test fails if the function fails.
func invoke[T any](t testing.TB, host *awslambda.Host, e event) T {
	t.Helper()
	answer, functionError, err := host.Invoke(context.Background(), "rotate", e.payload(t))
	if err != nil || functionError != "" {
		t.Fatalf("%q: got the function error %q, %v: %.300s", e.Do, functionError, err, answer)
	}
	return decode[T](t, answer)
}

// A report is the answer of a function that failed.
type report struct {
	ErrorType    string
	ErrorMessage string
	StackTrace   []any
}

// invokeFailing invokes the function and returns its error. The test fails if the function
// succeeds.
func invokeFailing(t testing.TB, host *awslambda.Host, e event) report {
	t.Helper()
	answer, functionError, err := host.Invoke(context.Background(), "rotate", e.payload(t))
	if err != nil || functionError != "Unhandled" {
		t.Fatalf("%q: got the function error %q, want Unhandled; %v: %.300s", e.Do, functionError, err, answer)
	}
	return decode[report](t, answer)
}

func decode[T any](t testing.TB, document []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(document, &value); err != nil {
		t.Fatalf("decode %.300s: %v", document, err)
	}
	return value
}

// process identifies an environment.
type process struct{ Invocations, PID int }

// checkNewProcess checks that the next event is processed by a new process.
func checkNewProcess(t testing.TB, host *awslambda.Host, former int) {
	t.Helper()
	if now := invoke[process](t, host, event{Do: "count"}); now.PID == former || now.Invocations != 1 {
		t.Errorf("process %d got the event as its event number %d, want a new process after process %d", now.PID,
			now.Invocations, former)
	}
}

func texts(lines []awslambda.LogLine) []string {
	texts := make([]string, 0, len(lines))
	for _, line := range lines {
		texts = append(texts, line.Text)
	}
	return texts
}

// logged returns the lines of the function's log that contain a text.
func logged(host *awslambda.Host, text string) []awslambda.LogLine {
	var found []awslambda.LogLine
	for _, line := range host.Logs("rotate") {
		if strings.Contains(line.Text, text) {
			found = append(found, line)
		}
	}
	return found
}

// A gate is a server that answers requests of functions when the test opens it.
type gate struct {
	url     string
	arrived chan struct{} // receives a value for each request
	open    chan struct{} // closed to answer all requests
	left    chan struct{} // receives a value when a request was answered or its process ended
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{arrived: make(chan struct{}, 16), open: make(chan struct{}), left: make(chan struct{}, 16)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.arrived <- struct{}{}
		select {
		case <-g.open:
		case <-r.Context().Done():
		}
		g.left <- struct{}{}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections() // otherwise a process that was not killed blocks Close
		server.Close()
	})
	g.url = server.URL
	return g
}

// receive returns the next value of a channel. The test fails if there is none.
func receive[T any](t testing.TB, channel <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-channel:
		return value
	case <-time.After(5 * time.Minute):
		t.Fatal("got nothing in 5 minutes; want ", what)
		panic("unreachable")
	}
}

func waitIdle(t testing.TB, host *awslambda.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := host.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
}

// call sends a raw request to the service's API.
func call(t testing.TB, host *awslambda.Host, method, path, body string, header ...string) (*http.Response, []byte) {
	t.Helper()
	server := httptest.NewServer(host)
	defer server.Close()
	request, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, answer
}
