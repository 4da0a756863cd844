// Package consumers_test runs the examples of this folder against a sandbox.
package consumers_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// python returns an interpreter with boto3. Without one, the test is skipped.
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

// open starts a scene with the secret prod/pipeline, which has rotation.
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

// worker is the example in a process of its own.
type worker struct {
	t     *testing.T
	in    *bufio.Writer
	out   *bufio.Scanner
	trace *strings.Builder
}

// environment returns variables with the addresses of the scene and of the stand-in for quilt3, and
// nothing else of the machine.
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
		w.t.Fatalf("the worker printed %q, want %q (%v)\n%s", w.out.Text(), want, w.out.Err(), w.trace)
	}
}

// calls lets each of four threads make n calls.
func (w *worker) calls(n int, want string) {
	w.t.Helper()
	fmt.Fprintln(w.in, n)
	if err := w.in.Flush(); err != nil {
		w.t.Fatal(err)
	}
	w.says(want)
}

func TestThePythonExample(t *testing.T) {
	// The key is rotated and revoked at once, and no call fails. If the current key is refused, the
	// caller gets the exception after one more fetch. quilt3 itself is not installed: a stand-in
	// sends its requests, with the logins of quilt3 8.1 and of older versions.
	python(t)
	for version, variables := range map[string][]string{
		"8.1":                 nil,
		"8.1 with a registry": {"QUILT_REGISTRY=the scene's"},
		"8.0":                 {"QUILT3_STANDIN=8.0"},
		"8.0 with a registry": {"QUILT3_STANDIN=8.0", "QUILT_REGISTRY=the scene's"},
	} {
		t.Run(version, func(t *testing.T) { rotateUnder(t, variables...) })
	}
}

// rotateUnder rotates and revokes the key of a worker with the variables, and counts its requests.
func rotateUnder(t *testing.T, variables ...string) {
	t.Helper()
	s, arn := open(t)
	for i := range variables {
		variables[i] = strings.Replace(variables[i], "the scene's", s.RegistryURL+"/", 1)
	}
	var fetches, refusals atomic.Int64 // of the worker
	s.Hooks.Set(func(c *wire.Call, next func()) {
		next()
		switch agent := c.Request.UserAgent(); {
		case strings.Contains(agent, "Boto3") && c.Operation == "GetSecretValue":
			fetches.Add(1)
		case strings.Contains(agent, "standin") && c.Operation == "apiKeysList" &&
			!s.Registry.Valid(strings.TrimPrefix(c.Request.Header.Get("Authorization"), "Bearer ")):
			refusals.Add(1)
		}
	})
	fetched := func(want int64) {
		t.Helper()
		if n := fetches.Load(); n != want {
			t.Errorf("the worker fetched the secret %d times, want %d", n, want)
		}
	}
	w := start(t, s, variables...)
	w.calls(5, "0 failed")
	_, old, err := s.Current(arn)
	must(t, err)
	_, err = s.Rotate(t.Context(), arn)
	must(t, err)
	w.calls(5, "0 failed")
	fetched(1) // the old key comes from the cache
	must(t, s.Revoke(t.Context(), arn, old.Key()))
	w.calls(5, "0 failed")
	fetched(2)
	if refusals.Load() == 0 {
		t.Error("the old key was not refused, so this test proves nothing")
	}
	_, value, err := s.Current(arn)
	must(t, err)
	current, _ := s.Registry.KeyBySecret(value.Key().Reveal())
	s.Registry.Delete(current.ID)
	w.calls(1, "4 failed: QuiltException: Authentication failed. Check your credentials or API key.")
}

// twoRegistries is a program that alternates between the keys of two registries.
const twoRegistries = `
import os, quilt3
from rotated_key import RotatedKey
quilt3.config(os.environ["QUILT_CATALOG"])
one = RotatedKey("prod/pipeline", registry=os.environ["ONE"])
other = RotatedKey("prod/other", registry=os.environ["OTHER"])
print([len(key.call(quilt3.api_keys.list)) for key in (one, other, one, other)])
`

func TestThePythonExampleLogsInToEachRegistry(t *testing.T) {
	// A program may use two registries. Each key is sent only to its own registry. quilt3 before
	// 8.1 would send the second key to the first registry, so the example refuses that.
	interpreter := python(t)
	s, _ := open(t)
	other, err := scene.Open(scene.Options{Functions: functions})
	must(t, err)
	t.Cleanup(func() { _ = other.Close() })
	for _, name := range []string{"first", "second"} {
		key, err := other.MakeKey(t.Context(), name)
		must(t, err)
		if name == "second" { // the other registry lists two keys
			_, err = s.StoreSecret(t.Context(), "prod/other", key.Secret)
			must(t, err)
		}
	}
	var misled atomic.Int64
	for _, registry := range []*scene.Scene{s, other} {
		registry.Hooks.Set(func(c *wire.Call, next func()) {
			key, given := strings.CutPrefix(c.Request.Header.Get("Authorization"), "Bearer ")
			if given && !registry.Registry.Valid(key) {
				misled.Add(1)
			}
			next()
		})
	}
	for version, want := range map[string]string{"8.1": "[1, 2, 1, 2]",
		"8.0": "quilt3 is configured for the registry " + s.RegistryURL + ", and the key belongs to " +
			other.RegistryURL} {
		command := exec.CommandContext(t.Context(), interpreter, "-c", twoRegistries)
		command.Dir, command.Env = "python", append(environment(s), "QUILT3_STANDIN="+version, "ONE="+s.RegistryURL,
			"OTHER="+other.RegistryURL)
		output, err := command.CombinedOutput()
		if !strings.Contains(string(output), want) || (err == nil) != (version == "8.1") {
			t.Errorf("quilt3 %s: got %v, want %q\n%s", version, err, want, output)
		}
	}
	if n := misled.Load(); n != 0 {
		t.Errorf("%d requests had the key of the other registry", n)
	}
}

