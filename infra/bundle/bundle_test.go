package bundle_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quilt-rotate/infra/bundle"
)

var arm64 = flag.Bool("arm64", false, "build the packages, which takes a minute with an empty build cache")

func needArm64(t *testing.T) {
	t.Helper()
	if !*arm64 {
		t.Skip("SKIPPED: the packages for Lambda: run make arm64")
	}
}

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

func TestTheSameSourcesMakeTheSamePackages(t *testing.T) {
	// A deployment without a change must not update the functions, so packages do not depend on the
	// folder or on the caller's Go settings.
	needArm64(t)
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
		} else if err := os.WriteFile(filepath.Join(elsewhere, part), read(t, filepath.Join(root(t), part)),
			0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := bundle.Build(root(t), here, nil); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-buildvcs=true")
	t.Setenv("GOARCH", "amd64")
	t.Setenv("GOTOOLCHAIN", "local")
	if err := bundle.Build(elsewhere, filepath.Join(elsewhere, "out"), nil); err != nil {
		t.Fatal(err)
	}
	for _, function := range bundle.Functions {
		if !bytes.Equal(read(t, filepath.Join(here, function+".zip")),
			read(t, filepath.Join(elsewhere, "out", function+".zip"))) {
			t.Errorf("%s has different bytes in another folder", function)
		}
	}
}

func TestPackagesAreForLambda(t *testing.T) {
	// A package has an executable program for arm64 with the name that the runtime starts, and the
	// CA bundle.
	needArm64(t)
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
			t.Errorf("%s: the program is not for arm64: %v", function, err)
		}
		if string(files[bundle.CABundle]) != "certificates" || len(files) != 2 {
			t.Errorf("%s: the package has %d files", function, len(files))
		}
	}
}

func TestRootFindsOnlyTheCheckout(t *testing.T) {
	// Only the module quilt-rotate is built and deployed. The search for it stops at another
	// module.
	for name, c := range map[string]struct {
		modules map[string]string // go.mod of each folder
		from    string
		want    string // "" if there is no checkout
	}{
		"the checkout": {map[string]string{"a": "module quilt-rotate\n",
			"a/infra": "module quilt-rotate/infra\n"}, "a", "a"},
		"the deployment's folder": {map[string]string{"a": "module quilt-rotate\n",
			"a/infra": "module quilt-rotate/infra\n"}, "a/infra", "a"},
		"a folder of the deployment": {map[string]string{"a": "module quilt-rotate\n",
			"a/infra": "module quilt-rotate/infra\n"}, "a/infra/bundle", "a"},
		"a folder of the checkout": {map[string]string{"a": "module quilt-rotate\n"}, "a/functions/rotate", "a"},
		"a checkout with CRLF": {map[string]string{"a": "module quilt-rotate\r\n\r\ngo 1.26\r\n",
			"a/infra": "module quilt-rotate/infra\r\n"}, "a/infra", "a"},
		"a comment above the module": {map[string]string{"a": "// The service.\nmodule quilt-rotate // its name\n"},
			"a", "a"},
		"another module":              {map[string]string{"a": "module example.com/app\n"}, "a", ""},
		"a module with a longer name": {map[string]string{"a": "module quilt-rotate-fork\n"}, "a", ""},
		"a module above another": {map[string]string{".": "module quilt-rotate\n",
			"a": "module example.com/app\n"}, "a/b", ""},
		"infra alone": {map[string]string{".": "module example.com/app\n",
			"a/infra": "module quilt-rotate/infra\n"}, "a/infra", ""},
		"infra alone, below a go.mod": {map[string]string{".": "module quilt-rotate\n",
			"a/infra": "module quilt-rotate/infra\n"}, "a/infra", ""},
		"infra alone, in other's code": {map[string]string{"a": "module example.com/app\n",
			"a/infra": "module quilt-rotate/infra\n"}, "a/infra", ""},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for at, text := range c.modules {
				if err := os.MkdirAll(filepath.Join(folder, at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, at, "go.mod"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := bundle.Root(filepath.Join(folder, c.from))
			switch {
			case c.want == "" && (err == nil || !strings.Contains(err.Error(), "run this in a checkout")):
				t.Errorf("found %q, %v; want an error that says where to run it", got, err)
			case c.want != "" && got != filepath.Join(folder, c.want):
				t.Errorf("found %q, %v; want %q", got, err, filepath.Join(folder, c.want))
			}
		})
	}
}
