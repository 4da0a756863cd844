package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What tags may be (AWS Tagging user guide, "Tag naming limits and requirements"). IAM takes no two names on one role that differ in case alone (IAM user guide, "Tags for
// IAM resources").
const (
	maxTags     = 50
	maxTagName  = 128
	maxTagValue = 256
)

var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}+\-=._:/@]*$`)

const tagCharacters = "letters, digits, spaces and + - = . _ : / @"

// StackTags are the tags of every resource: ours, and those of the file, which may give ours another value.
func (c *Config) StackTags() map[string]string {
	tags := map[string]string{"Application": "quilt-rotate", "Environment": c.Environment}
	maps.Copy(tags, c.Tags)
	return tags
}

func checkTags(g *gathering, c *Config) {
	names := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.StackTags())) {
		value, lower := c.Tags[name], strings.ToLower(name)
		g.require("tags", name != "" && utf8.RuneCountInString(name) <= maxTagName && utf8.RuneCountInString(value) <= maxTagValue, "must have names of 1 to 128 and values of at most 256 characters")
		g.require("tags", tagText.MatchString(name) && tagText.MatchString(value), "must have only %s", tagCharacters)
		g.require("tags", !strings.HasPrefix(lower, "aws:") && !strings.HasPrefix(lower, "quilt-rotate:"), "must not have names that begin with aws: or quilt-rotate:")
		other, taken := names[lower]
		g.require("tags", !taken, "has %s and %s (every resource has Application and Environment), which IAM takes for one: write the same name, or another", other, name)
		names[lower] = name
	}
	most := 0
	for _, keys := range [][]Key{c.Keys, c.Retired} {
		for i := range keys {
			most = max(most, len(keys[i].SettingTags()))
		}
	}
	if n := len(c.StackTags()) + most; n > maxTags {
		g.require("tags", false, "are too many: with those that say a secret's settings they are %d, and a resource takes %d", n, maxTags)
	}
}
