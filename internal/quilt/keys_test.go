package quilt_test

import (
	"testing"

	"quilt-rotate/internal/quilt"
)

func TestSameUserIgnoresCase(t *testing.T) {
	// An empty address belongs to nobody.
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"ann@example.com", "ann@example.com", true},
		{"Ann@Example.com", "aNN@example.COM", true},
		{"ann@example.com", "ann@example.org", false},
		{"ann@example.com", "", false},
		{"", "", false},
	} {
		if quilt.SameUser(c.a, c.b) != c.same || quilt.SameUser(c.b, c.a) != c.same {
			t.Errorf("%q and %q: want %v", c.a, c.b, c.same)
		}
	}
}
