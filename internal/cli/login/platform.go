package login

import (
	"fmt"
	"regexp"
	"strconv"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// The first platform with API keys (quilt: docs/api-reference/authentication.md).
const (
	minMajor = 1
	minMinor = 67
)

var leadingVersion = regexp.MustCompile(`^[^0-9]*([0-9]+)\.([0-9]+)`)

// CheckPlatform refuses a catalog whose Quilt stack is too old for API keys. It accepts a version
// with an unknown format, because the format is not documented.
func CheckPlatform(catalog quilt.Catalog) error {
	m := leadingVersion.FindStringSubmatch(catalog.StackVersion)
	if m == nil {
		return nil
	}
	major, errMajor := strconv.Atoi(m[1])
	minor, errMinor := strconv.Atoi(m[2])
	if errMajor != nil || errMinor != nil || major > minMajor || major == minMajor && minor >= minMinor {
		return nil
	}
	return terminal.WithHint(fmt.Errorf("the version of the Quilt stack is %s, and API keys need %d.%d or newer",
		catalog.StackVersion, minMajor, minMinor),
		"ask the administrator of the Quilt stack to upgrade it, then run this command again")
}
