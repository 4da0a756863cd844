package quiltkey_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	quiltkey "quilt-rotate/docs/consumers/go"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/sandbox/hermetic"
)

var functions scene.Functions

func TestMain(m *testing.M) { os.Exit(withFunctions(m)) }

func withFunctions(m *testing.M) int {
	hermetic.Clear()
	folder, err := os.MkdirTemp("", "consumer-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	if functions, err = scene.Build(context.Background(), folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// open starts a scene with a secret that has rotation.
func open(t *testing.T) (*scene.Scene, string) {
	t.Helper()
	s, err := scene.Open(scene.Options{Functions: functions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	key, err := s.MakeKey(t.Context(), "first")
	if err != nil {
		t.Fatal(err)
	}
	arn, err := s.StoreSecret(t.Context(), "prod/pipeline", key.Secret)
	if err == nil {
		err = s.ConfigureRotation(t.Context(), arn)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, arn
}

// sendRequest sends a request to the registry. It fails if the key does not work.
func sendRequest(client *http.Client, url string) error {
	response, err := client.Post(url+"/graphql", "application/json", strings.NewReader(`{"query":"{ me { email } }"}`))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"email"`)) {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return err
}

func TestRotationAndRevocationUnderLoad(t *testing.T) {
	// 16 workers send requests while the key is rotated and the old key is revoked at once. No
	// request fails.
	s, arn := open(t)
	source := &quiltkey.Source{Client: s.SecretsManager(), SecretID: arn, Field: "QUILT_API_KEY"}
	client := &http.Client{Transport: &quiltkey.Transport{Source: source,
		Base: &http.Transport{MaxIdleConnsPerHost: 16}}}
	defer client.CloseIdleConnections()

	var asked, failed atomic.Int64
	var first atomic.Value
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for range 16 {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if err := sendRequest(client, s.RegistryURL); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err.Error())
				}
			}
		})
	}
	more := func(n int64) { // waits for n more requests
		for goal := asked.Load() + n; asked.Load() < goal && failed.Load() == 0; {
			time.Sleep(time.Millisecond)
		}
	}
	do := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		more(100)
	}
	more(100)
	for range 4 {
		_, old, err := s.Current(arn)
		do("read the key", err)
		_, err = s.Rotate(t.Context(), arn)
		do("rotate", err)
		do("revoke", s.Revoke(t.Context(), arn, old.Key())) // the cached key is refused from here on
		if s.Registry.Valid(old.Key().Reveal()) {
			t.Error("the old key was not revoked, so this test proves nothing")
		}
	}
	close(stop)
	workers.Wait()
	if failed.Load() > 0 || asked.Load() < 500 {
		t.Errorf("%d of %d requests failed: %v", failed.Load(), asked.Load(), first.Load())
	}
}

func TestARefusalOfTheCurrentKeyIsReturned(t *testing.T) {
	// If there is no newer key, the caller gets the refusal after one more fetch.
	s, arn := open(t)
	counted := &counting{SecretsManager: s.SecretsManager()}
	source := &quiltkey.Source{Client: counted, SecretID: arn, Field: "QUILT_API_KEY"}
	client := &http.Client{Transport: &quiltkey.Transport{Source: source}}
	defer client.CloseIdleConnections()
	if err := sendRequest(client, s.RegistryURL); err != nil {
		t.Fatal(err)
	}
	key, _ := source.Key(t.Context(), "")
	row, _ := s.Registry.KeyBySecret(key)
	s.Registry.Delete(row.ID)
	if err := sendRequest(client, s.RegistryURL); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v, want the refusal", err)
	}
	if counted.n.Load() != 2 {
		t.Errorf("got %d fetches, want 2", counted.n.Load())
	}
}

type counting struct {
	quiltkey.SecretsManager
	n atomic.Int64
}

func (c *counting) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput,
	options ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	c.n.Add(1)
	return c.SecretsManager.GetSecretValue(ctx, in, options...)
}

// stub returns a value or an error.
type stub struct {
	value string
	err   error
}

func (s *stub) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (
	*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(s.value)}, s.err
}

func TestOnlyAKeyIsReturned(t *testing.T) {
	// An error must not contain the value.
	for _, c := range []struct{ value, field, want string }{
		{"qk_plain\n", "", "qk_plain"},
		{`{"QUILT_API_KEY": " qk_field "}`, "QUILT_API_KEY", "qk_field"},
		{`{}`, "QUILT_API_KEY", ""},
		{`{"QUILT_API_KEY": 5}`, "QUILT_API_KEY", ""},
		{`{"QUILT_API_KEY": "hunter2"}`, "QUILT_API_KEY", ""},
		{`hunter2`, "QUILT_API_KEY", ""},
	} {
		source := &quiltkey.Source{Client: &stub{value: c.value}, SecretID: "s", Field: c.field}
		got, err := source.Key(t.Context(), "")
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: got %q, %v", c.value, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error contains the value: %v", err)
		}
	}
}

func TestTheKeyIsKeptDuringAnOutageOfSecretsManager(t *testing.T) {
	// An old key that was not refused is better than no key.
	answer := &stub{value: "qk_one"}
	source := &quiltkey.Source{Client: answer, SecretID: "s", MaxAge: time.Nanosecond}
	if _, err := source.Key(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	answer.err = fmt.Errorf("away")
	if key, err := source.Key(t.Context(), ""); key != "qk_one" || err != nil {
		t.Errorf("got %q, %v", key, err)
	}
	if _, err := source.Key(t.Context(), "qk_one"); err == nil {
		t.Error("a refused key was returned again")
	}
}
