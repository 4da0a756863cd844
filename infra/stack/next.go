package stack

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/settings"
)

// Bootstrap is the command that stores the first key. It finds the settings in the tags of the
// secret, except that the value is the key alone.
func Bootstrap(c *config.Config, key *config.Key) string {
	words := []string{"AWS_REGION=" + c.Region, "quilt-rotate", "bootstrap", key.Name, "--registry", c.Registry}
	if key.Plain {
		words = append(words, "--plain")
	}
	return strings.Join(words, " ")
}

// options are how `quilt-rotate adopt` takes a tag; it takes any other as --tag.
var options = map[string]string{
	settings.TagField: "--field", settings.TagKeyName: "--key-name", settings.TagExpiresInDays: "--expires-in-days",
	settings.TagOwner: "--owner",
	settings.TagGrace: "--grace", settings.TagQuiet: "--quiet", settings.TagHoldLimit: "--hold-limit",
	settings.TagIssuer: "--issuer",
}

// Adopt is the command that adopts an existing secret, with the tags that a new one would have.
func Adopt(c *config.Config, key *config.Key) string {
	words := []string{"AWS_REGION=" + c.Region, "quilt-rotate", "adopt", key.Secret, "--registry", c.Registry}
	tags := key.SettingTags()
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if option, known := options[name]; known {
			words = append(words, option, quote(tags[name]))
		} else {
			words = append(words, "--tag", quote(name+"="+tags[name]))
		}
	}
	return strings.Join(words, " ")
}

var plainWord = regexp.MustCompile(`^[-_=:./@+A-Za-z0-9]+$`)

// quote quotes a text as one word of a POSIX shell.
func quote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
