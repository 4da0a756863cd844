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

// CheckPlatform refuses a catalog whose stack is older than API keys. A version of another form is
// let pass: how it looks is not documented.
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
	return terminal.WithHint(fmt.Errorf("the registry's platform is %s, and API keys came with %d.%d",
		catalog.StackVersion, minMajor, minMinor),
		"have the Quilt stack upgraded by whoever runs it, then run this again")
}
