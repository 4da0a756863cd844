package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

var bootstrap string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	hermetic.Clear()
	directory, err := os.MkdirTemp("", "rotate-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the function:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(directory) }()
	bootstrap = filepath.Join(directory, "bootstrap")
	if out, err := exec.Command("go", "build", "-o", bootstrap, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the function: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// deploy starts a sandbox with the built function. The function gets only the documented variables:
// the registry's URL, the endpoint of Secrets Manager, and the variables that Lambda sets
// (credentials and region).
func deploy(t *testing.T, timeout time.Duration) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.Start(sandbox.Options{RotationTries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	_, err = s.Lambda.Add(awslambda.Config{Name: sandbox.RotateFunction, Bootstrap: bootstrap, Timeout: timeout,
		Environment: map[string]string{
			settings.EnvRegistryURL:            s.RegistryURL,
			"AWS_ENDPOINT_URL_SECRETS_MANAGER": s.AWSURL,
		}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func invoke(t *testing.T, s *sandbox.Sandbox, payload string) (errorType, message string) {
	t.Helper()
	answer, functionError, err := s.Lambda.Invoke(context.Background(), sandboxtest.FunctionARN(sandbox.RotateFunction),
		[]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	var failed struct{ ErrorType, ErrorMessage string }
	if functionError == "" {
		return "", ""
	}
	if err := json.Unmarshal(answer, &failed); err != nil {
		t.Fatalf("the error document %s: %v", answer, err)
	}
	return failed.ErrorType, failed.ErrorMessage
}

func logs(s *sandbox.Sandbox) string {
	var text strings.Builder
	for _, line := range s.Lambda.Logs(sandbox.RotateFunction) {
		text.WriteString(line.Text + "\n")
	}
	return text.String()
}

func TestTheBuiltFunctionRotates(t *testing.T) {
	// The built binary does a whole rotation as Lambda calls it, and logs each step in one line.
	t.Parallel()
	s := deploy(t, 5*time.Minute)
	ctx := context.Background()
	client := s.SecretsManager()
	_, old := s.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	arn, err := s.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("quilt/pipeline"),
		SecretString: aws.String(sandboxtest.ValueWith(old))})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &arn, RotationLambdaARN: aws.String(sandboxtest.FunctionARN(sandbox.RotateFunction)),
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Secrets.WaitRotation(ctx, arn); err != nil {
		t.Fatalf("%v\n%s", err, logs(s))
	}

	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		t.Fatal(err)
	}
	value, err := apikey.ParseValue(redact.New(*out.SecretString), "")
	if err != nil {
		t.Fatal(err)
	}
	fresh := value.Key().Reveal()
	if fresh == old || !s.Registry.Valid(fresh) || !s.Registry.Valid(old) ||
		*out.SecretString != sandboxtest.ValueWith(fresh) {
		t.Errorf("AWSCURRENT must hold a new key that logs in, and else what it held; the old key must live on")
	}
	if made, _ := s.Registry.KeyBySecret(fresh); !vault.NewVersion(*out.VersionId,
		out.VersionStages).Has(vault.KeyLabel(made.ID)) {
		t.Errorf("the current version has the labels %v", out.VersionStages)
	}
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		if n := strings.Count(logs(s), `"step":"`+step+`"`); n != 1 {
			t.Errorf("%d log lines are about %s\n%s", n, step, logs(s))
		}
	}
	canaries := sandboxtest.NewCanaries()
	canaries.Add("the new key", fresh)
	canaries.Add("the old key", old)
	if found := canaries.Find(logs(s)); found != "" {
		t.Errorf("%s is in the logs", found)
	}
}

func TestErrorTypeIsTheGoTypesName(t *testing.T) {
	// Alarms and runbook pages are named after errorType, so Lambda must get the name of the Go
	// type, and the message.
	t.Parallel()
	s := deploy(t, 5*time.Minute)
	for payload, want := range map[string]string{
		`[]`: "BadEvent",
		`{"Step":"createSecret","SecretId":"quilt/no-such-secret","ClientRequestToken":"00000000-0000-4000-8000-000000000000"}`: "SecretsManagerFailed",
	} {
		if name, message := invoke(t, s, payload); name != want || message == "" {
			t.Errorf("%s gives %s: %s, want %s", payload, name, message, want)
		}
	}
}

func TestTheFunctionTrustsTheBundleOfAWS(t *testing.T) {
	// Networks that inspect TLS need AWS_CA_BUNDLE. With it, the built function reaches Secrets
	// Manager, where the secret does not exist.
	t.Parallel()
	s := deploy(t, 5*time.Minute)
	target, err := url.Parse(s.AWSURL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	defer front.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(bundle, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Lambda.Add(awslambda.Config{Name: "behind-tls", Bootstrap: bootstrap, Timeout: 30 * time.Second,
		Environment: map[string]string{
			settings.EnvRegistryURL: s.RegistryURL, "AWS_ENDPOINT_URL_SECRETS_MANAGER": front.URL,
			"AWS_CA_BUNDLE": bundle,
		}})
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := s.Lambda.Invoke(t.Context(), sandboxtest.FunctionARN("behind-tls"),
		[]byte(`{"Step":"createSecret","SecretId":"quilt/no-such-secret","ClientRequestToken":"00000000-0000-4000-8000-000000000000"}`))
	if err != nil || !bytes.Contains(answer, []byte("ResourceNotFoundException")) {
		t.Errorf("the function returned %s, %v, want the error of Secrets Manager", answer, err)
	}
}

func TestHangingRegistryIsReportedBeforeTheTimeout(t *testing.T) {
	// Lambda's "Task timed out" does not say why. The function must end before, and name the
	// registry.
	t.Parallel()
	s := deploy(t, 5*time.Second)
	_, key := s.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	arn, err := s.CreateSecret(context.Background(),
		&secretsmanager.CreateSecretInput{Name: aws.String("quilt/pipeline"), SecretString: &key})
	if err != nil {
		t.Fatal(err)
	}
	token := sandboxtest.Token(1)
	if _, err := s.Secrets.StartPending(arn, token); err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	s.Hooks.Set(func(c *wire.Call, next func()) {
		if c.Service == "registry" {
			<-hang
		}
		next()
	})
	name, message := invoke(t, s, fmt.Sprintf(`{"Step":"createSecret","SecretId":%q,"ClientRequestToken":%q}`, arn,
		token))
	if name != "RegistryUnavailable" || !strings.Contains(message, strings.TrimPrefix(s.RegistryURL, "http://")) {
		t.Errorf("%s: %s", name, message)
	}
}

func TestBadEnvironmentIsReportedInOneLine(t *testing.T) {
	// The function does not start, and one line names all invalid settings.
	t.Parallel()
	for name, c := range map[string]struct {
		environment []string
		words       []string
	}{
		"nothing is set": {nil, []string{settings.EnvRegistryURL}},
		"all is wrong": {[]string{settings.EnvRegistryURL + "=http://registry.example.com",
			settings.EnvExpiresInDays + "=366", settings.EnvLogLevel + "=LOUD"}, []string{settings.EnvRegistryURL,
			settings.EnvExpiresInDays, "1 to 365", settings.EnvLogLevel, "DEBUG"}},
		"no bundle": {[]string{settings.EnvRegistryURL + "=https://registry.example.com", settings.EnvCABundle +
			"=/no/such/file.pem"}, []string{settings.EnvCABundle, "no such file"}},
		"an empty bundle": {[]string{settings.EnvRegistryURL + "=https://registry.example.com", settings.EnvCABundle +
			"=" + os.DevNull}, []string{settings.EnvCABundle, "empty", "certificate"}},
		"no certificate": {[]string{settings.EnvRegistryURL + "=https://registry.example.com", settings.EnvCABundle +
			"=main.go"}, []string{settings.EnvCABundle, "it has no certificate"}},
		"AWS's bundle": {[]string{settings.EnvRegistryURL + "=https://registry.example.com",
			"AWS_CA_BUNDLE=main.go"}, []string{"AWS_CA_BUNDLE", "it has no certificate"}},
		"a bundle and days": {[]string{settings.EnvRegistryURL + "=https://registry.example.com", settings.EnvCABundle +
			"=/no/such/file.pem", settings.EnvExpiresInDays + "=x"}, []string{settings.EnvCABundle, "no such file",
			settings.EnvExpiresInDays}},
		"a key as the days": {[]string{settings.EnvRegistryURL + "=https://registry.example.com",
			settings.EnvExpiresInDays + "=qk_PASTEDKEYPASTEDKEY"}, []string{settings.EnvExpiresInDays}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, bootstrap)
			command.Env = append([]string{"HOME=" + t.TempDir(), "AWS_REGION=" + sandbox.Region}, c.environment...)
			var stderr, stdout bytes.Buffer
			command.Stderr, command.Stdout = &stderr, &stdout
			err := command.Run()
			if command.ProcessState.ExitCode() != 1 || stdout.Len() != 0 {
				t.Errorf("the function ends with %v and writes %q", err, stdout.String())
			}
			line := stderr.String()
			if strings.Count(line, "\n") != 1 {
				t.Errorf("it does not say one line: %q", line)
			}
			for _, word := range c.words {
				if !strings.Contains(line, word) {
					t.Errorf("the line does not say %q: %s", word, line)
				}
			}
			if strings.Contains(line, "PASTEDKEY") {
				t.Error("the line quotes a key")
			}
		})
	}
}
