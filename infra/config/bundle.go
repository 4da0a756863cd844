package config

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
)

// readBundle reads the CA bundle, and refuses what the functions would fail at, or should never be given.
func (c *Config) readBundle(g *gathering, file string) {
	const path = "caBundle"
	if c.CABundle == "" || g.has(path) {
		return
	}
	name := c.CABundle
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(file), name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		g.add(path, "cannot be read (%s): give the path of a PEM file, relative to this one", reason(err))
		return
	}
	certificates := 0
	for rest := text; ; {
		block, next := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = next
		if block.Type != "CERTIFICATE" {
			g.add(path, "holds a block of %q: keep certificates alone in it", block.Type)
			return
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			g.add(path, "holds a certificate that cannot be read: export it again as PEM")
			return
		}
		certificates++
	}
	if certificates == 0 {
		g.add(path, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----): export it again")
		return
	}
	c.caBundle = text
}
