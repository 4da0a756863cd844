package config

import (
	"os"
	"path/filepath"

	"quilt-rotate/internal/settings"
)

// readBundle reads the CA bundle and checks it with the rules of the functions.
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
	if _, err := settings.ParseCABundle(text); err != nil {
		g.add(path, "%v", err)
		return
	}
	c.caBundle = text
}
