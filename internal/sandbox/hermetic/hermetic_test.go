package hermetic_test

import (
	"os"
	"slices"
	"testing"

	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/settings"
)

func TestClearRemovesTheMachinesSettings(t *testing.T) {
	// A developer's AWS profile, a pipeline's variables and the settings of a deployment must not
	// change the result of a test.
	for _, name := range []string{
		"AWS_PROFILE", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_CONFIG_FILE", "CDK_CONTEXT_JSON", "NO_COLOR",
		"CLICOLOR_FORCE", "CI",
		settings.EnvRegistryURL, settings.EnvCABundle, settings.EnvExpiresInDays, settings.EnvGrace, settings.EnvQuiet,
		settings.EnvHoldLimit, settings.EnvOrphanAge, settings.EnvLogLevel,
	} {
		t.Setenv(name, "nonsense")
	}
	path := os.Getenv("PATH")
	if slices.ContainsFunc(hermetic.Environ(), func(variable string) bool {
		return len(variable) > 9 &&
			variable[len(variable)-9:] == "=nonsense"
	}) {
		t.Errorf("Environ returned a setting of the machine: %q", hermetic.Environ())
	}
	hermetic.Clear()
	if slices.ContainsFunc(os.Environ(), func(variable string) bool {
		return len(variable) > 9 &&
			variable[len(variable)-9:] == "=nonsense"
	}) {
		t.Errorf("Clear left a setting of the machine: %q", os.Environ())
	}
	if os.Getenv("PATH") != path {
		t.Error("Clear changed PATH")
	}
}
