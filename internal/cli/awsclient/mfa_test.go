package awsclient_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/terminal"
)

// noTerminal cannot ask a question.
type noTerminal struct{}

func (noTerminal) Ask(context.Context, string) (string, error) { panic("there is no terminal") }
func (noTerminal) Interactive() bool                           { return false }

// questions answers every question with the code and records the questions.
type questions struct {
	code  string
	asked []string
}

func (q *questions) Ask(_ context.Context, question string) (string, error) {
	q.asked = append(q.asked, question)
	return q.code, nil
}
func (*questions) Interactive() bool { return true }

// assumeRole starts STS with a role that requires the MFA code 123456. It records the requests'
// forms.
func assumeRole(t *testing.T) (forms func() []url.Values) {
	t.Helper()
	var mu sync.Mutex
	var got []url.Values
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		mu.Lock()
		got = append(got, r.PostForm)
		mu.Unlock()
		w.Header().Set("Content-Type", "text/xml")
		if r.PostForm.Get("TokenCode") != "123456" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write(
				[]byte(`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>AccessDenied</Code>` +
					`<Message>MultiFactorAuthentication failed with invalid MFA one time pass code.</Message></Error></ErrorResponse>`))
			return
		}
		_, _ = w.Write(
			[]byte(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>` +
				`<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>` +
				`</Credentials></AssumeRoleResult></AssumeRoleResponse>`))
	}))
	t.Cleanup(sts.Close)
	file := filepath.Join(t.TempDir(), "config")
	text := "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n[profile role]\nregion = " +
		"us-east-1\nsource_profile = base\n" +
		"role_arn = arn:aws:iam::123456789012:role/ops\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_PROFILE", "role")
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	return func() []url.Values {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

func TestARoleWithMFAAsksForTheCode(t *testing.T) {
	// The question appears once. It names the device, the role and the profile.
	forms := assumeRole(t)
	answers := &questions{code: "123456"}
	if _, err := awsclient.Open(t.Context(), answers); err != nil {
		t.Fatal(err)
	}
	if len(answers.asked) != 1 || answers.asked[0] != "MFA code of arn:aws:iam::123456789012:mfa/me for the role "+
		"arn:aws:iam::123456789012:role/ops of the AWS profile role:" {
		t.Errorf("got the questions %q", answers.asked)
	}
	if got := forms(); len(got) != 1 || got[0].Get("SerialNumber") != "arn:aws:iam::123456789012:mfa/me" {
		t.Errorf("STS received %v", got)
	}
}

func TestARoleWithMFAFailsWithoutATerminal(t *testing.T) {
	// Standard input may hold a key, so it is not read for the code.
	forms := assumeRole(t)
	_, err := awsclient.Open(t.Context(), noTerminal{})
	if err == nil || err.Error() != "the role arn:aws:iam::123456789012:role/ops of the AWS profile role needs an "+
		"MFA code, and there is no terminal to ask for it" || terminal.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
	if len(forms()) > 0 {
		t.Error("STS received a request without a code")
	}
}

func TestAWrongMFACodeShowsTheErrorOfSTS(t *testing.T) {
	assumeRole(t)
	_, err := awsclient.Open(t.Context(), &questions{code: "000000"})
	if err == nil || err.Error() != "AWS gave no credentials: MultiFactorAuthentication failed with invalid MFA one "+
		"time pass code." || !strings.Contains(terminal.Hint(err), "MFA code") {
		t.Errorf("got %v with the hint %s", err, terminal.Hint(err))
	}
}
