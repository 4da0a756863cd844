package awslogs_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"quilt-rotate/internal/sandbox/awslogs"
)

func TestPatternsFindMatchingLines(t *testing.T) {
	// The results follow the documentation of CloudWatch Logs.
	lines := []string{
		0: "START RequestId: 6f0c-11 Version: $LATEST",
		1: "two errors, ERROR code_7",
		2: `{"level":"ERROR","step":"testSecret","code":7,"error":{"type":"KeyRefused","tries":[1]},"my-field":"x"}`,
		3: `{"level":"INFO","step":"testSecret","code":7.5,"error":"KeyRefused","quoted":"a \"b\""}`,
		4: `[{"level":"ERROR"}]`,
	}
	s := serve(t, functionLogs{"rotate": lines}, 0)
	for pattern, want := range map[string]string{
		``:                              "0 1 2 3 4",
		` `:                             "0 1 2 3 4",
		`ERROR`:                         "1 2 4",
		`"ERROR"`:                       "1 2 4",
		`error`:                         "2 3", // whole words, case-sensitive
		`"RequestId: 6f0c-11"`:          "0",
		`"6f0c"`:                        "0",
		`"6f0c-1"`:                      "",
		`"Id: 6f0c-11"`:                 "",
		`ERROR code_7`:                  "1",
		`ERROR "two errors"`:            "1",
		`code`:                          "2 3",
		`"$LATEST"`:                     "0",
		`"\"code\":7"`:                  "2 3", // a point is the end of a word
		`{ $.level = "ERROR" }`:         "2",
		`{$.level="ERROR"}`:             "2",
		`{ $.level = ERROR }`:           "2",
		`{ $.level = "error" }`:         "",
		`{ $.step = "testSecret" }`:     "2 3",
		`{ $.error.type = KeyRefused }`: "2",
		`{ $.error = "KeyRefused" }`:    "3",
		`{ $.code = 7 }`:                "2",
		`{ $.code = 7.5 }`:              "3",
		`{ $.code = "7" }`:              "",
		`{ $.code = -7 }`:               "",
		`{ $.error.tries = 1 }`:         "",
		`{ $.my-field = "x" }`:          "2",
		`{ $.quoted = "a \"b\"" }`:      "3",
		`{ $.step = "testSecret" && $.level = "INFO" }`:                "3",
		`{ $.step = "testSecret" && $.level = "ERROR" && $.code = 7 }`: "2",
		`{ $.step = "testSecret" && $.level = "ERROR" && $.code = 8 }`: "",
		`{ ($.code = 7) || ($.code = 7.5) }`:                           "2 3",
		`{ ($.code = 8) || ($.step = "testSecret" && $.code = 7.5) }`:  "3",
		`{ ($.code = 8) || ($.code = 9) || ($.level = "WARN") }`:       "",
		`{ $.absent = "x" }`:        "",
		`{ $.error.absent.b = "x"}`: "",
	} {
		got, _, err := s.messages(cloudwatchlogs.FilterLogEventsInput{FilterPattern: aws.String(pattern)})
		var numbers []string
		for number, line := range lines {
			for _, found := range got {
				if found == line {
					numbers = append(numbers, string(rune('0'+number)))
				}
			}
		}
		if err != nil || strings.Join(numbers, " ") != want || len(numbers) != len(got) {
			t.Errorf("%s: found the lines %v, %v, want %s", pattern, numbers, err, want)
		}
	}
}

func TestOtherPatternsAreRefused(t *testing.T) {
	// The sandbox could interpret other patterns differently from the service.
	s := serve(t, functionLogs{"rotate": {"a"}}, 0)
	for _, pattern := range []string{
		`-a`, `?a`, `a-b`, `a.b`, `"a`, `a"`, `""`, `"a*"`, `*`, `%a%`, `[a, b]`, `404`, `a &`, `'a'`,
		`{`, `}`, `{}`, `{ $.a }`, `{ $ = "x" }`, `{ $.a = }`, `{ $.a == "x" }`, `{ $.a != "x" }`, `{ $.a > 1 }`,
		`{ $.a = "x*" }`, `{ $.a = "x" || $.b = "y" }`,
		`{ $.a IS TRUE }`, `{ $.a NOT EXISTS }`, `{ ($.a = "x") }`, `{ $.a[0] = "x" }`, `{ $.a = "x" & $.b = "y" }`,
		`{ $.a = "x" && }`, `{ $.a = "x" } b`,
		`{ $.a = "x"`, `{ a = "x" }`, `{ $..a = "x" }`, `{ $.a = --1 }`, `{ $.a = 0x10 }`, `{ $.a = 1_000 }`,
		`{ $.a = "\x41" }`, "{ $.a = `x` }", `{ $.a = %x% }`, `{ $.a = 1 2 }`,
	} {
		_, _, err := s.messages(cloudwatchlogs.FilterLogEventsInput{FilterPattern: aws.String(pattern)})
		if err == nil {
			t.Errorf("%s: got no error", pattern)
			continue
		}
		refused(t, err, "InvalidParameterException", "Invalid filter pattern")
	}
}

// FuzzPattern checks that each pattern either finds lines or is refused as invalid.
func FuzzPattern(f *testing.F) {
	for _, pattern := range []string{``, `a "b c"`, `{ $.a.b = "x" && $.c = -1.5e3 }`, `"\u00e9\x"`, "{ $.a = `x` }",
		`/* */`, `"a`, "\x00", `{$.a=0x1p-2}`} {
		f.Add(pattern, `{"a":{"b":"x"},"c":-1500}`)
	}
	f.Fuzz(func(t *testing.T, pattern, line string) {
		body, err := json.Marshal(map[string]string{"logGroupName": "/aws/lambda/rotate", "filterPattern": pattern})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("X-Amz-Target", "Logs_20140328.FilterLogEvents")
		w := httptest.NewRecorder()
		awslogs.New(awslogs.Options{Source: functionLogs{"rotate": {line}}}).ServeHTTP(w, r)
		if w.Code != http.StatusOK && !(w.Code == http.StatusBadRequest && strings.Contains(w.Body.String(),
			"InvalidParameterException")) {
			t.Errorf("%q: got the answer %d %s", pattern, w.Code, w.Body)
		}
		if strings.Trim(pattern, " ") == "" && !strings.Contains(w.Body.String(), `"eventId"`) {
			t.Errorf("the empty pattern %q found no line: %s", pattern, w.Body)
		}
	})
}
