package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"quilt-rotate/internal/telemetry"
)

// lines are what was written, one JSON object a line.
func lines(t testing.TB, written string) []map[string]any {
	t.Helper()
	if written != "" && !strings.HasSuffix(written, "\n") {
		t.Fatalf("the last line does not end: %q", written)
	}
	var all []map[string]any
	for line := range strings.Lines(written) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q is not one JSON object: %v", line, err)
		}
		all = append(all, object)
	}
	return all
}

func invocation(id string) context.Context {
	return lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: id})
}

func TestLogLinesHaveLambdasForm(t *testing.T) {
	// Filters and queries of CloudWatch Logs expect one JSON line for each record, with Lambda's
	// names for time, level, message and request.
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo)
	log.WarnContext(invocation("7b9d1c4e"), "two\nlines", "secret", "arn:x", "cause", errors.New("it \"failed\""),
		"took", 3)
	all := lines(t, out.String())
	if len(all) != 1 {
		t.Fatalf("one record makes %d lines: %s", len(all), out.String())
	}
	for name, want := range map[string]any{"level": "WARN", "message": "two\nlines", "requestId": "7b9d1c4e",
		"secret": "arn:x", "cause": `it "failed"`, "took": 3.0} {
		if got := all[0][name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	at, err := time.Parse(time.RFC3339Nano, all[0]["timestamp"].(string))
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("the timestamp %v is not now: %v", all[0]["timestamp"], err)
	}
	for _, name := range []string{"time", "msg"} {
		if _, there := all[0][name]; there {
			t.Errorf("the line still has slog's %q", name)
		}
	}
}

func TestLogLinesNameTheirOwnRequest(t *testing.T) {
	// In a warm function, each record must have the id of its own invocation, also with derived
	// loggers.
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo).With("function", "rotate")
	log.InfoContext(invocation("first"), "a")
	log.With("more", 1).InfoContext(invocation("second"), "b")
	log.InfoContext(context.Background(), "at start, outside of invocations")
	all := lines(t, out.String())
	for i, want := range []any{"first", "second", nil} {
		if got := all[i]["requestId"]; got != want || all[i]["function"] != "rotate" {
			t.Errorf("line %d has the request %v and the function %v, want %v and rotate", i, got, all[i]["function"],
				want)
		}
	}
}

func TestLogLevelIsKept(t *testing.T) {
	// Records below the level are not written and all others are, whatever Lambda's own variables
	// say.
	t.Setenv("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
	t.Setenv("AWS_LAMBDA_LOG_FORMAT", "TEXT")
	for level, want := range map[slog.Level]string{slog.LevelDebug: "DEBUG INFO WARN ERROR",
		slog.LevelInfo: "INFO WARN ERROR", slog.LevelError: "ERROR"} {
		var out bytes.Buffer
		log := telemetry.NewLogger(&out, level)
		for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			log.Log(invocation("x"), l, "m")
		}
		var got []string
		for _, line := range lines(t, out.String()) {
			got = append(got, line["level"].(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("at %v it writes %v, want %s", level, got, want)
		}
	}
}

func TestLogLinesDoNotMix(t *testing.T) {
	// Concurrent records are written as whole lines, each with its own request.
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo)
	var all sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			for range 50 {
				log.InfoContext(invocation(id), id)
			}
		})
	}
	all.Wait()
	written := lines(t, out.String())
	if len(written) != 200 {
		t.Errorf("200 records make %d lines", len(written))
	}
	for _, line := range written {
		if line["requestId"] != line["message"] {
			t.Fatalf("a line has another's request: %v", line)
		}
	}
}
