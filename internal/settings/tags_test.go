package settings_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/settings"
)

func forRotation(tags map[string]string) (settings.Rotation, error) {
	env, err := loadRotate(nil)
	if err != nil {
		return settings.Rotation{}, err
	}
	return env.ForSecret(tags)
}

func forRevocation(tags map[string]string) (settings.Revocation, error) {
	env, err := loadRevoke(nil)
	if err != nil {
		return settings.Revocation{}, err
	}
	return env.ForSecret(tags)
}

// registryURLs are spellings of the URL of a registry, and the normal form by which they are
// compared.
var registryURLs = map[string]any{
	registry: registry, registry + "/": registry, " " + registry + " ": registry,
	"HTTPS://Registry.Example.COM:443/": registry,
	"https://registry.example.com:":     registry, "https://registry.example.com:80": "https://registry.example.com:80",
	"https://registry.example.com:8443": "https://registry.example.com:8443", "http://localhost:80": "http://localhost",
	"http://[::1]:80":      "http://[::1]",
	"http://localhost:443": "http://localhost:443", "https://[2001:DB8::443]": "https://[2001:db8::443]",
	registry + ".": registry, registry + ".:443/": registry, registry + ".:8443": registry + ":8443",
	"http://[::ffff:127.0.0.1]":     "http://[::ffff:127.0.0.1]",
	"https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
}

var notRegistryURLs = []string{"registry.example.com", "http://registry.example.com", registry + "/graphql",
	"https://user:password@registry.example.com", "prod", pasted,
	registry + "\u200b", "https://bücher.example", "https://b%C3%BCcher.example", "https://registry\u3002example.com",
	"https://\u212areg.example.com"}

func tagRules() []rule {
	text := map[string]any{"QUILT_TOKEN": "QUILT_TOKEN", " a b ": "a b", "é": "é", "qk_": "qk_",
		"qk_pipeline": "qk_pipeline"}
	notText := []string{pasted, " " + pasted}
	names := map[string]any{"prod-pipeline": "prod-pipeline", " Prod/Pipeline ": "Prod/Pipeline", "7": "7",
		"qk_pipeline": "qk_pipeline"}
	notNames := []string{"-", "///", "日本", pasted}
	moments := map[string]any{
		"2026-11-22T18:15:00Z": time.Date(2026, 11, 22, 18, 15, 0, 0, time.UTC), " 2026-11-22T18:15:00Z ": time.Date(
			2026, 11, 22, 18, 15, 0, 0, time.UTC),
		"2026-11-22T18:15:00.5Z":    time.Date(2026, 11, 22, 18, 15, 0, 500_000_000, time.UTC),
		"2026-11-22T19:15:00+01:00": time.Date(2026, 11, 22, 18, 15, 0, 0, time.UTC),
	}
	notMoments := []string{"2026-11-22", "18:15", "tomorrow", "2026-11-22 18:15:00Z", "2026-11-22T18:15:00",
		"2026-02-30T00:00:00Z", "1795371300"}

	rotation := func(name string, read func(settings.Rotation) any, fine map[string]any, refused []string) rule {
		return newRule(name, forRotation, read, fine, refused)
	}
	revocation := func(name string, read func(settings.Revocation) any, fine map[string]any, refused []string) rule {
		return newRule(name, forRevocation, read, fine, refused)
	}
	return []rule{
		rotation(settings.TagField, func(s settings.Rotation) any { return s.Field }, text, notText),
		rotation(settings.TagKeyName, func(s settings.Rotation) any { return s.KeyName }, names, notNames),
		rotation(settings.TagExpiresInDays, func(s settings.Rotation) any { return s.ExpiresInDays }, days, notDays),
		rotation(settings.TagIssuer, func(s settings.Rotation) any { return s.Issuer }, text, notText),
		rotation(settings.TagOwner, func(s settings.Rotation) any { return s.Owner }, text, notText),
		rotation(settings.TagRegistry, func(s settings.Rotation) any { return s.Registry }, registryURLs,
			notRegistryURLs),
		revocation(settings.TagField, func(s settings.Revocation) any { return s.Field }, text, notText),
		revocation(settings.TagGrace, func(s settings.Revocation) any { return s.Grace }, durations, notDurations),
		revocation(settings.TagQuiet, func(s settings.Revocation) any { return s.Quiet }, durations, notDurations),
		revocation(settings.TagHoldLimit, func(s settings.Revocation) any { return *s.HoldLimit }, durations,
			notDurations),
		revocation(settings.TagIssuer, func(s settings.Revocation) any { return s.Issuer }, text, notText),
		revocation(settings.TagRegistry, func(s settings.Revocation) any { return s.Registry }, registryURLs,
			notRegistryURLs),
		revocation(settings.TagOwnerSince, func(s settings.Revocation) any { return s.OwnerSince.UTC() }, moments,
			notMoments),
		revocation(settings.TagOnNeed, func(s settings.Revocation) any { return s.OnNeed },
			map[string]any{"on": true, "off": false, " off ": false}, []string{"no", "OFF", "false", pasted}),
		revocation(settings.TagPauseUntil, func(s settings.Revocation) any { return s.PauseUntil.UTC() }, moments,
			notMoments),
	}
}

