package awslambda_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/awslambda"
)

const functions = "/2015-03-31/functions/"

func TestInvokeAnswersAsTheServiceDoes(t *testing.T) {
	// The AWS CLI and the SDKs read these headers.
	host := start(t, awslambda.Config{})
	response, body := call(t, host, "POST", functions+"rotate/invocations", `{"Value":"hello"}`, "X-Amz-Log-Type",
		"Tail")
	if response.StatusCode != 200 || string(body) != `"hello"` ||
		response.Header.Get("X-Amz-Executed-Version") != "$LATEST" {
		t.Errorf("got the answer %s %v %s", response.Status, response.Header, body)
	}
	if _, failed := response.Header["X-Amz-Function-Error"]; failed {
		t.Error("the answer of a successful invocation has the header X-Amz-Function-Error")
	}
	tail, err := base64.StdEncoding.DecodeString(response.Header.Get("X-Amz-Log-Result"))
	id := response.Header.Get("X-Amzn-Requestid")
	if err != nil || !strings.HasPrefix(string(tail), "START RequestId: "+id) || !strings.Contains(string(tail),
		"\nREPORT RequestId: "+id) {
		t.Errorf("got the log %q (%v), want the log of the request %s", tail, err, id)
	}

	response, body = call(t, host, "POST", functions+"rotate/invocations", `{"Do":"fail","Value":"k1"}`,
		"X-Amz-Invocation-Type", "RequestResponse")
	if response.StatusCode != 200 || response.Header.Get("X-Amz-Function-Error") != "Unhandled" ||
		string(body) != `{"errorMessage":"key k1 was refused","errorType":"KeyRefused"}` {
		t.Errorf("got the answer %s %v %s", response.Status, response.Header, body)
	}
	if _, found := response.Header["X-Amz-Log-Result"]; found {
		t.Error("the answer has a log that was not requested")
	}
}

func TestLogResultHasTheLast4KB(t *testing.T) {
	host := start(t, awslambda.Config{})
	response, _ := call(t, host, "POST", functions+"rotate/invocations", `{"Do":"print","Size":1000}`, "X-Amz-Log-Type",
		"Tail")
	tail, err := base64.StdEncoding.DecodeString(response.Header.Get("X-Amz-Log-Result"))
	if err != nil || len(tail) != 4096 || !strings.Contains(string(tail), "line 999 ") ||
		!strings.Contains(string(tail), "REPORT RequestId") {
		t.Errorf("got %d bytes, want 4096: %.200s…, %v", len(tail), tail, err)
	}
}

func TestFunctionIsFoundByNameAndARN(t *testing.T) {
	host := start(t, awslambda.Config{})
	arn := "arn:aws:lambda:eu-central-1:123456789012:function:rotate"
	for _, name := range []string{"rotate", "rotate:$LATEST", "function:rotate", "123456789012:function:rotate", arn,
		arn + ":$LATEST"} {
		if response, body := call(t, host, "POST", functions+url.PathEscape(name)+"/invocations",
			"{}"); response.StatusCode != 200 {
			t.Errorf("%s: got %s %s, want 200", name, response.Status, body)
		}
	}
	for _, name := range []string{"revoke", "rotate:7", arn + ":live",
		"arn:aws:lambda:us-east-1:123456789012:function:rotate"} {
		response, body := call(t, host, "POST", functions+url.PathEscape(name)+"/invocations", "{}")
		refusal := decode[map[string]string](t, body)
		if response.StatusCode != 404 || response.Header.Get("X-Amzn-Errortype") != "ResourceNotFoundException" ||
			!strings.HasPrefix(refusal["Message"], "Function not found: arn:aws:lambda:") {
			t.Errorf("%s: got %s %v %s, want 404", name, response.Status, response.Header, body)
		}
	}
	if _, _, err := host.Invoke(t.Context(), "revoke", nil); !isError(err, "ResourceNotFoundException") {
		t.Errorf("Invoke of an unknown function: got the error %v", err)
	}
	host.Remove("rotate")
	if _, _, err := host.Invoke(t.Context(), arn, nil); !isError(err, "ResourceNotFoundException") {
		t.Errorf("Invoke of a removed function: got the error %v", err)
	}
}

