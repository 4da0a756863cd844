package bundle_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quilt-rotate/infra/bundle"
)

func root(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	found, err := bundle.Root(folder)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestTheSameSourcesGiveTheSameBytes(t *testing.T) {
	// Protects from deployments that change nothing and yet replace the functions: the bytes do not depend on the folder, or on the caller's Go settings.
	here, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "another", "checkout")
	if err := os.MkdirAll(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"go.mod", "go.sum", "functions", "internal"} {
		if info, err := os.Stat(filepath.Join(root(t), part)); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			if err := os.CopyFS(filepath.Join(elsewhere, part), os.DirFS(filepath.Join(root(t), part))); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(filepath.Join(elsewhere, part), read(t, filepath.Join(root(t), part)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := bundle.Build(root(t), here, nil); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-buildvcs=true")
	t.Setenv("GOARCH", "amd64")
	if err := bundle.Build(elsewhere, filepath.Join(elsewhere, "out"), nil); err != nil {
		t.Fatal(err)
	}
	for _, function := range bundle.Functions {
		if !bytes.Equal(read(t, filepath.Join(here, function+".zip")), read(t, filepath.Join(elsewhere, "out", function+".zip"))) {
			t.Errorf("%s has other bytes in another folder", function)
		}
	}
}

func TestThePackageIsWhatLambdaStarts(t *testing.T) {
	// Protects the functions' start: a program for arm64 that may be executed, of the name that the runtime starts, with the CA bundle beside it.
	out := t.TempDir()
	if err := bundle.Build(root(t), out, []byte("certificates")); err != nil {
		t.Fatal(err)
	}
	for _, function := range bundle.Functions {
		archive, err := zip.OpenReader(filepath.Join(out, function+".zip"))
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		for _, f := range archive.File {
			reader, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			if files[f.Name], err = io.ReadAll(reader); err != nil {
				t.Fatal(err)
			}
			if f.Name == bundle.Program && f.Mode()&0o111 != 0o111 {
				t.Errorf("%s: the program's mode is %v", function, f.Mode())
			}
		}
		_ = archive.Close()
		program, err := elf.NewFile(bytes.NewReader(files[bundle.Program]))
		if err != nil || program.Machine != elf.EM_AARCH64 {
			t.Errorf("%s: the program is none for arm64: %v", function, err)
		}
		if string(files[bundle.CABundle]) != "certificates" || len(files) != 2 {
			t.Errorf("%s: the package has %d files", function, len(files))
		}
	}
}

func TestOutsideOfACheckout(t *testing.T) {
	// Protects who copied infra alone: it is said what is missing.
	if _, err := bundle.Root(t.TempDir()); err == nil || !strings.Contains(err.Error(), "run this in a checkout") {
		t.Errorf("got %v", err)
	}
}
