// Package docs_test checks the pages of the documentation: links have a target, pictures can be
// drawn, each alarm and each error has its page, and each command on a page is tested. The tests
// that need a sandbox are in cmd/quilt-rotate (pages_test.go) and docs/consumers.
package docs_test

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"quilt-rotate/docs/handbook"
)

const root = ".."

func pages(t *testing.T) []handbook.Page {
	t.Helper()
	all, err := handbook.All(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d pages", len(all))
	}
	return all
}

func TestLinksHaveATarget(t *testing.T) {
	// The file of each link exists, and so does the heading.
	all := pages(t)
	anchors := map[string][]string{}
	for _, p := range all {
		anchors[p.Path] = []string{""}
		for _, h := range p.Headings {
			anchors[p.Path] = append(anchors[p.Path], h.Anchor)
		}
	}
	for _, p := range all {
		for _, link := range p.Links {
			target, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: the link %s: %v", p.Path, link, err)
				continue
			}
			if target.Scheme != "" {
				if target.Scheme != "https" {
					t.Errorf("%s: the link %s is not https", p.Path, link)
				}
				continue
			}
			file := p.Path
			if target.Path != "" {
				file = path.Join(path.Dir(p.Path), target.Path)
			}
			if _, err := os.Stat(filepath.Join(root, file)); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the target of the link %s does not exist", p.Path, link)
				continue
			}
			if known, page := anchors[file]; page && !slices.Contains(known, target.Fragment) {
				t.Errorf("%s: %s has no heading #%s", p.Path, file, target.Fragment)
			}
		}
	}
}

func TestEveryPageIsLinked(t *testing.T) {
	all := pages(t)
	linked := map[string]bool{"README.md": true}
	for _, p := range all {
		for _, link := range p.Links {
			target, _, _ := strings.Cut(link, "#")
			linked[path.Join(path.Dir(p.Path), target)] = true
		}
	}
	for _, p := range all {
		if !linked[p.Path] {
			t.Errorf("no page links to %s", p.Path)
		}
	}
}

func TestNamedTestsExist(t *testing.T) {
	// Each test that a page names exists.
	exists := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+|Example\w+|Fuzz\w+)\(`)
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "node_modules":
			return fs.SkipDir
		case !strings.HasSuffix(file, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(file)
		for _, match := range declared.FindAllStringSubmatch(string(source), -1) {
			exists[match[1]] = true
		}
		return err
	})
	if err != nil || len(exists) < 100 {
		t.Fatalf("found %d tests, %v", len(exists), err)
	}
	named := regexp.MustCompile("`(Test[A-Z]\\w+)`")
	count := 0
	for _, p := range pages(t) {
		for _, match := range named.FindAllStringSubmatch(p.Text, -1) {
			count++
			if !exists[match[1]] {
				t.Errorf("%s names the test %s, which does not exist", p.Path, match[1])
			}
		}
	}
	if count < 20 {
		t.Errorf("found only %d names of tests", count)
	}
}

func TestThePagesHavePlainLines(t *testing.T) {
	// No line ends with white space or with an exclamation mark, and each page has a title.
	for _, p := range pages(t) {
		for i, line := range strings.Split(p.Text, "\n") {
			if strings.TrimRight(line, " \t\r") != line {
				t.Errorf("%s:%d ends with white space", p.Path, i+1)
			}
			if strings.Contains(line, "!") && regexp.MustCompile(`[a-z]![ \n]*$`).MatchString(line) {
				t.Errorf("%s:%d ends with an exclamation mark", p.Path, i+1)
			}
		}
		if len(p.Headings) == 0 || p.Headings[0].Level != 1 {
			t.Errorf("%s has no title", p.Path)
		}
	}
}

func TestNamedFunctionsExist(t *testing.T) {
	// The pages walk through the code as "[`file.go`](path) `function`". A reader finds the
	// function in that file.
	walk := regexp.MustCompile("\\[`[a-z_]+\\.go`\\]\\(([^)]+\\.go)\\)\\s+`(\\w+)`")
	count := 0
	for _, p := range pages(t) {
		for _, match := range walk.FindAllStringSubmatch(p.Text, -1) {
			count++
			source, err := os.ReadFile(filepath.Join(root, filepath.Dir(p.Path), match[1]))
			if err != nil {
				t.Errorf("%s: %v", p.Path, err)
				continue
			}
			if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + match[2] + `\b`).Match(source) {
				t.Errorf("%s: %s has no function %s", p.Path, match[1], match[2])
			}
		}
	}
	if count < 20 {
		t.Errorf("found only %d functions", count)
	}
}

func TestPagesAreWrapped(t *testing.T) {
	// A page is read in a terminal, too. Tables and code blocks cannot be wrapped.
	for _, p := range pages(t) {
		code := false
		for i, line := range strings.Split(p.Text, "\n") {
			trimmed := strings.TrimSpace(line)
			if strings.HasPrefix(trimmed, "```") {
				code = !code
			}
			if n := utf8.RuneCountInString(line); n > 120 && !code && !strings.HasPrefix(trimmed, "|") {
				t.Errorf("%s:%d has %d columns, more than 120", p.Path, i+1, n)
			}
		}
	}
}
