package settings

import "time"

// Revoke is the environment of the revoke function.
type Revoke struct {
	Common
	Grace     time.Duration
	Quiet     time.Duration
	HoldLimit *time.Duration // if nil, a key that is in use is held until it expires
	OrphanAge time.Duration
}

// LoadRevoke reads and validates the revoke function's environment. It fails with [*Invalid].
func LoadRevoke(env Lookup) (Revoke, error) {
	r := &reader{lookup: env}
	s := Revoke{Common: readCommon(r), Grace: DefaultGrace, Quiet: DefaultQuiet, OrphanAge: DefaultOrphanAge}
	read(r, EnvGrace, &s.Grace, Duration)
	read(r, EnvQuiet, &s.Quiet, Duration)
	read(r, EnvHoldLimit, &s.HoldLimit, optionalDuration)
	read(r, EnvOrphanAge, &s.OrphanAge, Duration)
	return s, r.result("the function's environment")
}

// Revocation are the settings of the sweeps of one secret.
type Revocation struct {
	Field      string // of the value that holds the key; if empty, it is searched
	Grace      time.Duration
	Quiet      time.Duration
	HoldLimit  *time.Duration
	OrphanAge  time.Duration
	OwnerSince time.Time // when the command handed the secret over to its owner; zero if it did not
	PauseUntil time.Time // the pause in the tag of older releases; zero without it
	Issuer     string    // ARN or name of the issuing credential's secret; may be empty
	Registry   string    // URL of the registry in its normal form; if empty, the function's setting applies
	OnNeed     bool      // the run of sweeps may rotate the secret if its current key is refused or expires
}

// ForSecret returns the settings with the tags of a secret applied over the environment. It fails
// with [*Invalid].
func (s Revoke) ForSecret(tags map[string]string) (Revocation, error) {
	n := Revocation{Grace: s.Grace, Quiet: s.Quiet, HoldLimit: s.HoldLimit, OrphanAge: s.OrphanAge, OnNeed: true}
	r := &reader{lookup: Tags(tags)}
	read(r, TagField, &n.Field, text)
	read(r, TagGrace, &n.Grace, Duration)
	read(r, TagQuiet, &n.Quiet, Duration)
	read(r, TagHoldLimit, &n.HoldLimit, optionalDuration)
	read(r, TagIssuer, &n.Issuer, text)
	read(r, TagRegistry, &n.Registry, RegistryURL)
	read(r, TagOwnerSince, &n.OwnerSince, moment)
	read(r, TagOnNeed, &n.OnNeed, onOff)
	read(r, TagPauseUntil, &n.PauseUntil, moment)
	return n, r.result("the secret's tags")
}