func isError(err error, code string) bool {
	var refused *awslambda.Error
	return errors.As(err, &refused) && refused.Code == code
}

func TestInvalidRequestsAreRefused(t *testing.T) {
	// The function must not run.
	host := start(t, awslambda.Config{})
	for name, test := range map[string]struct {
		body, kind string
		status     int
		code       string
	}{
		"not JSON":          {"{", "RequestResponse", 400, "InvalidRequestContentException"},
		"event is not JSON": {"{", "Event", 400, "InvalidRequestContentException"},
		"unknown type":      {"{}", "Later", 400, "InvalidParameterValueException"},
		"payload too large": {`"` + strings.Repeat("x", 6<<20) + `"`, "RequestResponse", 413,
			"RequestTooLargeException"},
		"event too large": {`"` + strings.Repeat("x", 2<<20) + `"`, "Event", 413, "RequestTooLargeException"},
	} {
		response, body := call(t, host, "POST", functions+"rotate/invocations", test.body, "X-Amz-Invocation-Type",
			test.kind)
		if response.StatusCode != test.status || response.Header.Get("X-Amzn-Errortype") != test.code {
			t.Errorf("%s: got %s %v %s", name, response.Status, response.Header, body)
		}
	}
	if lines := host.Logs("rotate"); len(lines) != 0 {
		t.Errorf("the function ran and wrote %q", texts(lines))
	}
}

func TestDryRunDoesNotRun(t *testing.T) {
	// The command doctor uses this request.
	host := start(t, awslambda.Config{})
	response, body := call(t, host, "POST", functions+"rotate/invocations", "", "X-Amz-Invocation-Type", "DryRun")
	if response.StatusCode != 204 || len(body) != 0 || len(host.Logs("rotate")) != 0 {
		t.Errorf("got %s %s and the log %q, want 204", response.Status, body, texts(host.Logs("rotate")))
	}
}

func TestEventIsRetriedAfterAFunctionError(t *testing.T) {
	// A schedule invokes a function with an event. All attempts have the same request ID.
	none := 0
	for name, test := range map[string]struct {
		body     string
		retries  *int
		attempts int
	}{
		"success":               {`{}`, nil, 1},
		"error":                 {`{"Do":"fail"}`, nil, 3},
		"crash":                 {`{"Do":"exit","Size":1}`, nil, 3},
		"error without retries": {`{"Do":"fail"}`, &none, 1},
	} {
		host := start(t, awslambda.Config{MaximumRetryAttempts: test.retries})
		response, body := call(t, host, "POST", functions+"rotate/invocations", test.body, "X-Amz-Invocation-Type",
			"Event")
		if response.StatusCode != 202 || len(body) != 0 {
			t.Errorf("%s: got %s %s, want 202", name, response.Status, body)
		}
		waitIdle(t, host)
		if got := logged(host, "START RequestId: "+response.Header.Get("X-Amzn-Requestid")); len(got) != test.attempts {
			t.Errorf("%s: got %d attempts, want %d", name, len(got), test.attempts)
		}
	}
}

func TestFunctionConfigurationIsShown(t *testing.T) {
	// The command doctor compares the configuration with the deployment.
	host := start(t, awslambda.Config{Timeout: 90 * time.Second, MemoryMB: 256,
		Environment: map[string]string{"LOG_LEVEL": "DEBUG"}})
	type configuration struct {
		FunctionName, FunctionArn, Runtime, State string
		Timeout, MemorySize                       int
		Environment                               struct{ Variables map[string]string }
		Architectures                             []string
	}
	check := func(got configuration) {
		t.Helper()
		if got.FunctionName != "rotate" ||
			got.FunctionArn != "arn:aws:lambda:eu-central-1:123456789012:function:rotate" ||
			got.Runtime != "provided.al2023" ||
			got.State != "Active" || got.Timeout != 90 || got.MemorySize != 256 ||
			got.Environment.Variables["LOG_LEVEL"] != "DEBUG" || len(got.Architectures) != 1 {
			t.Errorf("got the configuration %+v", got)
		}
	}
	_, body := call(t, host, "GET", functions+"rotate/configuration", "")
	check(decode[configuration](t, body))
	_, body = call(t, host, "GET", functions+"rotate", "")
	check(decode[struct{ Configuration configuration }](t, body).Configuration)
	if response, _ := call(t, host, "GET", functions+"revoke", ""); response.StatusCode != 404 {
		t.Errorf("an unknown function: got %s, want 404", response.Status)
	}
}

