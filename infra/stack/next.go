package stack

import (
	"maps"
	"slices"
	"strings"

	"quilt-rotate/infra/config"
)

// Bootstrap is the command that puts the first key in.
func Bootstrap(c *config.Config, key *config.Key) string {
	words := []string{"AWS_REGION=" + c.Region, "quilt-rotate", "bootstrap", "--registry", c.Registry}
	switch {
	case key.Plain:
		words = append(words, "--plain")
	case key.Field != "":
		words = append(words, "--field", quote(key.Field))
	}
	return strings.Join(append(words, key.Name), " ")
}

// Adopt is the command that takes an existing secret into care, with the tags that a new one would have.
func Adopt(c *config.Config, key *config.Key) string {
	words := []string{"AWS_REGION=" + c.Region, "quilt-rotate", "adopt", "--registry", c.Registry}
	tags := key.SettingTags()
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		words = append(words, "--tag", quote(name+"="+tags[name]))
	}
	return strings.Join(append(words, key.Secret), " ")
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
