package audit_test

import (
	"errors"
	"strings"
	"testing"

	"quilt-rotate/internal/cli/audit"
)

func TestAFindingIsReadAsItIsWritten(t *testing.T) {
	// Protects --fail-on: each finding is taken by its name, and another word is refused with a
	// list of all names.
	for _, want := range audit.Findings() {
		var got audit.Finding
		if err := got.UnmarshalText([]byte(" " + string(want))); err != nil || got != want {
			t.Errorf("%s is read as %s, %v", want, got, err)
		}
	}
	for _, name := range []string{"", "unsued", "UNUSED", "unused;expired"} {
		var got audit.Finding
		err := got.UnmarshalText([]byte(name))
		unknown, ok := errors.AsType[*audit.UnknownFindingError](err)
		if !ok || unknown.Name != name {
			t.Errorf("%q: %v", name, err)
			continue
		}
		for _, f := range audit.Findings() {
			if !strings.Contains(err.Error(), string(f)) {
				t.Errorf("%q is refused without the name %s: %v", name, f, err)
			}
		}
	}
}
