// Package bundle builds the deployment packages of the functions. Each one is a zip file with the
// program and, if one is given, the CA bundle.
//
// The same sources give the same bytes on every machine and in every folder, so a deployment
// without a change does not update the functions. The package needs the Go command and the sources
// of the module quilt-rotate. It downloads only modules and the toolchain of go.mod, which go.sum
// or the Go checksum database verifies.
package bundle

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program and CABundle are the names of the files in a package. CABundlePath is where the functions
// find the CA bundle.
const (
	Program      = "bootstrap" // the name that Lambda's provided runtimes start
	CABundle     = "ca.pem"
	CABundlePath = "/var/task/" + CABundle
)

// Functions are the names of the Lambda functions, as in functions/<name>.
var Functions = []string{"rotate", "revoke"}

// Build writes <out>/<function>.zip for each function from the sources of the module in root.
func Build(root, out string, caBundle []byte) error {
	for _, function := range Functions {
		program, err := compile(root, function)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(out, function+".zip"), program, caBundle); err != nil {
			return fmt.Errorf("write the package of the function %s: %w", function, err)
		}
	}
	return nil
}

// compile builds one function for Lambda on arm64, independently of the caller's Go environment.
func compile(root, function string) ([]byte, error) {
	folder, err := os.MkdirTemp("", "quilt-rotate-")
	if err != nil {
		return nil, fmt.Errorf("build the function %s: %w", function, err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	program := filepath.Join(folder, Program)
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
		"-ldflags=-s -w -buildid=", "-o", program, "./functions/"+function)
	build.Dir = root
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0", "CGO_ENABLED=0", "GOFLAGS=",
		"GOWORK=off", "GOEXPERIMENT=")
	// The toolchain of go.mod is only a minimum for the go command, and a newer toolchain generates
	// other bytes.
	if toolchain := directive(root, "toolchain"); toolchain != "" {
		build.Env = append(build.Env, "GOTOOLCHAIN="+toolchain)
	}
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the function %s in %s: %w\n%s", function, root, err,
			strings.TrimSpace(string(output)))
	}
	return os.ReadFile(program)
}

// packed is the date of every file in a package: the earliest date of the zip format.
var packed = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func write(name string, program, caBundle []byte) error {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	if err := add(w, Program, 0o755, program); err != nil {
		return err
	}
	if caBundle != nil {
		if err := add(w, CABundle, 0o644, caBundle); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	return os.WriteFile(name, archive.Bytes(), 0o600)
}

func add(w *zip.Writer, name string, mode os.FileMode, content []byte) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: packed}
	header.SetMode(mode)
	file, err := w.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return err
}

// The modules of a checkout: the functions, and the deployment in the folder infra.
const (
	module     = "quilt-rotate"
	deployment = "quilt-rotate/infra"
)

// Root returns the folder of the module quilt-rotate, which contains the given folder. The nearest
// go.mod decides. The search stops at another module, because a go.mod further up can belong to
// other sources, and the result is built and deployed.
func Root(folder string) (string, error) {
	at := folder
	for directive(at, "module") == "" && at != filepath.Dir(at) {
		at = filepath.Dir(at)
	}
	if directive(at, "module") == deployment {
		at = filepath.Dir(at)
	}
	if directive(at, "module") != module {
		return "", fmt.Errorf("find the sources of the functions: %s is not in a checkout of %s; run this in a "+
			"checkout", folder, module)
	}
	return at, nil
}

// directive returns the value of a directive of go.mod in a folder, such as module. It is empty if
// there is no such file or directive.
func directive(folder, name string) string {
	text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) { // Fields drops the carriage returns of a checkout on Windows
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			return strings.Trim(words[1], "\"`")
		}
	}
	return ""
}
