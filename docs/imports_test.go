package docs_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importRules say which packages of this project the packages below a folder may import. The first
// rule with a matching folder applies.
var importRules = []struct {
	folder  string
	allowed []string // folders; one that begins with "!" is excepted from those after it
}{
	{"cmd/quilt-sandbox", []string{"!internal/cli", "internal"}},
	{"cmd", []string{"!internal/sandbox", "internal"}},
	{"functions", []string{"!internal/cli", "!internal/sandbox", "internal", "functions/start"}},
	{"internal/cli", []string{"!internal/sandbox", "internal"}},
	{"internal/sandbox", []string{"!internal/cli", "internal"}},
	{"internal", []string{"!internal/cli", "!internal/sandbox", "internal"}},
	{"infra", []string{"!internal/cli", "!internal/sandbox", "internal", "infra"}},
	{"docs", nil},
}

// heavy are modules that take long to compile. Only packages below the given folder may import
// them.
var heavy = map[string]string{"modernc.org/sqlite": "internal/sandbox/awsathena", "github.com/aws/aws-cdk-go": "infra"}

func TestImportsGoDownOnly(t *testing.T) {
	// The functions and the operators' command import no package of the sandbox and no package of a
	// higher layer.
	seen := 0
	for importer, imports := range importsOf(t) {
		for _, imported := range imports {
			seen++
			if !mayImport(t, importer, imported) {
				t.Errorf("%s must not import %s", importer, imported)
			}
		}
	}
	if seen < 100 {
		t.Errorf("found only %d imports", seen)
	}
}

func TestFunctionsContainOnlyWhatTheyRun(t *testing.T) {
	// Packages that only a person at a terminal needs would make the functions larger and their
	// start slower.
	imports := importsOf(t)
	for _, function := range []string{"functions/rotate", "functions/revoke"} {
		reached, todo := map[string]bool{}, []string{function}
		for len(todo) > 0 {
			next := todo[0]
			todo = todo[1:]
			for _, imported := range imports[next] {
				if !reached[imported] {
					reached[imported], todo = true, append(todo, imported)
				}
			}
		}
		if reached["internal/terminal"] {
			t.Errorf("%s contains internal/terminal", function)
		}
		if !reached["internal/quilt"] {
			t.Errorf("%s reaches only %v", function, slices.Sorted(maps.Keys(reached)))
		}
	}
}

func TestTheDemoIsBuiltWithoutADatabase(t *testing.T) {
	// The tag noathena leaves out the packages that take longest to compile.
	for tags, want := range map[string]bool{"": true, "noathena": false} {
		list := exec.Command("go", "list", "-deps", "-tags", tags, "./cmd/quilt-sandbox")
		list.Dir = root
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), "modernc.org/") != want {
			t.Errorf("with the tags %q, quilt-sandbox contains the database: %t, want %t", tags, !want, want)
		}
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil || !strings.Contains(string(makefile), "\ndemo: $(BUILD)/noathena/quilt-sandbox ") {
		t.Errorf("make demo does not build with the tag noathena (%v)", err)
	}
}

// importsOf returns the imports of each package by its folder, without tests. A package of this
// project is named by its folder.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for folder, files := range packages(t) {
		relative, err := filepath.Rel(root, folder)
		if err != nil {
			t.Fatal(err)
		}
		importer := filepath.ToSlash(relative)
		for _, file := range files {
			for _, spec := range file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				all[importer] = append(all[importer], strings.TrimPrefix(imported, "quilt-rotate/"))
			}
		}
	}
	return all
}

func mayImport(t *testing.T, importer, imported string) bool {
	t.Helper()
	for module, only := range heavy {
		if within(imported, module) {
			return within(importer, only)
		}
	}
	if !slices.Contains([]string{"cmd", "functions", "internal", "infra", "docs"}, strings.Split(imported, "/")[0]) ||
		imported == "internal" {
		return true // of another module
	}
	for _, rule := range importRules {
		if !within(importer, rule.folder) {
			continue
		}
		for _, allowed := range rule.allowed {
			excepted, no := strings.CutPrefix(allowed, "!")
			if within(imported, excepted) {
				return !no
			}
		}
		return false
	}
	t.Errorf("no import rule applies to %s", importer)
	return true
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
