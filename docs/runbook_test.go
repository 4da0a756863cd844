package docs_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/docs/handbook"
)

// headingsOfPages are the headings of each page about an alarm or an error. Their order is the same
// on every page, so that readers find things quickly.
var headingsOfPages = []string{"What to look at", "What to type", "How to know that it is over", "What it means"}

// runbook returns the pages of the runbook by name, without the index.
func runbook(t *testing.T) map[string]handbook.Page {
	t.Helper()
	all := map[string]handbook.Page{}
	for _, p := range pages(t) {
		if path.Dir(p.Path) == "docs/runbook" && path.Base(p.Path) != "README.md" {
			all[strings.TrimSuffix(path.Base(p.Path), ".md")] = p
		}
	}
	return all
}

var (
	alarmOf = regexp.MustCompile("(?m)^Alarm `((?:wake|morning)-…-([a-z-]+))`")
	typesOf = regexp.MustCompile("(?m)^Error type `([A-Za-z]+)`")
)

// alarms returns the pages that the alarms of a deployed stack name, with their urgency. It reads
// the list that the tests of the deployment write.
func alarms(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(root, "infra/alarms.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Page, Class string }
	if err := json.Unmarshal(file, &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, a := range list {
		found[a.Page] = a.Class
	}
	if len(found) < 20 {
		t.Fatalf("found only %d alarms", len(found))
	}
	return found
}

// errorTypes returns the errorType names that Lambda reports: the types of internal/fault that
// embed Fault.
func errorTypes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal/fault/fault.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		body, ok := spec.Type.(*ast.StructType)
		if ok && len(body.Fields.List) == 1 && body.Fields.List[0].Names == nil {
			names = append(names, spec.Name.Name)
		}
		return true
	})
	if len(names) < 30 {
		t.Fatalf("found only %d types of errors", len(names))
	}
	return names
}

func TestEveryAlarmHasItsPage(t *testing.T) {
	// The page of each alarm exists and has the same urgency as the alarm. No page is left without
	// an alarm.
	all, rings := runbook(t), alarms(t)
	for name, class := range rings {
		want := class + "-…-" + name
		if match := alarmOf.FindStringSubmatch(all[name].Text); match == nil || match[1] != want {
			t.Errorf("docs/runbook/%s.md must have the line \"Alarm `%s`\", but has %q", name, want, match)
		}
	}
	for name, page := range all {
		if match := alarmOf.FindStringSubmatch(page.Text); match != nil && rings[match[2]] == "" {
			t.Errorf("docs/runbook/%s.md is about the alarm %s, which does not exist", name, match[1])
		}
	}
}

func TestEveryErrorHasItsPage(t *testing.T) {
	// Each errorType has one page, and no page is left without a type.
	types, found := errorTypes(t), map[string]string{}
	for name, page := range runbook(t) {
		for _, match := range typesOf.FindAllStringSubmatch(page.Text, -1) {
			if !slices.Contains(types, match[1]) {
				t.Errorf("docs/runbook/%s.md is about the error %s, which does not exist", name, match[1])
			}
			if found[match[1]] != "" {
				t.Errorf("two pages are about the error %s: %s and %s", match[1], found[match[1]], name)
			}
			found[match[1]] = name
		}
	}
	index := indexText(t)
	for _, name := range types {
		if found[name] == "" {
			t.Errorf("no page is about the error %s: add a page with the line \"Error type `%s`\"", name, name)
		} else if !strings.Contains(index, "[`"+name+"`]("+found[name]+".md)") {
			t.Errorf("docs/runbook/README.md does not link the error `%s` to %s.md", name, found[name])
		}
	}
}

func indexText(t *testing.T) string {
	t.Helper()
	index, err := handbook.Read(root, "docs/runbook/README.md")
	if err != nil {
		t.Fatal(err)
	}
	return index.Text
}

func TestRunbookPagesHaveTheSameHeadings(t *testing.T) {
	// Each page is short, has the same headings in the same order with commands first, and the
	// index has it.
	index := indexText(t)
	for name, page := range runbook(t) {
		if !strings.Contains(index, "("+name+".md)") {
			t.Errorf("docs/runbook/README.md does not link to %s.md", name)
		}
		if n := strings.Count(page.Text, "\n"); n > 80 {
			t.Errorf("%s has %d lines, want at most 80", page.Path, n)
		}
		if len(page.Commands()) == 0 {
			t.Errorf("%s has no command to type", page.Path)
		}
		if !alarmOf.MatchString(page.Text) && !typesOf.MatchString(page.Text) {
			continue // pages about planned work have other headings
		}
		var headings []string
		for _, h := range page.Headings[1:] {
			headings = append(headings, h.Text)
		}
		if !slices.Equal(headings, headingsOfPages) {
			t.Errorf("%s has the headings %q, want %q", page.Path, headings, headingsOfPages)
		}
	}
}
