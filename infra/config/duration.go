package config

import (
	"strings"
	"time"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"
)

// Duration is a Go duration such as 24h, 90m or 26h30m, which is also the form of the functions'
// settings.
type Duration time.Duration

// UnmarshalYAML refuses a number without a unit, which could mean seconds or hours.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || parsed < 0 {
		return errNotDuration
	}
	*d = Duration(parsed)
	return nil
}

// JSONSchema describes the form for editors.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(h|m|s))+$`}
}

// String returns the shortest form: 24h and not 24h0m0s.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
