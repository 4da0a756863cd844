// Package proof_test checks what the template alone does not show: that the functions' policies
// grant exactly the requests that the built functions send, and that a new deployment rotates a key
// (deploy_test.go).
//
// It relies on the sandbox of the module quilt-rotate, whose wire shows every request, and on the
// Go command; it takes the templates from the app as `cdk` runs it.
package proof_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"quilt-rotate/infra/bundle"
	"quilt-rotate/infra/config"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/hermetic"
)

// root returns the folder of the checkout.
func root(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	must(t, err)
	folder, err := bundle.Root(filepath.Dir(filepath.Dir(here)))
	must(t, err)
	return folder
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var arm64 = flag.Bool("arm64", false, "let the app compile the functions, which takes a minute with an empty build "+
	"cache")

// functions is the folder of the built functions, app the built app, and noCompiler a folder with a
// Go command that compiles nothing.
var functions, app, noCompiler string

func TestMain(m *testing.M) {
	flag.Parse()
	hermetic.Clear()
	folder, err := os.MkdirTemp("", "proof-")
	if err != nil {
		panic(err)
	}
	functions, app, noCompiler = filepath.Join(folder, "functions"), filepath.Join(folder, "app"), filepath.Join(folder,
		"bin")
	status := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

// buildFunctions compiles both functions once, for this machine; without -trimpath, so that the
// packages come from the build cache.
var buildFunctions = sync.OnceValue(func() error {
	checkout, err := bundle.Root(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	for _, name := range bundle.Functions {
		build := exec.Command("go", "build", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags=-s -w -buildid=",
			"-o", filepath.Join(functions, name, bundle.Program), "./functions/"+name)
		build.Dir, build.Env = checkout, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the function %s: %w\n%s", name, err, output)
		}
	}
	return nil
})

// builtFunction is the path of a function's program.
func builtFunction(t *testing.T, name string) (bootstrap string) {
	t.Helper()
	must(t, buildFunctions())
	return filepath.Join(functions, name, bundle.Program)
}

// buildApp links the app once, and writes the Go command that compiles nothing.
var buildApp = sync.OnceValue(func() error {
	build := exec.Command("go", "build", "-buildvcs=false", "-o", app, ".")
	build.Dir = ".."
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the app: %w\n%s", err, output)
	}
	const script = "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\necho \"$3\" >\"$2\"\n"
	return errors.Join(os.Mkdir(noCompiler, 0o700), os.WriteFile(filepath.Join(noCompiler, "go"), []byte(script),
		0o700))
})

// theApp returns the command that runs the app on a configuration, as the cdk command does. Without
// -arm64, the functions' packages contain no program, because each of the parallel tests would have
// to compile it.
func theApp(t *testing.T, file, out string) *exec.Cmd {
	t.Helper()
	must(t, buildApp())
	command := exec.CommandContext(t.Context(), app)
	command.Dir = filepath.Join(root(t), "infra")
	var cdk struct{ Context map[string]any }
	content, err := os.ReadFile(filepath.Join(command.Dir, "cdk.json"))
	must(t, err)
	must(t, json.Unmarshal(content, &cdk))
	cdk.Context["config"] = file // as -c config=FILE
	named, err := json.Marshal(cdk.Context)
	must(t, err)
	command.Env = append(hermetic.Environ(), "CDK_OUTDIR="+out, "CDK_CONTEXT_JSON="+string(named),
		"CDK_DEFAULT_ACCOUNT="+account, "CDK_DEFAULT_REGION="+region,
		"TMPDIR="+t.TempDir(), "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20") // Node 20 runs the tests, too
	if !*arm64 {
		command.Env = append(command.Env, "PATH="+noCompiler+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	return command
}

// runApp runs the app on a configuration.
func runApp(t *testing.T, file string) (stdout, stderr string, status int, out string) {
	t.Helper()
	out = t.TempDir()
	command := theApp(t, file, out)
	var stdoutBytes, stderrBytes bytes.Buffer
	command.Stdout, command.Stderr = &stdoutBytes, &stderrBytes
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return stdoutBytes.String(), stderrBytes.String(), command.ProcessState.ExitCode(), out
}

// A synthesis is a configuration, its template, and the other output of the app.
type synthesis struct {
	*config.Config
	template
	stderr   string
	packages int
}

// synthesize runs the app on a configuration.
func synthesize(t *testing.T, file string) synthesis {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("SKIPPED: the synthesized template: node is not installed")
	}
	_, stderr, status, out := runApp(t, file)
	if status != 0 {
		t.Fatalf("synthesize %s: status %d\n%s", file, status, stderr)
	}
	c, err := config.Load(file, config.AWS{Account: account, Region: region})
	must(t, err)
	text, err := os.ReadFile(filepath.Join(out, c.Stack+".template.json"))
	must(t, err)
	zips, err := filepath.Glob(filepath.Join(out, "asset.*.zip"))
	must(t, err)
	made := synthesis{Config: c, stderr: stderr, packages: len(zips)}
	must(t, json.Unmarshal(text, &made.template))
	return made
}

// The configuration of [everything] has every option that adds permissions or commands.
const (
	everythingYAML = `
stack: quilt-rotate-proof
registry: %[1]s
network: {vpc: vpc-0123456789abcdef0, subnets: [subnet-0123456789abcdef0]}
kmsKey: new
keys:
  - {name: prod/pipeline, schedule: rate(30 days), issuer: %[2]q, replicas: [{region: us-west-2, kmsKey: %[3]q}]}
  - {secret: %[4]q, schedule: rate(30 days)}
  - {name: prod/field, schedule: rate(30 days), field: key of the pipeline}
  - {name: prod/plain, schedule: rate(30 days), plain: true}
  - {secret: %[5]q, schedule: rate(30 days), field: key of reports, keyName: reports, owner: %[6]s,
     expiresInDays: 120, grace: 48h, quiet: 26h, holdLimit: 168h,
     issuer: %[2]q, restart: [{cluster: prod, service: reports}, {cluster: prod, service: mail}]}
retired:
  - {name: prod/gone, schedule: rate(30 days), issuer: %[2]q}
`
	registry      = "https://registry.example.com"
	replicaKMSKey = "arn:aws:kms:us-west-2:" + account + ":key/33333333-2222-3333-4444-555555555555"
)

func arnOf(secret string) string { return awssecrets.ARN(region, account, secret) }

var (
	everythingOnce sync.Once
	everythingMade synthesis
)

// everything is synthesized once for all tests.
func everything(t *testing.T) synthesis {
	t.Helper()
	everythingOnce.Do(func() {
		everythingMade = synthesize(t, write(t, everythingYAML, registry, arnOf("prod/issuer"), replicaKMSKey,
			arnOf("prod/little"), arnOf("prod/reports"), sandbox.UserEmail))
		_ = os.RemoveAll(filepath.Join(root(t), "build", "infra", "quilt-rotate-proof"))
	})
	if everythingMade.Config == nil {
		t.Fatal("another test could not synthesize the configuration")
	}
	return everythingMade
}

// write writes a configuration to a file.
func write(t *testing.T, format string, args ...any) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, format, args...), 0o600))
	return file
}
