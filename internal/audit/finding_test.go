package audit_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/internal/audit"
)

func TestParseFindings(t *testing.T) {
	// Protects pipelines that fail on findings: the names stay, blanks and repetitions do no harm.
	got, err := audit.ParseFindings("unused, expiring,expired,never-used,name,unmanaged,unused")
	want := []audit.Finding{audit.Unused, audit.Expiring, audit.Expired, audit.NeverUsed, audit.Name, audit.Unmanaged}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnUnknownFindingIsAWrongCall(t *testing.T) {
	// Protects a gate from a misspelt name, which would let everything pass: the error has the name and all that are known.
	for _, list := range []string{"", "unused,", "Unused", "unused,idle", "all"} {
		_, err := audit.ParseFindings(list)
		unknown, ok := errors.AsType[*audit.UnknownFindingError](err)
		if !ok {
			t.Errorf("%q: the error is %v", list, err)
			continue
		}
		for _, f := range audit.Findings() {
			if !strings.Contains(unknown.Error(), string(f)) {
				t.Errorf("%q: the error %q does not name %s", list, unknown, f)
			}
		}
	}
}
