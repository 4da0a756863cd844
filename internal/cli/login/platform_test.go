package login_test

import (
	"strings"
	"testing"

	"quilt-rotate/internal/cli/login"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

func TestCheckPlatformRefusesVersionsWithoutAPIKeys(t *testing.T) {
	// An older version is refused with an explanation. A version of unknown format is accepted.
	for version, old := range map[string]bool{
		"1.66.0": true, "1.66": true, "0.99.1": true, "v1.5": true, "release-1.66.2": true,
		"1.67.0": false, "1.67": false, "1.68.0-rc1": false, "v1.100": false, "2.0": false, "": false, "nightly": false,
		"2026.11": false, "99999999999999999999.1": false,
	} {
		err := login.CheckPlatform(quilt.Catalog{StackVersion: version})
		if (err != nil) != old {
			t.Errorf("%q: got %v", version, err)
		}
		if old && (!strings.Contains(err.Error(), version) || terminal.Hint(err) == "") {
			t.Errorf("%q: got %q with the hint %q", version, err, terminal.Hint(err))
		}
	}
}
