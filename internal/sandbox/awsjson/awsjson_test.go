package awsjson_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

type input struct{ Do string }

type output struct {
	Did string
	At  awsjson.Timestamp `json:",omitzero"`
}

func do(in input) (output, error) {
	switch in.Do {
	case "refuse":
		return output{}, awsjson.Faultf("NoException", "%s is refused.", in.Do)
	case "break":
		return output{}, errors.New("the disk is full")
	case "date":
		date := time.Date(2026, 11, 22, 18, 15, 0, 250_000_000, time.UTC)
		return output{Did: in.Do, At: awsjson.NewTimestamp(date)}, nil
	}
	return output{Did: in.Do}, nil
}

func TestWireFormatOfResponses(t *testing.T) {
	// The SDKs and the CLI read outputs and errors in this format. No error may contain the body.
	now := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	service := &awsjson.Service{Target: "Some_2014.", Message: "message", Now: func() time.Time { return now },
		Operations: map[string]awsjson.Operation{
			"Lenient":  awsjson.NewOperation(do),
			"Strict":   awsjson.NewStrictOperation(do),
			"NoOutput": awsjson.NewOperation(func(input) (awsjson.NoOutput, error) { return awsjson.NoOutput{}, nil }),
		}}
	const unreadable = `{"__type":"SerializationException","message":"The request body is not the JSON that this operation takes."}`
	for name, test := range map[string]struct {
		operation, body string
		status          int
		answer          string
	}{
		"an output": {"Some_2014.Lenient", `{"Do":"x"}`, 200, `{"Did":"x"}`},
		"a date":    {"Some_2014.Lenient", `{"Do":"date"}`, 200, `{"Did":"date","At":1795371300.250}`},
		"no output": {"Some_2014.NoOutput", `{}`, 200, ``},
		"a refusal": {"Some_2014.Lenient", `{"Do":"refuse"}`, 400,
			`{"__type":"NoException","message":"refuse is refused."}`},
		"an internal error": {"Some_2014.Lenient", `{"Do":"break"}`, 500,
			`{"__type":"InternalServiceError","message":"the disk is full"}`},
		"an unknown member":         {"Some_2014.Lenient", `{"Do":"x","qk_secret":1}`, 200, `{"Did":"x"}`},
		"an unknown member, strict": {"Some_2014.Strict", `{"Do":"x","qk_secret":1}`, 400, unreadable},
		"no unknown member, strict": {"Some_2014.Strict", `{"Do":"x"}`, 200, `{"Did":"x"}`},
		"no JSON":                   {"Some_2014.Lenient", `{"Do":"qk_secret`, 400, unreadable},
		"two documents":             {"Some_2014.Lenient", `{"Do":"x"}{}`, 400, unreadable},
		"another type":              {"Some_2014.Lenient", `{"Do":["qk_secret"]}`, 400, unreadable},
		"too large": {"Some_2014.Lenient", strings.Repeat(" ", 1<<20) + `{"Do":"x"}`, 400,
			`{"__type":"SerializationException","message":"The request body cannot be read."}`},
		"no such operation": {"Some_2014.Absent", `{}`, 400,
			`{"__type":"UnknownOperationException","message":""}`},
		"another service": {"Other.Lenient", `{}`, 400, `{"__type":"UnknownOperationException","message":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			r.Header.Set("X-Amz-Target", test.operation)
			w := httptest.NewRecorder()
			service.ServeHTTP(w, r)
			if w.Code != test.status || w.Body.String() != test.answer {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, test.status, test.answer)
			}
			if got := w.Header(); got.Get("Content-Type") != "application/x-amz-json-1.1" ||
				got.Get("Date") != "Thu, 02 Jan 2031 03:04:05 GMT" || len(got.Get("X-Amzn-Requestid")) != 36 {
				t.Errorf("the headers are %v", got)
			}
		})
	}
}

func TestOperationOf(t *testing.T) {
	// Tests select requests by the name of the operation.
	for target, want := range map[string]string{"Some_2014.Lenient": "Lenient", "kms.Decrypt": "kms.Decrypt",
		"": "GET /health"} {
		r := httptest.NewRequest(http.MethodGet, "/health", nil)
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		if got := awsjson.OperationOf("Some_2014.", r); got != want {
			t.Errorf("OperationOf for target %q is %q, want %q", target, got, want)
		}
	}
}
