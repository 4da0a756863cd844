package proof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/vault"
)

// need skips, by name, where something is missing.
func need(t *testing.T) {
	t.Helper()
	for name, install := range map[string]string{
		"python3": "", "node": "", "aws": " (pip install awscli)", "qemu-aarch64": " (apt-get install qemu-user)",
	} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED: a deployment to a local AWS: %s is not installed%s", name, install)
		}
	}
	for path, tool := range map[string]string{
		launcher(t): "the local AWS", filepath.Join(root(t), "infra", "node_modules", ".bin", "cdk"): "cdk",
	} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("SKIPPED: a deployment to a local AWS: %s is not installed: %v", tool, err)
		}
	}
	if output, err := exec.Command("python3", "-c", "import moto.server").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: a deployment to a local AWS: moto is not installed\n%s", output)
	}
}

func launcher(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("LOCAL_AWS"); path != "" {
		return path
	}
	return filepath.Join(root(t), "..", "shared", "tools", "local_aws.py")
}

// A localAWS is a running one.
type localAWS struct {
	t     *testing.T
	url   string
	wrote string // file of what it and the functions wrote

	command string // folder of the built quilt-rotate
	secrets *secretsmanager.Client
}

// startAWS starts one on a free port of loopback. It ends, with every function that it started,
// when the test does.
func startAWS(t *testing.T) *localAWS {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	must(t, listener.Close())
	output, err := os.Create(filepath.Join(t.TempDir(), "aws.log"))
	must(t, err)
	a := &localAWS{t: t, url: fmt.Sprintf("http://127.0.0.1:%d", port), wrote: output.Name(), command: theCommand(t)}
	a.secrets = secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &a.url, Region: region, Credentials: credentials.NewStaticCredentialsProvider("testing",
			"testing", ""),
	})
	process := exec.Command("python3", "localaws.py", launcher(t), fmt.Sprint(port))
	process.Stdout, process.Stderr = output, output
	process.Env = append(hermetic.Environ(), "TMPDIR="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1")
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a group of its own, functions included
	must(t, process.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
		_ = process.Wait()
		_ = output.Close()
	})
	a.await()
	return a
}

func (a *localAWS) await() {
	a.t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if response, err := http.Get(a.url + "/moto-api/"); err == nil {
			_ = response.Body.Close()
			return
		}
	}
	a.t.Fatalf("the local AWS does not answer\n%s", a.log())
}

func (a *localAWS) log() string {
	text, _ := os.ReadFile(a.wrote)
	return string(text[max(0, len(text)-4000):])
}

// environment is what leads the CLIs to the local AWS. CloudFormation there reads templates from a
// bucket by path only on a host that it knows.
func (a *localAWS) environment(more ...string) []string {
	return append(hermetic.Environ(), append(more,
		"AWS_ENDPOINT_URL="+a.url, "AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION="+strings.Replace(a.url, "127.0.0.1",
			"localhost", 1),
		"AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing", "AWS_REGION="+region, "AWS_DEFAULT_REGION="+
			region,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_DEFAULT_OUTPUT=json", "AWS_PAGER=", "CDK_DISABLE_CLI_TELEMETRY=true")...)
}

// cdk runs the CDK's command as a user would, in infra.
func (a *localAWS) cdk(configuration string, arguments ...string) {
	a.t.Helper()
	began := time.Now()
	command := exec.Command("node", append([]string{filepath.Join("node_modules", ".bin", "cdk")},
		append(arguments, "-c", "config="+configuration, "--output", a.t.TempDir())...)...)
	command.Dir = filepath.Join(root(a.t), "infra")
	command.Env = a.environment("TMPDIR=" + a.t.TempDir())
	if output, err := command.CombinedOutput(); err != nil {
		a.t.Fatalf("cdk %s: %v\n%s\n%s", arguments[0], err, output, a.log())
	}
	a.t.Logf("cdk %s: %s", strings.Join(arguments, " "), time.Since(began).Round(100*time.Millisecond))
}

// cli runs the AWS CLI and reads its answer.
func (a *localAWS) cli(answer any, arguments ...string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "aws", arguments...)
	command.Env = a.environment()
	var failure bytes.Buffer
	command.Stderr = &failure
	output, err := command.Output()
	if err != nil {
		a.t.Fatalf("aws %s %s: %v\n%s\n%s", arguments[0], arguments[1], err, failure.String(), a.log())
	}
	if answer == nil {
		return
	}
	must(a.t, json.Unmarshal(output, answer))
}

// createSecret returns the ARN of a new secret.
func (a *localAWS) createSecret(name, value string) string {
	a.t.Helper()
	created, err := a.secrets.CreateSecret(a.t.Context(), &secretsmanager.CreateSecretInput{Name: &name,
		SecretString: &value})
	must(a.t, err)
	return *created.ARN
}

// A deployedSecret is a secret in the local AWS, and the registry of its keys.
type deployedSecret struct {
	*deployedStack
	name string
}

func (d *deployedStack) secret(name string) *deployedSecret { return &deployedSecret{d, name} }

// description is what DescribeSecret answers, as far as it is looked at.
type description struct {
	ARN, RotationLambdaARN string
	RotationEnabled        bool
}

func (s *deployedSecret) describe() description {
	s.t.Helper()
	d, err := s.aws.secrets.DescribeSecret(s.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &s.name})
	must(s.t, err)
	return description{aws.ToString(d.ARN), aws.ToString(d.RotationLambdaARN), aws.ToBool(d.RotationEnabled)}
}

// labels are the labels of each version, in a fixed order.
func (s *deployedSecret) labels() map[string]string {
	s.t.Helper()
	d, err := s.aws.secrets.DescribeSecret(s.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &s.name})
	must(s.t, err)
	labels := map[string]string{}
	for version, stages := range d.VersionIdsToStages {
		slices.Sort(stages)
		labels[version] = strings.Join(stages, " ")
	}
	return labels
}

func (s *deployedSecret) value() string {
	s.t.Helper()
	v, err := s.aws.secrets.GetSecretValue(s.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &s.name})
	must(s.t, err)
	return *v.SecretString
}

// current is the key that consumers read, and its version.
func (s *deployedSecret) current() (key, version string) {
	s.t.Helper()
	v, err := s.aws.secrets.GetSecretValue(s.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &s.name})
	must(s.t, err)
	var value struct {
		Key string `json:"QUILT_API_KEY"`
	}
	must(s.t, json.Unmarshal([]byte(*v.SecretString), &value))
	return value.Key, *v.VersionId
}

// marked reports whether a superseded version has its mark.
func (s *deployedSecret) marked() bool {
	for _, labels := range s.labels() {
		if strings.Contains(labels, "quilt-superseded:") && !strings.Contains(labels, vault.Current) {
			return true
		}
	}
	return false
}

// rotate starts a rotation and waits until its version is the current one.
func (s *deployedSecret) rotate() {
	s.t.Helper()
	began := time.Now()
	started, err := s.aws.secrets.RotateSecret(s.t.Context(), &secretsmanager.RotateSecretInput{SecretId: &s.name})
	must(s.t, err)
	s.await(func() bool { return strings.Contains(s.labels()[*started.VersionId], vault.Current) },
		"the end of the rotation")
	s.t.Logf("%s: rotated after %s", s.name, time.Since(began).Round(100*time.Millisecond))
}

func (s *deployedSecret) await(done func() bool, what string) {
	s.t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if done() {
			return
		}
	}
	s.t.Fatalf("%s: waited for %s: %v\n%s", s.name, what, s.labels(), s.aws.log())
}
