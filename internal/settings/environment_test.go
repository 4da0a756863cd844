package settings_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/settings"
)

func environmentRules() []rule {
	url := map[string]any{
		registry: registry, registry + "/": registry, " " + registry + "\n": registry,
		"HTTPS://registry.example.com":      registry,
		"https://registry.example.com:8443": "https://registry.example.com:8443",
		"http://localhost:8080":             "http://localhost:8080",
		"http://127.0.0.1:8080/":            "http://127.0.0.1:8080", "http://[::1]:8080": "http://[::1]:8080",
		"http://127.9.9.9": "http://127.9.9.9", "http://LocalHost": "http://localhost",
		"https://Registry.Example.com:443/": registry,
	}
	notURL := []string{
		"registry.example.com", "http://registry.example.com", "http://10.0.0.1", "http://localhost.example.com",
		"http://0.0.0.0:8080",
		"ftp://registry.example.com", "https://", "https://:8443", "https:registry.example.com",
		"//registry.example.com",
		"https://user@registry.example.com", "https://user:pass@registry.example.com", registry + "?a=b", registry +
			"?", registry + "/#top",
		registry + "#", registry + "/graphql", "https://registry example.com", "https://registry.example.com:port", "%",
	}
	bundles := map[string]any{"testdata/ca.pem": caPEM, " testdata/ca.pem ": caPEM}
	notBundles := []string{"testdata/no-such-file.pem", "testdata", "/dev/null", "rule_test.go", pasted}
	levels := map[string]any{"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn,
		"ERROR": slog.LevelError, "debug": slog.LevelDebug, " Warn ": slog.LevelWarn}
	notLevels := []string{"TRACE", "FATAL", "1", "INFORMATION", "-"}

	rotate := func(name string, read func(settings.Rotate) any, fine map[string]any, refused []string) rule {
		return newRule(name, loadRotate, read, fine, refused)
	}
	revoke := func(name string, read func(settings.Revoke) any, fine map[string]any, refused []string) rule {
		return newRule(name, loadRevoke, read, fine, refused)
	}
	return []rule{
		rotate(settings.EnvRegistryURL, func(s settings.Rotate) any { return s.RegistryURL }, url, notURL),
		rotate(settings.EnvCABundle, func(s settings.Rotate) any { return string(s.CABundle) }, bundles, notBundles),
		rotate(settings.EnvExpiresInDays, func(s settings.Rotate) any { return s.ExpiresInDays }, days, notDays),
		rotate(settings.EnvLogLevel, func(s settings.Rotate) any { return s.LogLevel }, levels, notLevels),
		revoke(settings.EnvRegistryURL, func(s settings.Revoke) any { return s.RegistryURL }, url, notURL),
		revoke(settings.EnvCABundle, func(s settings.Revoke) any { return string(s.CABundle) }, bundles, notBundles),
		revoke(settings.EnvGrace, func(s settings.Revoke) any { return s.Grace }, durations, notDurations),
		revoke(settings.EnvQuiet, func(s settings.Revoke) any { return s.Quiet }, durations, notDurations),
		revoke(settings.EnvHoldLimit, func(s settings.Revoke) any { return *s.HoldLimit }, durations, notDurations),
		revoke(settings.EnvOrphanAge, func(s settings.Revoke) any { return s.OrphanAge }, durations, notDurations),
		revoke(settings.EnvLogLevel, func(s settings.Revoke) any { return s.LogLevel }, levels, notLevels),
	}
}

func TestEachVariableIsValidated(t *testing.T) {
	// An invalid variable is refused and never replaced by a default.
	for _, r := range environmentRules() {
		r.check(t)
	}
}

func TestDefaultsOfTheEnvironment(t *testing.T) {
	// The documented defaults apply, also for blank variables.
	blank := map[string]string{}
	for _, r := range environmentRules() {
		if r.name != settings.EnvRegistryURL {
			blank[r.name] = " \t"
		}
	}
	for _, given := range []map[string]string{nil, blank} {
		common := settings.Common{RegistryURL: registry, LogLevel: slog.LevelInfo}
		rotate := settings.Rotate{Common: common, ExpiresInDays: 90}
		if diff := cmp.Diff(rotate, must[settings.Rotate](t)(loadRotate(given))); diff != "" {
			t.Errorf("rotate (-want +got):\n%s", diff)
		}
		revoke := settings.Revoke{Common: common, Grace: 24 * time.Hour, Quiet: 25 * time.Hour, HoldLimit: nil,
			OrphanAge: time.Hour}
		if diff := cmp.Diff(revoke, must[settings.Revoke](t)(loadRevoke(given))); diff != "" {
			t.Errorf("revoke (-want +got):\n%s", diff)
		}
	}
}

func TestRegistryURLIsRequired(t *testing.T) {
	// A missing or blank URL is one fault.
	for _, env := range []map[string]string{{}, {settings.EnvRegistryURL: ""}, {settings.EnvRegistryURL: " "}} {
		_, rotateErr := settings.LoadRotate(settings.Tags(env))
		_, revokeErr := settings.LoadRevoke(settings.Tags(env))
		for _, err := range []error{rotateErr, revokeErr} {
			if names := faulty(t, err); !slices.Equal(names, []string{settings.EnvRegistryURL}) ||
				!strings.Contains(err.Error(), "is not set") {
				t.Errorf("%v: faulty are %v: %v", env, names, err)
			}
		}
	}
}

func TestAllInvalidVariablesAreReportedTogether(t *testing.T) {
	// An operator can correct them in one deployment.
	env := settings.Tags(map[string]string{
		settings.EnvCABundle: "/no/such/file.pem", settings.EnvExpiresInDays: "0", settings.EnvGrace: "x",
		settings.EnvQuiet: "x", settings.EnvHoldLimit: "x", settings.EnvOrphanAge: "x", settings.EnvLogLevel: "x",
	})
	_, err := settings.LoadRotate(env)
	if got, want := faulty(t, err), []string{settings.EnvRegistryURL, settings.EnvCABundle, settings.EnvLogLevel,
		settings.EnvExpiresInDays}; !slices.Equal(got, want) {
		t.Errorf("rotate names %v, want %v", got, want)
	}
	if !strings.Contains(err.Error(), "the function's environment") {
		t.Errorf("the error does not say where: %v", err)
	}
	_, err = settings.LoadRevoke(env)
	if got, want := faulty(t, err), []string{settings.EnvRegistryURL, settings.EnvCABundle, settings.EnvLogLevel,
		settings.EnvGrace, settings.EnvQuiet, settings.EnvHoldLimit, settings.EnvOrphanAge}; !slices.Equal(got, want) {
		t.Errorf("revoke names %v, want %v", got, want)
	}
}
