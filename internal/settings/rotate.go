package settings

import "log/slog"

// Rotate is the environment of the rotate function.
type Rotate struct {
	RegistryURL   string
	CABundle      string // path of a PEM bundle, or ""
	ExpiresInDays int
	LogLevel      slog.Level
}

// LoadRotate reads and checks the rotate function's environment; it fails with [*Invalid].
func LoadRotate(env Lookup) (Rotate, error) {
	s := Rotate{ExpiresInDays: DefaultExpiresInDays, LogLevel: slog.LevelInfo}
	r := &reader{lookup: env}
	r.require(EnvRegistryURL, mustURL)
	read(r, EnvRegistryURL, &s.RegistryURL, mustURL, registryURL)
	read(r, EnvCABundle, &s.CABundle, mustText, text)
	read(r, EnvExpiresInDays, &s.ExpiresInDays, mustDays, days)
	read(r, EnvLogLevel, &s.LogLevel, mustLevel, level)
	return s, r.result("the function's environment")
}

// Rotation is what holds for the rotation of one secret.
type Rotation struct {
	Field         string // of the value that holds the key; "": found
	KeyName       string // label of the key's name; "": the secret's name
	ExpiresInDays int
	Issuer        string // ARN or name of the issuer's secret; "": none
	Owner         string // e-mail of the registry user; "": found
}

// ForSecret lets the tags of a secret override the environment; it fails with [*Invalid].
func (s Rotate) ForSecret(tags map[string]string) (Rotation, error) {
	n := Rotation{ExpiresInDays: s.ExpiresInDays}
	r := &reader{lookup: Tags(tags)}
	read(r, TagField, &n.Field, mustText, text)
	read(r, TagKeyName, &n.KeyName, mustName, keyName)
	read(r, TagExpiresInDays, &n.ExpiresInDays, mustDays, days)
	read(r, TagIssuer, &n.Issuer, mustText, text)
	read(r, TagOwner, &n.Owner, mustText, text)
	return n, r.result("the secret's tags")
}
