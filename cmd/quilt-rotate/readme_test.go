package main

import (
	"os"
	"strings"
	"testing"

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
		settings.TagIssuer, settings.TagOwner, settings.TagPauseUntil,
	} {
		if !strings.Contains(string(readme), "`"+name+"`") {
			t.Errorf("README.md does not name %s", name)
		}
	}
}
