package settings

import (
	"log/slog"
	"time"
)

// Revoke is the environment of the revoke function.
type Revoke struct {
	RegistryURL string
	CABundle    string // path of a PEM bundle, or ""
	Grace       time.Duration
	Quiet       time.Duration
	HoldLimit   *time.Duration // nil: a key that is used is held until it expires
	OrphanAge   time.Duration
	LogLevel    slog.Level
}

// LoadRevoke reads and checks the revoke function's environment; it fails with [*Invalid].
func LoadRevoke(env Lookup) (Revoke, error) {
	s := Revoke{Grace: DefaultGrace, Quiet: DefaultQuiet, OrphanAge: DefaultOrphanAge, LogLevel: slog.LevelInfo}
	r := &reader{lookup: env}
	r.require(EnvRegistryURL, mustURL)
	read(r, EnvRegistryURL, &s.RegistryURL, mustURL, registryURL)
	read(r, EnvCABundle, &s.CABundle, mustText, text)
	read(r, EnvGrace, &s.Grace, mustDuration, duration)
	read(r, EnvQuiet, &s.Quiet, mustDuration, duration)
	read(r, EnvHoldLimit, &s.HoldLimit, mustDuration, optionalDuration)
	read(r, EnvOrphanAge, &s.OrphanAge, mustDuration, duration)
	read(r, EnvLogLevel, &s.LogLevel, mustLevel, level)
	return s, r.result("the function's environment")
}

// Revocation is what holds for the sweeps of one secret.
type Revocation struct {
	Field      string // of the value that holds the key; "": found
	Grace      time.Duration
	Quiet      time.Duration
	HoldLimit  *time.Duration
	OrphanAge  time.Duration
	PauseUntil time.Time // zero: not paused
	Issuer     string    // ARN or name of the issuer's secret; "": none
}

// ForSecret lets the tags of a secret override the environment; it fails with [*Invalid].
func (s Revoke) ForSecret(tags map[string]string) (Revocation, error) {
	n := Revocation{Grace: s.Grace, Quiet: s.Quiet, HoldLimit: s.HoldLimit, OrphanAge: s.OrphanAge}
	r := &reader{lookup: Tags(tags)}
	read(r, TagField, &n.Field, mustText, text)
	read(r, TagGrace, &n.Grace, mustDuration, duration)
	read(r, TagQuiet, &n.Quiet, mustDuration, duration)
	read(r, TagHoldLimit, &n.HoldLimit, mustDuration, optionalDuration)
	read(r, TagIssuer, &n.Issuer, mustText, text)
	read(r, TagPauseUntil, &n.PauseUntil, mustTime, moment)
	return n, r.result("the secret's tags")
}
