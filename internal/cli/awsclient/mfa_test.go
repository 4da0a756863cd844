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

// nobody is a person who is not there.
type nobody struct{}

func (nobody) Ask(context.Context, string) (string, error) { panic("nobody can be asked") }
func (nobody) Interactive() bool                           { return false }

// somebody answers every question with the code, and keeps the questions.
type somebody struct {
	code  string
	asked []string
}

func (s *somebody) Ask(_ context.Context, question string) (string, error) {
	s.asked = append(s.asked, question)
	return s.code, nil
}
func (*somebody) Interactive() bool { return true }

// assumeRole is STS with a role that demands the MFA code 123456. It keeps the forms that it gets.
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
	// Protects operators whose profile demands an MFA code: they are asked for it once, and the
	// question names the device, the role and the profile.
	forms := assumeRole(t)
	person := &somebody{code: "123456"}
	if _, err := awsclient.Open(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	if len(person.asked) != 1 || person.asked[0] != "MFA code of arn:aws:iam::123456789012:mfa/me for the role "+
		"arn:aws:iam::123456789012:role/ops of the AWS profile role:" {
		t.Errorf("asked: %q", person.asked)
	}
	if got := forms(); len(got) != 1 || got[0].Get("SerialNumber") != "arn:aws:iam::123456789012:mfa/me" {
		t.Errorf("STS got %v", got)
	}
}

func TestARoleWithMFAWithoutATerminal(t *testing.T) {
	// Protects pipelines: one sentence says what is missing, and standard input, which may hold a
	// key, is not read.
	forms := assumeRole(t)
	_, err := awsclient.Open(t.Context(), nobody{})
	if err == nil || err.Error() != "the role arn:aws:iam::123456789012:role/ops of the AWS profile role needs an "+
		"MFA code, and there is no terminal to ask for it" || terminal.Hint(err) == "" {
		t.Errorf("the error is %v", err)
	}
	if len(forms()) > 0 {
		t.Error("STS was asked without a code")
	}
}

func TestAWrongMFACode(t *testing.T) {
	// Protects operators who mistype the code: STS's sentence is shown.
	assumeRole(t)
	_, err := awsclient.Open(t.Context(), &somebody{code: "000000"})
	if err == nil || err.Error() != "AWS gave no credentials: MultiFactorAuthentication failed with invalid MFA one "+
		"time pass code." || !strings.Contains(terminal.Hint(err), "MFA code") {
		t.Errorf("the error is %v; %s", err, terminal.Hint(err))
	}
}
