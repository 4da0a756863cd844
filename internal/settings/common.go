package settings

import "log/slog"

// Common is what the environments of both functions have.
type Common struct {
	RegistryURL string
	CABundle    []byte // PEM certificates that are trusted in addition to the system's; nil: none
	LogLevel    slog.Level
}

func readCommon(r *reader) Common {
	c := Common{LogLevel: slog.LevelInfo}
	r.require(EnvRegistryURL, mustURL)
	read(r, EnvRegistryURL, &c.RegistryURL, RegistryURL)
	read(r, EnvCABundle, &c.CABundle, caBundle)
	read(r, EnvLogLevel, &c.LogLevel, level)
	return c
}
