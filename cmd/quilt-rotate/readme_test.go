package main

import (
	"encoding/xml"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
		settings.TagIssuer, settings.TagOwner, settings.TagPauseUntil, settings.TagRestart, settings.TagRevokeFunction,
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

func TestTheREADMESaysWhatCommandsAreMissing(t *testing.T) {
	// Protects who reads "run: quilt-rotate unstick" at night: a command that an error names exists, or the README says what to do instead.
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`quilt-rotate ([a-z]+) %s`)
	found := map[string]bool{}
	err = filepath.WalkDir("../../internal", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range named.FindAllStringSubmatch(string(text), -1) {
			found[match[1]] = true
		}
		return err
	})
	if err != nil || !found["bootstrap"] || !found["unstick"] {
		t.Fatalf("found %v, %v", found, err)
	}
	for command := range found {
		if status, _, _ := inProcess(t.Context(), command, "--help"); status == exitOK {
			continue
		}
		row := regexp.MustCompile("(?m)^  \\|[^|]*`" + command + "`[^|]*\\| .*(aws|rotate)")
		if !row.Match(readme) {
			t.Errorf("there is no command %s, and README.md does not say what to do instead", command)
		}
	}
}
