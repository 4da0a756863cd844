package bench_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"quilt-rotate/internal/sandbox/hermetic"
)

// sources are the packages of the programs that are measured.
var sources = map[string]string{
	"rotate":        "quilt-rotate/functions/rotate",
	"revoke":        "quilt-rotate/functions/revoke",
	"quilt-rotate":  "quilt-rotate/cmd/quilt-rotate",
	"quilt-sandbox": "quilt-rotate/cmd/quilt-sandbox",
	smallest:        "./testdata/smallest",
	floor:           "./testdata/floor",
	calling:         "./testdata/calling",
}

var folder string // the folder of the built programs

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	hermetic.Clear()
	var err error
	if folder, err = os.MkdirTemp("", "bench-"); err != nil {
		fmt.Fprintln(os.Stderr, "create a folder for the programs:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	return m.Run()
}

var (
	building sync.Mutex
	built    = map[string]string{}
)

// program builds a program once and returns its path. The flags are those with which the Makefile
// builds functions for this machine, or with GOARCH=arm64 for Lambda.
func program(b *testing.B, name string, environment ...string) (path string) {
	b.Helper()
	building.Lock()
	defer building.Unlock()
	id := fmt.Sprint(name, environment)
	if built[id] != "" {
		return built[id]
	}
	path = filepath.Join(folder, fmt.Sprint(len(built)), "bootstrap")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
		"-ldflags=-s -w -buildid=", "-o", path, sources[name])
	build.Env = append(os.Environ(), append([]string{"CGO_ENABLED=0", "GOFLAGS="}, environment...)...)
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v\n%s", name, err, output)
	}
	built[id] = path
	return path
}

// packageSize returns the size of a program's deployment package. It is compressed as in the
// deployment (infra/bundle).
func packageSize(b *testing.B, path string) int {
	b.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	file, err := w.CreateHeader(&zip.FileHeader{Name: "bootstrap", Method: zip.Deflate})
	if err == nil {
		_, err = file.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	return archive.Len()
}
