package awssecrets_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/wire"
)

func post(t testing.TB, url, target, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Amz-Target", target)
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// The functions take the time from the Date header, therefore every response, including errors,
// must have the sandbox's time.
func TestEveryResponseHasTheServicesHeaders(t *testing.T) {
	s := start(t, awssecrets.Options{Clock: clockAt(t, "2031-01-02T03:04:05Z")})
	s.create()
	tests := map[string]struct {
		target, body string
		status       int
		answer       string
	}{
		"output": {"secretsmanager.DescribeSecret", `{"SecretId":"` + name + `"}`, 200,
			`"ARN":"arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/quilt-`},
		"no output": {"secretsmanager.TagResource", `{"SecretId":"` + name + `","Tags":[]}`, 200, ``},
		"an error": {"secretsmanager.DescribeSecret", `{"SecretId":"absent"}`, 400,
			`{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`},
		"no operation":    {"secretsmanager.Absent", `{}`, 400, `"__type":"UnknownOperationException"`},
		"another service": {"kms.Decrypt", `{}`, 400, `"__type":"UnknownOperationException"`},
		"no JSON": {"secretsmanager.PutSecretValue", `{"SecretString":"qk_secret`, 400,
			`"__type":"SerializationException"`},
		"another type": {"secretsmanager.PutSecretValue", `{"SecretString":["qk_secret"]}`, 400,
			`"__type":"SerializationException"`},
		"no token": {"secretsmanager.PutSecretValue", `{"SecretId":"` + name + `","SecretString":"v"}`, 400,
			`You must provide a ClientRequestToken value.`},
		"no secret": {"secretsmanager.GetSecretValue", `null`, 400, `"__type":"InvalidParameterException"`},
		"too large a body": {"secretsmanager.PutSecretValue", strings.Repeat(" ", 2<<20), 400,
			`"__type":"SerializationException"`},
	}
	requestID := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			answer, text := post(t, s.url, test.target, test.body)
			if answer.StatusCode != test.status || !strings.Contains(text, test.answer) || test.answer == "" &&
				text != "" {
				t.Errorf("got %d %s, want %d %s", answer.StatusCode, text, test.status, test.answer)
			}
			if strings.Contains(text, "qk_secret") {
				t.Errorf("the response contains the value: %s", text)
			}
			if got := answer.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
				t.Errorf("Content-Type is %s", got)
			}
			if id := answer.Header.Get("x-amzn-RequestId"); !requestID.MatchString(id) {
				t.Errorf("x-amzn-RequestId is %q", id)
			}
			date, err := http.ParseTime(answer.Header.Get("Date"))
			if err != nil || s.clock.Now().Sub(date).Abs() > time.Minute {
				t.Errorf("Date is %v, %v; want %v", date, err, s.clock.Now())
			}
		})
	}
}

// Dates are seconds with three decimals, so that no milliseconds are lost.
func TestDatesAreEpochSeconds(t *testing.T) {
	s := start(t, awssecrets.Options{Clock: clockAt(t, "2026-11-22T10:30:00Z")})
	s.create()
	_, text := post(t, s.url, "secretsmanager.DescribeSecret", `{"SecretId":"`+name+`"}`)
	if !regexp.MustCompile(`"CreatedDate":17953434\d\d\.\d{3}[,}]`).MatchString(text) {
		t.Errorf("CreatedDate is not in seconds with three decimals: %s", text)
	}
	if strings.Contains(text, "NextRotationDate") || strings.Contains(text, "RotationEnabled") {
		t.Errorf("a secret without rotation has rotation members: %s", text)
	}
}

// Tests select requests by the name of the operation.
func TestOperationReturnsItsName(t *testing.T) {
	for target, want := range map[string]string{
		"secretsmanager.PutSecretValue": "PutSecretValue", "kms.Decrypt": "kms.Decrypt", "": "GET /health",
	} {
		r := httptest.NewRequest(http.MethodGet, "/health", nil)
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		if got := awssecrets.Operation(r, nil); got != want {
			t.Errorf("Operation for target %q is %q, want %q", target, got, want)
		}
	}
}

// If a response is lost, the client repeats the request with the same token.
func TestRequestCanBeRepeatedAfterALostResponse(t *testing.T) {
	server := awssecrets.New(awssecrets.Options{})
	defer server.Close()
	var hooks wire.Hooks
	listener := httptest.NewServer(hooks.Wrap("secretsmanager", awssecrets.Operation, server))
	defer listener.Close()
	s := &service{TB: t, Server: server, client: client(listener)}
	s.create()
	defer hooks.Set(func(c *wire.Call, next func()) {
		next()
		if c.Operation == "PutSecretValue" {
			c.Cut()
		}
	})()
	if err := s.put(2, "v2", "AWSPENDING"); err == nil {
		t.Fatal("the put succeeded, want a lost response")
	}
	hooks.Set(nil)
	s.ok(s.put(2, "v2", "AWSPENDING"))
	s.stages("1:AWSCURRENT 2:AWSPENDING")
}

