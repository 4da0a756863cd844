package function

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// lambdaGives is what Lambda gives every function, as far as it concerns AWS.
var lambdaGives = map[string]string{
	"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1",
	"AWS_ACCESS_KEY_ID": "ASIAROLE", "AWS_SECRET_ACCESS_KEY": "role-secret", "AWS_SESSION_TOKEN": "role-session",
}

// setEnvironment leaves no AWS variable of the machine, and sets Lambda's with the changes: "" takes one away.
func setEnvironment(t *testing.T, changes map[string]string) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // so that the test's end brings it back
			_ = os.Unsetenv(name)
		}
	}
	home := t.TempDir() // no profile of the machine's
	for name, value := range map[string]string{"HOME": home, "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	for _, given := range []map[string]string{lambdaGives, changes} {
		for name, value := range given {
			t.Setenv(name, value)
			if value == "" {
				_ = os.Unsetenv(name)
			}
		}
	}
}

// sent is what a request shows of the configuration that it was made with.
type sent struct {
	URL, KeyID, Scope, Session, Attempts, Agent string
}

type recorder struct{ last sent }

var (
	credentialForm = regexp.MustCompile(`Credential=([^/]+)/[0-9]+/([^,]+),`)
	maxForm        = regexp.MustCompile(`max=[0-9]+`)
)

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	r.last = sent{
		URL: request.URL.String(), Session: request.Header.Get("X-Amz-Security-Token"),
		Attempts: maxForm.FindString(request.Header.Get("Amz-Sdk-Request")), Agent: request.Header.Get("User-Agent"),
	}
	if m := credentialForm.FindStringSubmatch(request.Header.Get("Authorization")); m != nil {
		r.last.KeyID, r.last.Scope = m[1], m[2]
	}
	return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: request}, nil // not tried again
}

// requestOf is the request that the client makes, which goes nowhere.
func requestOf(t *testing.T, client *secretsmanager.Client) sent {
	t.Helper()
	r, id := &recorder{}, "x"
	_, err := client.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &id}, func(o *secretsmanager.Options) { o.HTTPClient = r })
	if r.last == (sent{}) {
		t.Fatalf("the client made no request: %v", err)
	}
	return r.last
}
