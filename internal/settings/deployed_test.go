package settings_test

import (
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/settings"
)

func TestTheEnvironmentOfADeployedFunction(t *testing.T) {
	// A command uses the function's periods, and does not read the function's file.
	limit := 48 * time.Hour
	env := map[string]string{
		settings.EnvRegistryURL: registry, settings.EnvCABundle: "/var/task/ca.pem", settings.EnvLogLevel: "WARN",
		"AWS_REGION":      "eu-west-1",
		settings.EnvGrace: "3h", settings.EnvQuiet: "4h", settings.EnvHoldLimit: "48h", settings.EnvOrphanAge: "30m",
		settings.EnvExpiresInDays: "7",
	}
	before := maps.Clone(env)
	common := settings.Common{RegistryURL: registry, LogLevel: slog.LevelWarn}
	revoke := settings.Revoke{Common: common, Grace: 3 * time.Hour, Quiet: 4 * time.Hour, HoldLimit: &limit,
		OrphanAge: 30 * time.Minute}
	if diff := cmp.Diff(revoke, must[settings.Revoke](t)(settings.LoadRevoke(settings.Deployed(env)))); diff != "" {
		t.Errorf("revoke (-want +got):\n%s", diff)
	}
	rotate := settings.Rotate{Common: common, ExpiresInDays: 7}
	if diff := cmp.Diff(rotate, must[settings.Rotate](t)(settings.LoadRotate(settings.Deployed(env)))); diff != "" {
		t.Errorf("rotate (-want +got):\n%s", diff)
	}
	if !maps.Equal(env, before) {
		t.Errorf("the environment was changed: %v", env)
	}
}

func TestInvalidEnvironmentOfADeployedFunction(t *testing.T) {
	// Each fault is reported, except that of the bundle.
	_, err := settings.LoadRevoke(settings.Deployed(map[string]string{settings.EnvCABundle: pasted,
		settings.EnvGrace: "soon"}))
	if got, want := faulty(t, err), []string{settings.EnvRegistryURL, settings.EnvGrace}; !slices.Equal(got, want) {
		t.Errorf("faulty are %v, want %v", got, want)
	}
}
