// Package proof_test proves what a look at the template cannot: that the functions' policies grant exactly what the built functions were seen to ask for, and that a
// deployment that nobody touched rotates a key (see deploy_test.go).
//
// It relies on the sandbox of the module quilt-rotate, whose wire shows every request, and on the Go command; it takes the templates from the app as `cdk` runs it.
package proof_test

import (
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
	"quilt-rotate/internal/sandbox/hermetic"
)

// root is the checkout's folder.
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

var arm64 = flag.Bool("arm64", false, "let the app compile the functions, which takes a minute with an empty build cache")

// functions is the folder of the built functions, app the built app, and noCompiler a folder with a Go command that compiles nothing.
var functions, app, noCompiler string

func TestMain(m *testing.M) {
	flag.Parse()
	hermetic.Clear()
	folder, err := os.MkdirTemp("", "proof-")
	if err != nil {
		panic(err)
	}
	functions, app, noCompiler = filepath.Join(folder, "functions"), filepath.Join(folder, "app"), filepath.Join(folder, "bin")
	status := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

// buildFunctions compiles both functions once, for this machine; without -trimpath, so that the packages come from the build cache.
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
	return errors.Join(os.Mkdir(noCompiler, 0o700), os.WriteFile(filepath.Join(noCompiler, "go"), []byte(script), 0o700))
})

// theApp is the app on a configuration, as the cdk command runs it. Without -arm64 the functions' packages hold no program: a build cache rarely has what
// they are compiled of, and tests that run at the same time would each compile it.
func theApp(t *testing.T, file, out string) *exec.Cmd {
	t.Helper()
	must(t, buildApp())
	command := exec.CommandContext(t.Context(), app)
	command.Dir = filepath.Join(root(t), "infra")
	named, err := json.Marshal(map[string]string{"config": file})
	must(t, err)
	command.Env = append(hermetic.Environ(), "CDK_OUTDIR="+out, "CDK_CONTEXT_JSON="+string(named), "CDK_DEFAULT_ACCOUNT="+account, "CDK_DEFAULT_REGION="+region,
		"TMPDIR="+t.TempDir())
	if !*arm64 {
		command.Env = append(command.Env, "PATH="+noCompiler+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	return command
}

// synthesize runs the app on a configuration, and returns that and the template.
func synthesize(t *testing.T, file string) (*config.Config, template) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("SKIPPED: the synthesized template: node is not installed")
	}
	out := t.TempDir()
	if output, err := theApp(t, file, out).CombinedOutput(); err != nil {
		t.Fatalf("synthesize %s: %v\n%s", file, err, output)
	}
	c, err := config.Load(file, config.AWS{Account: account, Region: region})
	must(t, err)
	text, err := os.ReadFile(filepath.Join(out, c.Stack+".template.json"))
	must(t, err)
	var synthesized template
	must(t, json.Unmarshal(text, &synthesized))
	return c, synthesized
}

// write puts a configuration into a file.
func write(t *testing.T, format string, args ...any) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, format, args...), 0o600))
	return file
}
