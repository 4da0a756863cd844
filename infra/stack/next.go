package stack

import (
	"maps"
	"slices"
	"strings"

	"quilt-rotate/infra/config"
)

// Bootstrap is the command that puts the first key in. It finds the settings in the secret's tags; that the value is the key alone is not among them.
func Bootstrap(c *config.Config, key *config.Key) string {
	words := []string{"AWS_REGION=" + c.Region, "quilt-rotate", "bootstrap", key.Name, "--registry", c.Registry}
	if key.Plain {
		words = append(words, "--plain")
	}
	return strings.Join(words, " ")
}

// Adopt is the command that takes an existing secret into care, with the tags that a new one would have: each is an option of its own name.
func Adopt(c *config.Config, key *config.Key) string {
	words := []string{"AWS_REGION=" + c.Region, "quilt-rotate", "adopt", key.Secret, "--registry", c.Registry}
	tags := key.SettingTags()
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		words = append(words, "--"+strings.TrimPrefix(name, "quilt-rotate:"), quote(tags[name]))
	}
	return strings.Join(words, " ")
}

// quote makes one word of a text for a POSIX shell.
func quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=:./@+", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
