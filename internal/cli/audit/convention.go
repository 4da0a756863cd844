package audit

import (
	"regexp"
	"slices"
	"strings"

	"quilt-rotate/internal/apikey"
)

// The convention is Quilt's: a name includes purpose, environment and date, `ci-github-prod-2026q1`
// (quilt: docs/api-reference/authentication.md, best practices). Here a name is a list of words
// between hyphens, in upper or lower case: the date or period is last, at least one word before it
// is an environment, and at least one is not. Their order is free.
var (
	wordForm        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._]*$`)
	environmentWord = regexp.MustCompile(
		`(?i)^(dev|devel|development|test|testing|qa|uat|int|integration|sandbox|sbx|stage|staging|stg|preprod|nonprod|prod|production|prd|live|demo|local)[0-9]{0,2}$`)
	periodAtTheEnd = regexp.MustCompile(`(?i)-20[0-9]{2}(` +
		`-?(0[1-9]|1[0-2])(-?(0[1-9]|[12][0-9]|3[01]))?` + // 202611, 2026-11, 20261122, 2026-11-22
		`|-?q[1-4]|-?h[12]|-?w(0[1-9]|[1-4][0-9]|5[0-3])` + // 2026q1, 2026-Q1, 2026h2, 2026w47
		`)?$`) // 2026
)

// FollowsConvention reports whether a name has a purpose, an environment and a date. The names that
// a rotation gives (`<label>-<yyyymmdd>-<16 hex>`) follow the convention, because their mark
// identifies the secret.
func FollowsConvention(name string) bool {
	if _, ours := apikey.MarkOf(name); ours {
		return true
	}
	period := periodAtTheEnd.FindStringIndex(name)
	if period == nil {
		return false
	}
	words := strings.Split(name[:period[0]], "-")
	if slices.ContainsFunc(words, func(w string) bool { return !wordForm.MatchString(w) }) {
		return false
	}
	environments := 0
	for _, w := range words {
		if environmentWord.MatchString(w) {
			environments++
		}
	}
	return environments > 0 && environments < len(words)
}
