package settings

import (
	"errors"
	"io/fs"
	"os"

	"quilt-rotate/internal/cabundle"
)

const mustBundle = "must name a PEM file that holds certificates: "

// caBundle reads the bundle at path, so that a bundle that cannot be used is refused at start, with the other faults.
func caBundle(path string) ([]byte, error) {
	if _, err := text(path); err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(path)
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, problem(mustBundle + pathError.Err.Error()) // without the path, since a fault quotes no value
	}
	if _, err := cabundle.Parse(bundle); err != nil {
		return nil, problem(mustBundle + err.Error())
	}
	return bundle, nil
}
