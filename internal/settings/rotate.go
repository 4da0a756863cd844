package settings

import (
	"cmp"
	"time"

	"quilt-rotate/internal/apikey"
)

// Rotate is the environment of the rotate function.
type Rotate struct {
	Common
	ExpiresInDays int
}

// LoadRotate reads and validates the rotate function's environment. It fails with [*Invalid].
func LoadRotate(env Lookup) (Rotate, error) {
	r := &reader{lookup: env}
	s := Rotate{Common: readCommon(r), ExpiresInDays: DefaultExpiresInDays}
	read(r, EnvExpiresInDays, &s.ExpiresInDays, days)
	return s, r.result("the function's environment")
}

// Rotation are the settings of the rotation of one secret.
type Rotation struct {
	Field         string // of the value that holds the key; if empty, it is searched
	KeyName       string // label of the key's name; if empty, the secret's name is used
	ExpiresInDays int
	Issuer        string // ARN or name of the issuing credential's secret; may be empty
	Owner         string // email of the registry user; if empty, it is the owner of the current key
	Registry      string // URL of the registry in its normal form; if empty, the function's setting applies
}

// ForSecret returns the settings with the tags of a secret applied over the environment. It fails
// with [*Invalid].
func (s Rotate) ForSecret(tags map[string]string) (Rotation, error) {
	n := Rotation{ExpiresInDays: s.ExpiresInDays}
	r := &reader{lookup: Tags(tags)}
	read(r, TagField, &n.Field, text)
	read(r, TagKeyName, &n.KeyName, keyName)
	read(r, TagExpiresInDays, &n.ExpiresInDays, days)
	read(r, TagIssuer, &n.Issuer, text)
	read(r, TagOwner, &n.Owner, text)
	read(r, TagRegistry, &n.Registry, RegistryURL)
	return n, r.result("the secret's tags")
}

// NameOfKey returns the name for a key of the secret. day is the date on the registry's clock.
func (n Rotation) NameOfKey(secretName, secretARN string, day time.Time) string {
	return apikey.Name(cmp.Or(n.KeyName, secretName), day, secretARN)
}
