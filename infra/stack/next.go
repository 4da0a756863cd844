package stack

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/settings"
)

// Bootstrap returns the command that stores the first key. The command reads the settings from the
// tags of the secret. Only --plain is not in a tag.
func Bootstrap(c *config.Config, key *config.Key) string {
	words := []string{"AWS_REGION=" + c.Region, "quilt-rotate", "bootstrap", key.Name, "--registry", c.Registry}
	if key.Plain {
		words = append(words, "--plain")
	}
	return strings.Join(words, " ")
}

// options are the options of `quilt-rotate adopt` that set a tag. Other tags are set with --tag.
var options = map[string]string{
	settings.TagField: "--field", settings.TagKeyName: "--key-name", settings.TagExpiresInDays: "--expires-in-days",
	settings.TagGrace: "--grace", settings.TagQuiet: "--quiet", settings.TagHoldLimit: "--hold-limit",
	settings.TagIssuer: "--issuer", settings.TagOwner: "--owner",
}

// Adopt returns the command that adopts an existing secret. The command writes the tags that a new
// secret would have.
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

// quote returns the text as one word of a POSIX shell.
func quote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
