package config

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"quilt-rotate/internal/settings"
)

// The limits of tags (AWS Tagging user guide, "Tag naming limits and requirements").
const (
	maxTags     = 50
	maxTagName  = 128
	maxTagValue = 256
)

var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}+\-=._:/@]*$`)

const tagCharacters = "letters, digits, spaces and + - = . _ : / @"

// StackTags returns the tags of every resource. The file can change the values of the two default
// tags.
func (c *Config) StackTags() map[string]string {
	tags := map[string]string{"Application": "quilt-rotate", "Environment": c.Environment}
	maps.Copy(tags, c.Tags)
	return tags
}

func checkTags(g *gathering, c *Config) {
	names := map[string]string{"application": "Application", "environment": "Environment"}
	for _, name := range slices.Sorted(maps.Keys(c.Tags)) {
		path, value, lower := "tags."+name, c.Tags[name], strings.ToLower(name)
		g.require(path, name != "" && utf8.RuneCountInString(name) <= maxTagName &&
			utf8.RuneCountInString(value) <= maxTagValue,
			"must have a name of 1 to %d and a value of at most %d characters", maxTagName, maxTagValue)
		g.require(path, tagText.MatchString(name) && tagText.MatchString(value), "must contain only %s", tagCharacters)
		g.require(path, !strings.HasPrefix(lower, "aws:") && !strings.HasPrefix(lower, settings.TagPrefix),
			"must not begin with aws: or %s", settings.TagPrefix)
		// IAM refuses two names that differ only in case (IAM user guide, "Tags for IAM
		// resources").
		other, taken := names[lower]
		g.require(path, !taken || other == name, "differs from %s only in case, which IAM refuses (every resource "+
			"has Application and Environment): use the same name, or another", other)
		names[lower] = name
	}
	most := 0
	for _, k := range c.All() {
		most = max(most, len(k.SettingTags()))
	}
	ours := most + len(commandTags)
	g.require("tags", len(c.StackTags())+ours <= maxTags, "has too many entries: a secret can have %d tags, of which "+
		"%d are reserved for settings: remove some", maxTags, ours)
}

// commandTags are the tags that the operators' command can add to a secret.
var commandTags = []string{settings.TagRegistry, settings.TagOwnerSince, settings.TagPauseUntil,
	settings.TagPauseReason}

// SettingTags returns the tags from which the functions and the command read the settings of this
// secret. Defaults are also written, because the defaults in a function's environment can change.
func (k *Key) SettingTags() map[string]string {
	tags := map[string]string{
		settings.TagExpiresInDays: strconv.Itoa(k.ExpiresInDays),
		settings.TagGrace:         Duration(k.GracePeriod()).String(),
		settings.TagQuiet:         Duration(k.QuietPeriod()).String(),
	}
	if k.HoldLimit != nil {
		tags[settings.TagHoldLimit] = k.HoldLimit.String()
	}
	for tag, value := range map[string]string{
		settings.TagField: k.Field, settings.TagKeyName: k.KeyName, settings.TagIssuer: k.Issuer,
		settings.TagOwner: k.Owner,
	} {
		if value != "" {
			tags[tag] = value
		}
	}
	if services, err := k.restartTag(); err == nil && services != "" {
		tags[settings.TagRestart] = services
	}
	return tags
}

func (k *Key) restartTag() (string, error) {
	var services []settings.Service
	for _, s := range k.Restart {
		services = append(services, settings.Service(s))
	}
	return settings.FormatRestart(services)
}
