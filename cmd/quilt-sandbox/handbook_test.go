package main

import (
	"encoding/xml"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/docs/handbook"
	"quilt-rotate/internal/terminal/commandline"
)

func TestPictureShowsTheOutputOfTheDemo(t *testing.T) {
	// The picture in the README can differ only in keys, ids, times and counts. `make picture`
	// draws it again.
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
	var shown []string
	for _, line := range svg.Text {
		shown = append(shown, strings.Join(line.Runs, " "))
	}
	status, printed, _ := inProcess(t.Context(), "demo", "--functions", folder)
	if status != commandline.OK {
		t.Fatalf("got the exit status %d of the demo, want 0", status)
	}
	if diff := cmp.Diff(stableLines(printed), stableLines(strings.Join(shown, "\n"))); diff != "" {
		t.Errorf("the picture differs from the output of the demo; run make picture (-demo +picture):\n%s", diff)
	}
}

// stableLines returns the lines of a text without the parts that differ between two runs.
func stableLines(text string) []string {
	changing := regexp.MustCompile(`qk_\w+\.\.\.\w+|\b[0-9a-f]{8}\b|[A-Z][a-z]{2} \d+ [A-Z][a-z]{2}|\d+([.:]\d+)*`)
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(changing.ReplaceAllString(line, "#")), ""); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestNamedCommandsExist(t *testing.T) {
	// Pages and messages must not name a command or an option that does not exist.
	mentions, err := handbook.Mentions("../..", "quilt-sandbox")
	if err != nil || len(mentions) < 3 {
		t.Fatalf("got the mentions %v (%v), want at least 3", mentions, err)
	}
	for _, m := range mentions {
		status, help, _ := inProcess(t.Context(), append(m.Command, "--help")...)
		for _, option := range m.Options {
			if !strings.Contains(help, option) {
				t.Errorf("%s names %q, but the command has no option %s", m.Path, m.Text, option)
			}
		}
		if status != commandline.OK {
			t.Errorf("%s names %q, but there is no such command", m.Path, m.Text)
		}
	}
}