func TestEachTagIsValidated(t *testing.T) {
	// An invalid tag is refused and never replaced by the value of the environment.
	for _, r := range tagRules() {
		r.check(t)
	}
}

func TestEnvironmentAppliesWithoutTags(t *testing.T) {
	// Blank tags count as missing. Settings without a variable are empty.
	limit := 48 * time.Hour
	rotateEnv := settings.Rotate{ExpiresInDays: 7}
	revokeEnv := settings.Revoke{Grace: 3 * time.Hour, Quiet: 4 * time.Hour, HoldLimit: &limit,
		OrphanAge: 5 * time.Hour}
	blank := map[string]string{"Name": "x", "quilt-rotate:unknown": "x"}
	for _, r := range tagRules() {
		blank[r.name] = " "
	}
	for _, tags := range []map[string]string{nil, blank} {
		if got, want := must[settings.Rotation](t)(rotateEnv.ForSecret(tags)),
			(settings.Rotation{ExpiresInDays: 7}); got != want {
			t.Errorf("rotation has %+v, want %+v", got, want)
		}
		want := settings.Revocation{Grace: 3 * time.Hour, Quiet: 4 * time.Hour, HoldLimit: &limit,
			OrphanAge: 5 * time.Hour, OnNeed: true}
		if got := must[settings.Revocation](t)(revokeEnv.ForSecret(tags)); got != want {
			t.Errorf("revocation has %+v, want %+v", got, want)
		}
	}
}

func TestTagsOverrideTheEnvironmentForTheirSecretOnly(t *testing.T) {
	// The environment is unchanged for the next secret.
	limit := 48 * time.Hour
	env := settings.Revoke{Grace: 3 * time.Hour, Quiet: 4 * time.Hour, HoldLimit: &limit, OrphanAge: 5 * time.Hour}
	got := must[settings.Revocation](t)(env.ForSecret(map[string]string{settings.TagGrace: "0s",
		settings.TagQuiet: "1h", settings.TagHoldLimit: "2h"}))
	if got.Grace != 0 || got.Quiet != time.Hour || got.HoldLimit == nil || *got.HoldLimit != 2*time.Hour ||
		got.OrphanAge != 5*time.Hour {
		t.Errorf("the tags do not win: %+v", got)
	}
	if env.Grace != 3*time.Hour || env.Quiet != 4*time.Hour || limit != 48*time.Hour || env.HoldLimit != &limit {
		t.Errorf("one secret's tags changed the environment: %+v", env)
	}
	if got := must[settings.Rotation](t)(settings.Rotate{ExpiresInDays: 90}.ForSecret(map[string]string{
		settings.TagExpiresInDays: "7"})); got.ExpiresInDays != 7 {
		t.Errorf("the key lives %d days, want the tag's 7", got.ExpiresInDays)
	}
}

func TestAllInvalidTagsAreReportedTogether(t *testing.T) {
	tags := map[string]string{}
	for _, r := range tagRules() {
		tags[r.name] = r.refused[0]
	}
	_, err := forRotation(tags)
	if got, want := faulty(t, err), []string{settings.TagField, settings.TagKeyName, settings.TagExpiresInDays,
		settings.TagIssuer, settings.TagOwner, settings.TagRegistry}; !slices.Equal(got, want) {
		t.Errorf("rotation names %v, want %v", got, want)
	}
	if !strings.Contains(err.Error(), "the secret's tags") {
		t.Errorf("the error does not say where: %v", err)
	}
	_, err = forRevocation(tags)
	if got, want := faulty(t, err), []string{settings.TagField, settings.TagGrace, settings.TagQuiet,
		settings.TagHoldLimit, settings.TagIssuer, settings.TagRegistry, settings.TagOwnerSince, settings.TagOnNeed,
		settings.TagPauseUntil}; !slices.Equal(got, want) {
		t.Errorf("revocation names %v, want %v", got, want)
	}
}