// onlyTrust is a program that fetches the secret and calls the registry, with the certificates that
// the variables name.
const onlyTrust = `
import os, quilt3
from rotated_key import RotatedKey
key = RotatedKey("prod/pipeline", registry=os.environ["ONE"])
key._fetch()
print("the secret was fetched")
key.call(quilt3.api_keys.list)
print("the registry answered")
`

func TestTheBundleOfThePythonPageTrustsBoth(t *testing.T) {
	// The registry may have a certificate of a private authority. The bundle of the page trusts the
	// registry and AWS. As the page says, a bundle with only the private authority breaks the calls
	// to AWS. A file stands for the public authorities of the package certifi.
	interpreter := python(t)
	s, _ := open(t)
	folder := t.TempDir()
	aws, public := behindTLS(t, s.AWSURL)
	registry, private := behindTLS(t, s.RegistryURL)
	certifi := fmt.Sprintf("def where(): return %q\nif __name__ == '__main__': print(where())\n",
		filepath.Join(folder, "public.pem"))
	for name, text := range map[string][]byte{"public.pem": public, "registry-ca.pem": private,
		"certifi.py": []byte(certifi)} {
		must(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	page, err := handbook.Read("../..", "docs/consumers/python.md")
	must(t, err)
	bundle := ""
	for _, b := range page.Blocks {
		if strings.Contains(b.Text, "registry-ca.pem") {
			bundle = b.Text
		}
	}
	for name, c := range map[string]struct {
		commands          string
		fetched, answered bool
	}{
		"without a variable":   {"", true, false},
		"only the private one": {"export REQUESTS_CA_BUNDLE=$PWD/registry-ca.pem\n", false, false},
		"the page":             {bundle, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			here, err := filepath.Abs("python")
			must(t, err)
			command := exec.CommandContext(t.Context(), "sh", "-c", c.commands+`exec "$PYTHON" -c "$PROGRAM"`)
			command.Dir = folder
			command.Env = append(environment(s), "PYTHONPATH="+strings.Join([]string{folder, here,
				filepath.Join(here, "standin")}, string(filepath.ListSeparator)), "AWS_ENDPOINT_URL="+aws, "ONE="+
				registry,
				"PYTHON="+interpreter, "PROGRAM="+onlyTrust, "AWS_MAX_ATTEMPTS=1")
			output, _ := command.CombinedOutput()
			fetched := strings.Contains(string(output), "the secret was fetched")
			answered := strings.Contains(string(output), "the registry answered")
			if fetched != c.fetched || answered != c.answered {
				t.Errorf("the secret was fetched: %t, want %t; the registry answered: %t, want %t\n%s", fetched,
					c.fetched,
					answered, c.answered, output)
			}
		})
	}
}

// behindTLS serves the URL with a certificate of a private authority.
func behindTLS(t *testing.T, plain string) (url string, authority []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of " + plain},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	target, err := neturl.Parse(plain)
	must(t, err)
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // hides the errors of expected failed handshakes
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestThePythonExampleFetchesAKeyAgainAfterItsAge(t *testing.T) {
	// The key may still work then, but it will be revoked after the grace period.
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
		t.Errorf("got %d fetches for 8 calls with a maximum age of 0, want 8", n)
	}
}

func TestTheLambdaExample(t *testing.T) {
	// The extension caches a key that was revoked in the meantime. The function then asks Secrets
	// Manager once. A stand-in for the extension follows the Lambda developer guide ("Use Secrets
	// Manager secrets in Lambda functions").
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
		t.Errorf("the extension received %s with %v", r.URL, r.Header)
	}
}

func TestTheCSIPageSelectsTheKey(t *testing.T) {
	// The JMESPath expressions of the page, as YAML passes them to the provider, select the key in
	// a value. An expression without quotation marks is refused, as the page says. The package
	// jmespath, which boto3 uses, stands for the one of the provider.
	interpreter := python(t)
	page, err := handbook.Read("../..", "docs/consumers/csi.md")
	must(t, err)
	expression := regexp.MustCompile(`(?m)^ *- path: (.*)$`)
	var paths []string
	for _, b := range page.Blocks {
		for _, match := range expression.FindAllStringSubmatch(b.Text, -1) {
			var path string
			must(t, yaml.Unmarshal([]byte(match[1]), &path))
			paths = append(paths, path)
		}
	}
	if !slices.Equal(paths, []string{"QUILT_API_KEY", `"quilt-api-key"`}) {
		t.Fatalf("got the expressions %q", paths)
	}
	for path, want := range map[string]string{paths[0]: "of the field", paths[1]: "of the other field",
		strings.Trim(paths[1], `"`): "refused"} {
		command := exec.CommandContext(t.Context(), interpreter, "-c", `
import jmespath, sys
value = {"QUILT_API_KEY": "of the field", "quilt-api-key": "of the other field"}
try:
    print(jmespath.search(sys.argv[1], value))
except jmespath.exceptions.ParseError:
    print("refused")
`, path)
		output, err := command.CombinedOutput()
		if err != nil || strings.TrimSpace(string(output)) != want {
			t.Errorf("expression %s: got %q, want %q (%v)", path, output, want, err)
		}
	}
}

func TestPagesShowTestedCode(t *testing.T) {
	// Python and Go on a page are part of a file that a test compiles or runs. JSON and YAML can be
	// parsed.
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
		t.Errorf("found only %d blocks of code", seen)
	}
}

// unindented removes the indentation, because a page shows a part of a file without it.
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
