// Package consumers_test runs the examples of this folder against a sandbox.
package consumers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.yaml.in/yaml/v3"

	"quilt-rotate/docs/handbook"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/wire"
)

var functions scene.Functions

func TestMain(m *testing.M) { os.Exit(withFunctions(m)) }

func withFunctions(m *testing.M) int {
	hermetic.Clear()
	folder, err := os.MkdirTemp("", "consumers-")
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

// python is an interpreter that has boto3; the test is skipped where there is none.
func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: the Python examples: python3 is not installed")
	}
	if output, err := exec.Command(path, "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: the Python examples: boto3 is not installed\n%s", output)
	}
	return path
}

// open is a scene with the secret prod/pipeline, whose key rotates.
func open(t *testing.T) (s *scene.Scene, secretARN string) {
	t.Helper()
	s, err := scene.Open(scene.Options{Functions: functions})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	key, err := s.MakeKey(t.Context(), "first")
	must(t, err)
	secretARN, err = s.StoreSecret(t.Context(), "prod/pipeline", key.Secret)
	must(t, err)
	must(t, s.ConfigureRotation(t.Context(), secretARN))
	return s, secretARN
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// worker is the example, at work in a process of its own.
type worker struct {
	t     *testing.T
	in    *bufio.Writer
	out   *bufio.Scanner
	trace *strings.Builder
}

// environment leads to the scene and to the stand-in for quilt3, and to nothing else of the
// machine.
func environment(s *scene.Scene) []string {
	variables := []string{"PYTHONPATH=standin", "PYTHONDONTWRITEBYTECODE=1", "QUILT_CATALOG=" + s.RegistryURL,
		"QUILT_SECRET=prod/pipeline"}
	variables = append(variables, hermetic.NoFiles...)
	for _, name := range []string{"PATH", "HOME", "PYENV_ROOT", "PYENV_VERSION"} {
		variables = append(variables, name+"="+os.Getenv(name))
	}
	for _, variable := range s.Exports() {
		variables = append(variables, variable[0]+"="+variable[1])
	}
	return variables
}

func start(t *testing.T, s *scene.Scene, more ...string) *worker {
	t.Helper()
	command := exec.CommandContext(t.Context(), python(t), "worker.py")
	command.Dir = "python"
	command.Env = append(environment(s), more...)
	w := &worker{t: t, trace: &strings.Builder{}}
	command.Stderr = w.trace
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.in, w.out = bufio.NewWriter(in), bufio.NewScanner(out)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
	})
	w.says("ready")
	return w
}

func (w *worker) says(want string) {
	w.t.Helper()
	if !w.out.Scan() || w.out.Text() != want {
		w.t.Fatalf("the worker says %q, want %q (%v)\n%s", w.out.Text(), want, w.out.Err(), w.trace)
	}
}

// calls has each of four threads make so many calls.
func (w *worker) calls(n int, want string) {
	w.t.Helper()
	fmt.Fprintln(w.in, n)
	if err := w.in.Flush(); err != nil {
		w.t.Fatal(err)
	}
	w.says(want)
}

func TestThePythonExample(t *testing.T) {
	// Protects who copies the example: its key is rotated and revoked at once, and no call fails; a
	// current key that is refused is told, after one more fetch. quilt3 itself is not there: a
	// stand-in sends its requests.
	python(t)
	s, arn := open(t)
	var fetches, refusals atomic.Int64 // of the worker
	s.Hooks.Set(func(c *wire.Call, next func()) {
		next()
		switch agent := c.Request.UserAgent(); {
		case strings.Contains(agent, "Boto3") && c.Operation == "GetSecretValue":
			fetches.Add(1)
		case strings.Contains(agent, "standin") && c.Operation == "apiKeysList" &&
			!s.Registry.Alive(strings.TrimPrefix(c.Request.Header.Get("Authorization"), "Bearer ")):
			refusals.Add(1)
		}
	})
	fetched := func(want int64) {
		t.Helper()
		if n := fetches.Load(); n != want {
			t.Errorf("the worker fetched the secret %d times, want %d", n, want)
		}
	}
	w := start(t, s)
	w.calls(5, "0 failed")
	_, old, err := s.Current(arn)
	must(t, err)
	_, err = s.Rotate(t.Context(), arn)
	must(t, err)
	w.calls(5, "0 failed")
	fetched(1) // the old key goes on, out of the cache
	must(t, s.Revoke(t.Context(), arn, old.Key()))
	w.calls(5, "0 failed")
	fetched(2)
	if refusals.Load() == 0 {
		t.Error("the old key was not refused: the test shows nothing")
	}
	_, value, err := s.Current(arn)
	must(t, err)
	current, _ := s.Registry.KeyBySecret(value.Key().Reveal())
	s.Registry.Delete(current.ID)
	w.calls(1, "4 failed: QuiltException: Authentication failed. Check your credentials or API key.")
}

