package hermetic_test

import (
	"os"
	"slices"
	"testing"

	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/settings"
)

func TestClearLeavesNothingOfTheMachine(t *testing.T) {
	// Protects tests from a developer's AWS profile, a pipeline's variables and the settings of a
	// deployment.
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
		t.Errorf("the environment of programs has a setting of the machine: %q", hermetic.Environ())
	}
	hermetic.Clear()
	if slices.ContainsFunc(os.Environ(), func(variable string) bool {
		return len(variable) > 9 &&
			variable[len(variable)-9:] == "=nonsense"
	}) {
		t.Errorf("a setting of the machine is left: %q", os.Environ())
	}
	if os.Getenv("PATH") != path {
		t.Error("the path is lost")
	}
}
