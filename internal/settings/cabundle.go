package settings

import (
	"errors"
	"io/fs"
	"os"
)

// ReadCABundle reads the PEM bundle at path; none is read for an empty path. It fails with [*Fault].
func ReadCABundle(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	bundle, err := os.ReadFile(path)
	if err != nil {
		if pathError := new(fs.PathError); errors.As(err, &pathError) {
			err = pathError.Err // without the path, since a fault quotes no value
		}
		return nil, &Fault{EnvCABundle, "names a file that cannot be read: " + err.Error()}
	}
	if len(bundle) == 0 { // would be taken for none, and fail at the first handshake
		return nil, &Fault{EnvCABundle, "names an empty file; it must hold a certificate in PEM"}
	}
	return bundle, nil
}
