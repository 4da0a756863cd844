package main

import (
	"encoding/xml"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/settings"
)

func TestTheREADMENamesEverySetting(t *testing.T) {
	// Protects operators from settings that only the code knows.
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		settings.EnvRegistryURL, settings.EnvCABundle, settings.EnvExpiresInDays, settings.EnvGrace, settings.EnvQuiet,
		settings.EnvHoldLimit, settings.EnvOrphanAge, settings.EnvLogLevel,
		settings.TagField, settings.TagKeyName, settings.TagExpiresInDays, settings.TagGrace, settings.TagQuiet, settings.TagHoldLimit,
		settings.TagIssuer, settings.TagOwner, settings.TagRegistry, settings.TagPauseUntil, settings.TagRestart, settings.TagRevokeFunction,
	} {
		if !strings.Contains(string(readme), "`"+name+"`") {
			t.Errorf("README.md does not name %s", name)
		}
	}
}

func TestThePictureOfTheDemoIsTrue(t *testing.T) {
	// Protects the first thing that a visitor sees: the picture shows what the demo prints, but for keys, ids, times and counts. `make picture` draws it anew.
	picture, err := os.ReadFile("../../docs/demo.svg")
	if err != nil {
		t.Fatal(err)
	}
	var svg struct {
		Text []struct {
			Runs []string `xml:"tspan"`
		} `xml:"text"`
	}
	if err := xml.Unmarshal(picture, &svg); err != nil {
		t.Fatal(err)
	}
	var drawn []string
	for _, line := range svg.Text {
		drawn = append(drawn, strings.Join(line.Runs, " "))
	}
	status, printed, _ := inProcess(t.Context(), "demo", "--functions", folder)
	if status != exitOK {
		t.Fatalf("the demo ends with %d", status)
	}
	if diff := cmp.Diff(essence(printed), essence(strings.Join(drawn, "\n"))); diff != "" {
		t.Errorf("the picture is not what the demo prints; run make picture (-demo +picture):\n%s", diff)
	}
}

// essence leaves out what differs between two runs.
func essence(text string) []string {
	changing := regexp.MustCompile(`qk_\w+\.\.\.\w+|\b[0-9a-f]{8}\b|[A-Z][a-z]{2} \d+ [A-Z][a-z]{2}|\d+([.:]\d+)*`)
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(changing.ReplaceAllString(line, "#")), ""); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestEveryCommandThatIsNamedIsThere(t *testing.T) {
	// Protects who reads "run: quilt-rotate unstick" at night, in an error or on a page: there is such a command, and it has the options that are named.
	spoken := regexp.MustCompile(`quilt-rotate ((?:keys )?[a-z]+)((?:[^` + "`" + `"\n;()]| \()*)`)
	prose := regexp.MustCompile(`^ [a-z]+( |$)`) // "quilt-rotate has no such tag"
	found := map[string]bool{}
	check := func(where, text string) {
		for _, match := range spoken.FindAllStringSubmatch(text, -1) {
			command := strings.Fields(match[1])
			if prose.MatchString(match[2]) {
				continue
			}
			found[match[1]] = true
			status, help, _ := inProcess(t.Context(), append(command, "--help")...)
			if status != exitOK {
				t.Errorf("%s names %q, and there is no such command", where, match[0])
				continue
			}
			options, _, _ := strings.Cut(match[2], " -- ")
			for _, option := range regexp.MustCompile(`--[a-z-]+`).FindAllString(options, -1) {
				if !regexp.MustCompile(option + `\b`).MatchString(help) {
					t.Errorf("%s names %q, and %s has no option %s", where, match[0], match[1], option)
				}
			}
		}
	}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "build" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		text, err := os.ReadFile(path)
		switch {
		case entry.IsDir():
			return nil
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			for _, literal := range literals(t, text) {
				check(path, literal)
			}
		case strings.HasSuffix(path, ".md"):
			for _, code := range regexp.MustCompile("`quilt-rotate [^`]+`|(?m)^ *\\$ .*quilt-rotate .*$").FindAllString(string(text), -1) {
				check(path, code)
			}
		}
		return err
	})
	if err != nil || !found["rotate"] {
		t.Fatalf("found %v, %v", found, err)
	}
}

// literals are the texts in a Go file, which its errors are made of; comments are none.
func literals(t *testing.T, source []byte) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, _ := strconv.Unquote(literal.Value)
			all = append(all, text)
		}
		return true
	})
	return all
}
