package revocation_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/apikey"
	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/vault"
)

// TestOurs checks which keys belong to a secret. Keys of others must not be revoked when a secret
// is retired, and no key of the secret may be left.
func TestOurs(t *testing.T) {
	for _, c := range []struct {
		name  string
		scene func() *scene
		want  []string
	}{
		{"current and superseded", settled, []string{"new", "old"}},
		{"orphan", with(func(s *scene) { s.orphan(0) }), []string{"new", "old", "orphan"}},
		{"made by hand, under its label", with(func(s *scene) { s.listed("old").Name = "my key" }),
			[]string{"new", "old"}},
		{"made by hand, current without a label",
			with(func(s *scene) { s.listed("new").Name = "my key"; s.relabel("new", vault.Current) }), []string{"new",
				"old"}},
		{"made by hand, and no version has it", with(func(s *scene) { s.orphan(0).listed("orphan").Name = "my key" }),
			[]string{"new", "old"}},
		{"made by hand, superseded without a label",
			with(func(s *scene) { s.listed("old").Name = "my key"; s.relabel("old", vault.Previous) }),
			[]string{"new"}},
		{"made for another secret",
			with(func(s *scene) { s.listed("old").Name = apikey.Name("other", marked, otherARN) }), []string{"new"}},
		{"current, made for another secret",
			with(func(s *scene) { s.listed("new").Name = apikey.Name("other", marked, otherARN) }), []string{"old"}},
		{"another user's", with(func(s *scene) { s.listed("old").UserEmail = "other@example.com" }), []string{"new"}},
		{"another user's, by hand", with(func(s *scene) {
			s.listed("old").Name, s.listed("old").UserEmail = "my key",
				"other@example.com"
		}), []string{"new"}},
		{"label of another key than the value's, made by hand", with(func(s *scene) {
			s.listed("old").Name, s.listed("old").Fingerprint = "my key", keyOf("x").Fingerprint()
		}), []string{"new"}},
		{"value unreadable, made by hand", with(func(s *scene) {
			s.listed("old").Name, s.held("old").Holds = "my key",
				Holding{State: Unreadable}
		}), []string{"new"}},
		{"fingerprint of another key, too, made by hand", with(func(s *scene) {
			s.listed("old").Name = "my key"
			s.row("orphan", keyOf("old")).Name = "by hand"
		}), []string{"new"}},
		{"not in the list, but known by its id", with(func(s *scene) {
			s.Answers["old"] = KeyAnswer{Key: ptr(*s.listed("old"))}
			s.unlist("old")
		}), []string{"new", "old"}},
		{"gone", with(func(s *scene) { s.unlist("old"); s.Answers["old"] = KeyAnswer{} }), []string{"new"}},
		{"the list does not count", with(func(s *scene) { s.List = nil }), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.scene()
			before := slices.Clone(s.List)
			var got []string
			for _, k := range s.Ours() {
				got = append(got, k.ID)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, s.List); diff != "" {
				t.Errorf("the world was changed (-want +got):\n%s", diff)
			}
		})
	}
}
