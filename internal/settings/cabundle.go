package settings

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
)

const mustBundle = "must name a PEM file that holds a certificate: "

// caBundle reads the bundle at path. It asks what the registry's client will ask, so that a bundle is refused at start with the other
// faults, and not at the first handshake.
func caBundle(path string) ([]byte, error) {
	if _, err := text(path); err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(path)
	switch {
	case err != nil:
		if pathError := new(fs.PathError); errors.As(err, &pathError) {
			err = pathError.Err // without the path, since a fault quotes no value
		}
		return nil, problem(mustBundle + err.Error())
	case len(bundle) == 0:
		return nil, problem(mustBundle + "it is empty")
	case !x509.NewCertPool().AppendCertsFromPEM(bundle):
		return nil, problem(mustBundle + "it holds none")
	}
	return bundle, nil
}