func TestPolicyHasTheAddedPermissions(t *testing.T) {
	// An update of the function does not change the policy.
	host := start(t, awslambda.Config{})
	if response, body := call(t, host, "GET", functions+"rotate/policy", ""); response.StatusCode != 404 ||
		response.Header.Get("X-Amzn-Errortype") != "ResourceNotFoundException" {
		t.Errorf("without a policy: got %s %s, want 404", response.Status, body)
	}
	permission :=
		`{"StatementId":"secrets","Action":"lambda:InvokeFunction","Principal":"secretsmanager.amazonaws.com","SourceAccount":"123456789012"}`
	if response, body := call(t, host, "POST", functions+"rotate/policy", permission); response.StatusCode != 201 {
		t.Errorf("AddPermission: got %s %s, want 201", response.Status, body)
	}
	if response, _ := call(t, host, "POST", functions+"rotate/policy", permission); response.StatusCode != 409 ||
		response.Header.Get("X-Amzn-Errortype") != "ResourceConflictException" {
		t.Errorf("the same statement again: got %s, want 409", response.Status)
	}
	add(t, host, awslambda.Config{Name: "rotate"})
	_, body := call(t, host, "GET", functions+"rotate/policy", "")
	policy := decode[struct{ Policy string }](t, body).Policy
	want := `{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"secrets","Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},` +
		`"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:eu-central-1:123456789012:function:rotate","Condition":{"StringEquals":{"AWS:SourceAccount":"123456789012"}}}]}`
	if policy != want {
		t.Errorf("got the policy\n%s\nwant\n%s", policy, want)
	}
}

func TestAccountSettingsShowTheConcurrency(t *testing.T) {
	// Operators check that the account has enough concurrency for rotations.
	host := start(t, awslambda.Config{})
	for _, want := range []int{1000, 10} {
		_, body := call(t, host, "GET", "/2016-08-19/account-settings", "")
		got := decode[struct {
			AccountLimit struct{ ConcurrentExecutions int }
			AccountUsage struct{ FunctionCount int }
		}](t, body)
		if got.AccountLimit.ConcurrentExecutions != want || got.AccountUsage.FunctionCount != 1 {
			t.Errorf("got the account settings %s, want %d concurrent executions", body, want)
		}
		host.SetConcurrency(10)
	}
}

func TestOperation(t *testing.T) {
	// Tests inject faults into operations by these names.
	for _, test := range []struct{ method, path, want string }{
		{"POST", functions + "rotate/invocations", "Invoke"},
		{"POST", functions + "arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Arotate/invocations",
			"Invoke"},
		{"GET", functions + "rotate", "GetFunction"},
		{"GET", functions + "rotate/configuration", "GetFunctionConfiguration"},
		{"GET", functions + "rotate/policy", "GetPolicy"},
		{"POST", functions + "rotate/policy", "AddPermission"},
		{"GET", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Arotate", "ListTags"},
		{"GET", "/2016-08-19/account-settings", "GetAccountSettings"},
		{"GET", "/other", "GET /other"},
	} {
		if got := awslambda.Operation(httptest.NewRequest(test.method, test.path, nil), nil); got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.method, test.path, got, test.want)
		}
	}
}

