package login_test

import (
	"strings"
	"testing"

	"quilt-rotate/internal/cli/login"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

func TestThePlatformsThatHaveAPIKeys(t *testing.T) {
	// Protects people with an old stack from an error that says nothing, and those with a version
	// in a form that nobody documented from a refusal.
	for version, old := range map[string]bool{
		"1.66.0": true, "1.66": true, "0.99.1": true, "v1.5": true, "release-1.66.2": true,
		"1.67.0": false, "1.67": false, "1.68.0-rc1": false, "v1.100": false, "2.0": false, "": false, "nightly": false,
		"2026.11": false, "99999999999999999999.1": false,
	} {
		err := login.CheckPlatform(quilt.Catalog{StackVersion: version})
		if (err != nil) != old {
			t.Errorf("%q: %v", version, err)
		}
		if old && (!strings.Contains(err.Error(), version) || terminal.Hint(err) == "") {
			t.Errorf("%q is refused as %q, with the hint %q", version, err, terminal.Hint(err))
		}
	}
}
