package keyrotation_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTheExampleCompilesInAnotherModule(t *testing.T) {
	// Another module may import no internal package, and needs the replace directives of README.md,
	// because this module is not published.
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	copied := func(from, to string, change func(string) string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, to), []byte(change(string(text))), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copied("example_test.go", "main.go", strings.NewReplacer("package keyrotation_test", "package main",
		"func Example()", "func main()").Replace)
	copied("../go.sum", "go.sum", strings.Clone)
	copied("../go.mod", "go.mod", func(text string) string {
		text = strings.Replace(text, "module quilt-rotate/infra", "module example.com/app", 1)
		text = regexp.MustCompile(`(?s)\nignore \(.*?\n\)`).ReplaceAllString(text, "")
		text = regexp.MustCompile(`replace quilt-rotate => .*`).ReplaceAllLiteralString(text,
			"replace quilt-rotate => "+root+"\n\nreplace quilt-rotate/infra => "+root+"/infra")
		return text + "\nrequire quilt-rotate/infra v0.0.0-00010101000000-000000000000\n"
	})
	build := exec.CommandContext(t.Context(), "go", "vet", "-mod=mod", ".")
	build.Dir, build.Env = folder, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