func TestClosedHostAnswersWithAnErrorOfTheService(t *testing.T) {
	// It must not look like a failure of the function.
	host := start(t, awslambda.Config{})
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	host.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, functions+"rotate/invocations",
		strings.NewReader("{}")))
	if recorder.Code == 200 || !json.Valid(recorder.Body.Bytes()) {
		t.Errorf("got the answer %d %s of a closed host", recorder.Code, recorder.Body)
	}
}

func TestTagsAreShown(t *testing.T) {
	// The operators' command finds the revoke function by a tag.
	host := start(t, awslambda.Config{Tags: map[string]string{"team": "data"}})
	arn := "arn:aws:lambda:eu-central-1:123456789012:function:rotate"
	shown := func() (ofFunction, ofARN map[string]string) {
		type answer struct{ Tags map[string]string }
		_, body := call(t, host, "GET", functions+"rotate", "")
		_, list := call(t, host, "GET", "/2017-03-31/tags/"+url.PathEscape(arn), "")
		return decode[answer](t, body).Tags, decode[answer](t, list).Tags
	}
	if a, b := shown(); len(a) != 1 || a["team"] != "data" || len(b) != 1 || b["team"] != "data" {
		t.Errorf("GetFunction shows the tags %v and ListTags shows %v", a, b)
	}
	host.Recycle("rotate")
	if a, b := shown(); a["team"] != "data" || b["team"] != "data" {
		t.Errorf("after a cold start, GetFunction shows the tags %v and ListTags shows %v", a, b)
	}
	add(t, host, awslambda.Config{Name: "rotate"})
	if a, b := shown(); len(a) != 0 || b == nil || len(b) != 0 {
		t.Errorf("without tags, GetFunction shows %v and ListTags shows %v", a, b)
	}
	for resource, code := range map[string]string{"rotate": "InvalidParameterValueException",
		arn + "x": "ResourceNotFoundException"} {
		if response, body := call(t, host, "GET", "/2017-03-31/tags/"+url.PathEscape(resource),
			""); response.Header.Get("X-Amzn-Errortype") != code {
			t.Errorf("ListTags of %s: got %s %s, want %s", resource, response.Status, body, code)
		}
	}
}

func TestInvalidTagsAreRefused(t *testing.T) {
	many := map[string]string{}
	for i := range 51 {
		many[strings.Repeat("k", i+1)] = ""
	}
	for name, tags := range map[string]map[string]string{
		"too many": many, "reserved": {"AWS:x": ""}, "no key": {"": "x"},
		"a key too long": {strings.Repeat("k", 129): ""}, "a value too long": {"k": strings.Repeat("v", 257)},
	} {
		if _, err := newHost(t, awslambda.Options{}).Add(awslambda.Config{Name: "rotate", Bootstrap: bootstrap,
			Tags: tags}); !isError(err, "InvalidParameterValueException") {
			t.Errorf("%s: got the error %v", name, err)
		}
	}
}

func TestEachFunctionHasALogGroup(t *testing.T) {
	// The log group exists from the deployment to the removal of the function.
	host := start(t, awslambda.Config{})
	before := time.Now()
	add(t, host, awslambda.Config{Name: "audit"})
	groups := host.LogGroups()
	if len(groups) != 2 || groups[0].Name != "/aws/lambda/audit" || groups[1].Name != "/aws/lambda/rotate" ||
		groups[1].Function != "rotate" || groups[0].Created.Before(before) {
		t.Errorf("got the log groups %+v", groups)
	}
	_, body := call(t, host, "GET", functions+"rotate/configuration", "")
	if got := decode[struct{ LoggingConfig struct{ LogGroup string } }](t,
		body).LoggingConfig.LogGroup; got != groups[1].Name {
		t.Errorf("the configuration has the log group %s, want %s", got, groups[1].Name)
	}
	add(t, host, awslambda.Config{Name: "audit"})
	if again := host.LogGroups(); !again[0].Created.Equal(groups[0].Created) {
		t.Error("an update created another log group")
	}
	host.Remove("rotate")
	if left := host.LogGroups(); len(left) != 1 {
		t.Errorf("got the log groups %+v after the removal, want one", left)
	}
}
