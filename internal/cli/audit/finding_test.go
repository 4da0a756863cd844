package audit_test

import (
	"errors"
	"strings"
	"testing"

	"quilt-rotate/internal/cli/audit"
)

func TestFindingsAreParsedFromTheirNames(t *testing.T) {
	// The error for an unknown name must list all names.
	for _, want := range audit.Findings() {
		var got audit.Finding
		if err := got.UnmarshalText([]byte(" " + string(want))); err != nil || got != want {
			t.Errorf("parsing %s: got %s, %v", want, got, err)
		}
	}
	for _, name := range []string{"", "unsued", "UNUSED", "unused;expired"} {
		var got audit.Finding
		err := got.UnmarshalText([]byte(name))
		unknown, ok := errors.AsType[*audit.UnknownFindingError](err)
		if !ok || unknown.Name != name {
			t.Errorf("%q: got %v", name, err)
			continue
		}
		for _, f := range audit.Findings() {
			if !strings.Contains(err.Error(), string(f)) {
				t.Errorf("the error for %q lacks the name %s: %v", name, f, err)
			}
		}
	}
}
