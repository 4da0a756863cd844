package revocation_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	. "quilt-rotate/internal/revocation"
)

// TestPageOfEachErrorIsTheRunbooks checks that a message names the page that the runbook lists for
// the error.
func TestPageOfEachErrorIsTheRunbooks(t *testing.T) {
	folder := filepath.Join("..", "..", "docs", "runbook")
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| \\[`(\\w+)`\\]\\(([\\w-]+)\\.md\\)").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 30 {
		t.Fatalf("the runbook lists only %d errors", len(rows))
	}
	for _, row := range rows {
		if page := Page(row[1]); page != row[2] {
			t.Errorf("%s is on the page %s, want %s", row[1], page, row[2])
		}
	}
}