func TestThePythonExampleFetchesAgainInTime(t *testing.T) {
	// Protects the grace period: a key is not kept for longer than its age, although it works.
	python(t)
	s, arn := open(t)
	_, err := s.Rotate(t.Context(), arn)
	must(t, err)
	var fetches atomic.Int64
	s.Hooks.Set(func(c *wire.Call, next func()) {
		next()
		if strings.Contains(c.Request.UserAgent(), "Boto3") {
			fetches.Add(1)
		}
	})
	w := start(t, s, "MAX_AGE=0")
	w.calls(2, "0 failed")
	if n := fetches.Load(); n != 8 {
		t.Errorf("fetched %d times for 8 calls at an age of nothing", n)
	}
}

func TestTheLambdaExample(t *testing.T) {
	// Protects a function whose extension caches a key that was revoked meanwhile: it asks Secrets
	// Manager itself, once. The extension is played, as the Lambda developer guide describes it
	// ("Use Secrets Manager secrets in Lambda functions").
	interpreter := python(t)
	s, arn := open(t)
	_, value, err := s.Current(arn)
	must(t, err)
	cached := s.Value(value.Key())
	asked := make(chan *http.Request, 1)
	extension := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": cached})
	}))
	defer extension.Close()
	_, err = s.Rotate(t.Context(), arn)
	must(t, err)
	must(t, s.Revoke(t.Context(), arn, value.Key()))

	_, port, _ := strings.Cut(strings.TrimPrefix(extension.URL, "http://"), ":")
	command := exec.CommandContext(t.Context(), interpreter, "-c",
		"import lambda_function; print(len(lambda_function.handler({}, None)))")
	command.Dir, command.Env = "python", environment(s)
	command.Env = append(command.Env, "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT="+port, "AWS_SESSION_TOKEN=token")
	output, err := command.CombinedOutput()
	if err != nil || strings.TrimSpace(string(output)) != "1" {
		t.Fatalf("%v\n%s", err, output)
	}
	r := <-asked
	if r.URL.Path != "/secretsmanager/get" || r.URL.Query().Get("secretId") != "prod/pipeline" ||
		r.Header.Get("X-Aws-Parameters-Secrets-Token") != "token" {
		t.Errorf("the extension was asked %s with %v", r.URL, r.Header)
	}
}

func TestPagesShowWhatIsTested(t *testing.T) {
	// Protects who copies from a page: its Python and Go stand in a file that a test compiles or
	// runs; its JSON and YAML can be read.
	sources := map[string]string{}
	for _, pattern := range []string{"python/*.py", "go/*.go", "../../infra/stack/team_example_test.go",
		"../../infra/keyrotation/example_test.go"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			must(t, err)
			sources[file] = unindented(string(text))
		}
	}
	all, err := handbook.All("../..")
	must(t, err)
	seen := 0
	for _, page := range all {
		if !strings.HasPrefix(page.Path, "docs/") {
			continue
		}
		for _, b := range page.Blocks {
			var err error
			switch b.Language {
			case "python", "go":
				seen++
				if !containsAny(sources, unindented(b.Text)) {
					err = errors.New("no tested file has this code")
				}
			case "json": // one document or several
				for decoder := json.NewDecoder(strings.NewReader(b.Text)); err == nil; {
					err = decoder.Decode(new(any))
				}
			case "yaml":
				for decoder := yaml.NewDecoder(strings.NewReader(b.Text)); err == nil; {
					err = decoder.Decode(new(any))
				}
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if err != nil {
				t.Errorf("%s:%d: %v", page.Path, b.Line, err)
			}
		}
	}
	if seen < 3 {
		t.Errorf("found %d blocks of code only", seen)
	}
}

// unindented leaves the indentation out: a page shows a part of a file at its own margin.
func unindented(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func containsAny(sources map[string]string, part string) bool {
	for _, text := range sources {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