// The AWS CLI must work with the service unchanged.
func TestAWSCLIWorks(t *testing.T) {
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("SKIPPED: Secrets Manager with the AWS CLI: aws is not installed")
	}
	s := start(t, awssecrets.Options{})
	run := func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), cli, append([]string{"secretsmanager"}, args...)...)
		command.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"),
			"AWS_ENDPOINT_URL=" + s.url, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=unused",
			"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
		}
		out, err := command.Output()
		if err != nil {
			var stderr []byte
			if exit, ok := err.(*exec.ExitError); ok {
				stderr = exit.Stderr
			}
			t.Fatalf("aws %v: %v\n%s", args, err, stderr)
		}
		return strings.TrimSpace(string(out))
	}
	run("create-secret", "--name", name, "--secret-string", "v1", "--client-request-token", token(1), "--tags",
		"Key=a,Value=b")
	run("put-secret-value", "--secret-id", name, "--secret-string", "v2", "--client-request-token", token(2),
		"--version-stages", "AWSPENDING", "quilt-key:k2")
	run("update-secret-version-stage", "--secret-id", name, "--version-stage", "AWSCURRENT", "--move-to-version-id",
		token(2), "--remove-from-version-id", token(1))
	if got := run("get-secret-value", "--secret-id", name, "--query", "SecretString", "--output", "text"); got != "v2" {
		t.Errorf("the value is %q, want v2", got)
	}
	var described struct{ VersionIdsToStages map[string][]string }
	if err := json.Unmarshal([]byte(run("describe-secret", "--secret-id", name, "--output", "json")),
		&described); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(described.VersionIdsToStages[token(2)], " "); got != "AWSCURRENT AWSPENDING quilt-key:k2" {
		t.Errorf("the labels of the new version are %q", got)
	}
}

// FuzzRequest checks that the service answers every request with well-formed JSON, which has a type
// if it is an error.
func FuzzRequest(f *testing.F) {
	f.Add("PutSecretValue",
		`{"SecretId":"s","SecretString":"v","ClientRequestToken":"00000001-0000-4000-8000-000000000000","VersionStages":["a"]}`)
	f.Add("UpdateSecretVersionStage",
		`{"SecretId":"s","VersionStage":"AWSCURRENT","MoveToVersionId":"00000001-0000-4000-8000-000000000000"}`)
	f.Add("RotateSecret",
		`{"SecretId":"arn:aws:secretsmanager:us-east-1:123456789012:secret:s-","ClientRequestToken":"00000001-0000-4000-8000-000000000000","RotationLambdaARN":"f","RotationRules":{"ScheduleExpression":"cron(0 0/4 ? * 2#1 *)","Duration":"3h"}}`)
	f.Add("ListSecrets", `{"Filters":[{"Key":"all","Values":["!x"]}],"MaxResults":1,"NextToken":"MA=="}`)
	f.Add("GetRandomPassword", `{"PasswordLength":9,"ExcludeCharacters":"abc"}`)
	f.Add("CreateSecret",
		`{"Name":"s","ClientRequestToken":"00000001-0000-4000-8000-000000000000","SecretBinary":"AAE=","Tags":[{}],"AddReplicaRegions":[{"Region":"eu-west-1"}]}`)
	f.Add("DeleteSecret", `[`)
	f.Fuzz(func(t *testing.T, operation, body string) {
		functions := &blockingFunction{entered: make(chan struct{})}
		server := awssecrets.New(awssecrets.Options{Functions: functions, RotationTries: 1})
		defer server.Close()
		ask := func(operation, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			return w
		}
		ask("CreateSecret",
			`{"Name":"s","SecretString":"v","ClientRequestToken":"00000000-0000-4000-8000-000000000000"}`)
		w := ask(operation, body)
		if w.Code == http.StatusOK && w.Body.Len() == 0 {
			return
		}
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %q: %v", w.Code, w.Body, err)
		}
		if kind, _ := answer["__type"].(string); w.Code != http.StatusOK && (w.Code != http.StatusBadRequest ||
			kind == "") {
			t.Fatalf("%d %q is not an error of the service", w.Code, w.Body)
		}
	})
}

// BenchmarkDescribe measures a cheap request. Randomized tests send hundreds of thousands of
// requests.
func BenchmarkDescribe(b *testing.B) { benchmark(b, "DescribeSecret", `{"SecretId":"`+name+`"}`) }

// BenchmarkPut measures the most expensive request. Each creates a version and purges one.
func BenchmarkPut(b *testing.B) {
	benchmark(b, "PutSecretValue", `{"SecretId":"`+name+`","SecretString":"v","ClientRequestToken":"%s"}`)
}

func benchmark(b *testing.B, operation, body string) {
	s := start(b, awssecrets.Options{})
	s.create()
	for n := 0; b.Loop(); n++ {
		s.clock.Advance(time.Hour)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Replace(body, "%s", token(n+2), 1)))
		r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
