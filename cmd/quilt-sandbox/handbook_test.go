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

func TestThePictureOfTheDemoIsTrue(t *testing.T) {
	// The picture in the README shows what the demo prints, except keys, ids, times and counts.
	// `make picture` draws it again.
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
	if status != commandline.OK {
		t.Fatalf("the demo ends with %d", status)
	}
	if diff := cmp.Diff(essence(printed), essence(strings.Join(drawn, "\n"))); diff != "" {
		t.Errorf("the picture is not what the demo prints; run make picture (-demo +picture):\n%s", diff)
	}
}

// essence removes text that differs between two runs.
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

func TestNamedCommandsExist(t *testing.T) {
	// Each command and option that a page or a message names exists.
	mentions, err := handbook.Mentions("../..", "quilt-sandbox")
	if err != nil || len(mentions) < 3 {
		t.Fatalf("found %v (%v)", mentions, err)
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
