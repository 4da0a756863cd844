package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"quilt-rotate/docs/handbook"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal/commandline"
)

func TestThePageOfSettingsNamesEverySetting(t *testing.T) {
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		settings.EnvRegistryURL, settings.EnvCABundle, settings.EnvExpiresInDays, settings.EnvGrace, settings.EnvQuiet,
		settings.EnvHoldLimit, settings.EnvOrphanAge, settings.EnvLogLevel,
		settings.TagField, settings.TagKeyName, settings.TagExpiresInDays, settings.TagGrace, settings.TagQuiet,
		settings.TagHoldLimit,
		settings.TagIssuer, settings.TagOwner, settings.TagRegistry, settings.TagPauseUntil, settings.TagRestart,
		settings.TagRevokeFunction,
	} {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/settings.md does not name %s", name)
		}
	}
}

func TestNamedCommandsExist(t *testing.T) {
	// A command that a page or an error names must exist and have the named options.
	mentions, err := handbook.Mentions("../..", "quilt-rotate", "keys")
	if err != nil || len(mentions) < 50 {
		t.Fatalf("found %d mentions (%v), want 50 or more", len(mentions), err)
	}
	for _, m := range mentions {
		status, help, _ := inProcess(t.Context(), append(m.Command, "--help")...)
		if status != commandline.OK {
			t.Errorf("%s names %q, but there is no such command", m.Path, m.Text)
			continue
		}
		for _, option := range m.Options {
			if !regexp.MustCompile(option + `\b`).MatchString(help) {
				t.Errorf("%s names %q, but the command has no option %s", m.Path, m.Text, option)
			}
		}
	}
}
