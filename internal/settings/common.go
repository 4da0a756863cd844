package settings

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
)

// Common has the settings of both functions.
type Common struct {
	RegistryURL string
	CABundle    []byte // PEM certificates that are trusted in addition to the system's; may be nil
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

const mustBundle = "must name a PEM file with certificates: "

// caBundle reads the bundle at a path, so that an invalid bundle is refused at startup.
func caBundle(path string) ([]byte, error) {
	if _, err := text(path); err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(path)
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, problem(mustBundle + pathError.Err.Error()) // without the path: a fault contains no value
	}
	if _, err := ParseCABundle(bundle); err != nil {
		return nil, problem(mustBundle + err.Error())
	}
	return bundle, nil
}
