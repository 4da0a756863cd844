package scene

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"quilt-rotate/internal/sandbox"
)

// Functions are the paths of the two built functions.
type Functions struct {
	Rotate string
	Revoke string
}

// In returns the functions that `make build` built in a folder: <folder>/<name>/bootstrap.
func In(folder string) Functions {
	return Functions{
		Rotate: filepath.Join(folder, sandbox.RotateFunction, "bootstrap"),
		Revoke: filepath.Join(folder, sandbox.RevokeFunction, "bootstrap"),
	}
}

// Missing returns the paths of the files that do not exist.
func (f Functions) Missing() []string {
	var missing []string
	for _, path := range []string{f.Rotate, f.Revoke} {
		if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			missing = append(missing, path)
		}
	}
	return missing
}

// Build compiles both functions for this machine, for tests, which run without make. It does not
// use -trimpath, so that it can use the packages of the tests in the build cache.
func Build(ctx context.Context, folder string) (Functions, error) {
	f := In(folder)
	for name, path := range map[string]string{sandbox.RotateFunction: f.Rotate, sandbox.RevokeFunction: f.Revoke} {
		build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags", "lambda.norpc",
			"-ldflags=-s -w -buildid=", "-o", path, "quilt-rotate/functions/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return Functions{}, fmt.Errorf("build the function %s: %w\n%s", name, err, output)
		}
	}
	return f, nil
}
