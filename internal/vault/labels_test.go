package vault_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/vault"
)

func init() { hermetic.FixSeed() }

const (
	oldVersion = "0f9a1b2c-1111-4222-8333-444455556666"
	newVersion = "7c3d2e1f-5555-4666-8777-888899990000"
)

var since = time.Date(2026, 11, 22, 18, 15, 0, 0, time.UTC)

func TestLabelsHaveTheDocumentedForm(t *testing.T) {
	// The labels are a storage format: each release must read the labels of earlier releases.
	if got, want := vault.KeyLabel("3f2a"), "quilt-key:3f2a"; got != want {
		t.Errorf("the key label is %q, want %q", got, want)
	}
	for at, want := range map[time.Time]string{
		since:                                       "quilt-superseded:20261122T181500Z:0f9a1b2c",
		since.Add(999 * time.Millisecond):           "quilt-superseded:20261122T181500Z:0f9a1b2c",
		since.In(time.FixedZone("east", 9*3600)):    "quilt-superseded:20261122T181500Z:0f9a1b2c",
		time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC): "quilt-superseded:20270102T030405Z:0f9a1b2c",
		time.Date(2027, 1, 1, 0, 30, 0, 0, time.FixedZone("east", 3600)): "quilt-superseded:20261231T233000Z:0f9a1b2c",
	} {
		if got := vault.NewMark(oldVersion, at).Label(); got != want {
			t.Errorf("the mark is %q, want %q", got, want)
		}
	}
}

func TestNewVersionParsesLabels(t *testing.T) {
	// Labels of other tools are ignored, and labels of newer releases are unknown.
	mark := vault.NewMark(oldVersion, since)
	later := vault.NewMark(oldVersion, since.Add(time.Minute))
	promising := vault.NewMark(oldVersion, since).Promising(720 * time.Hour)
	for _, c := range []struct {
		name    string
		stages  []string
		keys    []string
		marks   []vault.Mark
		unknown []string
	}{
		{"none", nil, nil, nil, nil},
		{"the service's own", []string{vault.Current, vault.Pending, vault.Previous}, nil, nil, nil},
		{"somebody else's", []string{"blue", "Quilt-key:x", "my-quilt-key:x", "quilt", "quilted"}, nil, nil, nil},
		{"a key", []string{vault.Current, "quilt-key:3f2a"}, []string{"3f2a"}, nil, nil},
		{"a key whose id has colons", []string{"quilt-key:a:b:"}, []string{"a:b:"}, nil, nil},
		{"two keys, moved by hand", []string{"quilt-key:b", "quilt-key:a"}, []string{"b", "a"}, nil, nil},
		{"a mark", []string{vault.Previous, mark.Label()}, nil, []vault.Mark{mark}, nil},
		{"two marks of two sweeps", []string{later.Label(), mark.Label()}, nil, []vault.Mark{later, mark}, nil},
		{"a key and a mark", []string{mark.Label(), "quilt-key:3f2a"}, []string{"3f2a"}, []vault.Mark{mark}, nil},
		{"a mark that promises", []string{promising.Label()}, nil, []vault.Mark{promising}, nil},
		{"another version's mark that promises",
			[]string{vault.NewMark(newVersion, since).Promising(time.Hour).Label()}, nil, nil,
			[]string{"quilt-superseded:20261122T181500Z:7c3d2e1f:20261122T191500Z"}},
		{"a mark that promises no time", []string{mark.Label() + ":20261322T181500Z", mark.Label() + ":", mark.Label() +
			":20261123T181500Z:x", mark.Label() + ":20261123T181500.5Z"}, nil, nil,
			[]string{mark.Label() + ":20261322T181500Z", mark.Label() + ":", mark.Label() + ":20261123T181500Z:x",
				mark.Label() + ":20261123T181500.5Z"}},
		{"a pause of no time", []string{"quilt-pause:", "quilt-pause:2026-11-22T18:15:00Z",
			"quilt-pause:20261122T181500.5Z", "quilt-pause:20261122T181500Z:x", "quilt-pause:20261322T181500Z"}, nil,
			nil,
			[]string{"quilt-pause:", "quilt-pause:2026-11-22T18:15:00Z", "quilt-pause:20261122T181500.5Z",
				"quilt-pause:20261122T181500Z:x", "quilt-pause:20261322T181500Z"}},
		{"a newer release's", []string{"quilt-lease:x", "quilt-"}, nil, nil, []string{"quilt-lease:x", "quilt-"}},
		{"a key label without a key", []string{"quilt-key:"}, nil, nil, []string{"quilt-key:"}},
		{"another version's mark, moved by hand", []string{vault.NewMark(newVersion, since).Label()}, nil, nil,
			[]string{"quilt-superseded:20261122T181500Z:7c3d2e1f"}},
		{"a mark without a version", []string{"quilt-superseded:20261122T181500Z",
			"quilt-superseded:20261122T181500Z:"}, nil, nil, []string{"quilt-superseded:20261122T181500Z",
			"quilt-superseded:20261122T181500Z:"}},
		{"a mark with more after it", []string{mark.Label() + "0", mark.Label() + ":x"}, nil, nil,
			[]string{mark.Label() + "0", mark.Label() + ":x"}},
		{"a mark of no time", []string{"quilt-superseded:20261322T181500Z:0f9a1b2c",
			"quilt-superseded:20260230T181500Z:0f9a1b2c"}, nil, nil,
			[]string{"quilt-superseded:20261322T181500Z:0f9a1b2c", "quilt-superseded:20260230T181500Z:0f9a1b2c"}},
		{"a mark of another form", []string{"quilt-superseded:2026-11-22T18:15:00Z:0f9a1b2c"}, nil, nil,
			[]string{"quilt-superseded:2026-11-22T18:15:00Z:0f9a1b2c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := vault.Version{ID: oldVersion, Stages: c.stages, Keys: c.keys, Marks: c.marks, Unknown: c.unknown}
			if diff := cmp.Diff(want, vault.NewVersion(oldVersion, c.stages),
				cmp.AllowUnexported(vault.Mark{})); diff != "" {
				t.Errorf("wrong (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPauseIsReadOnAnyVersion(t *testing.T) {
	// A move of AWSCURRENT must not end a pause. The latest pause counts, also if it is in the tag
	// of older releases.
	soon, late := since.Add(time.Hour), since.Add(4*time.Hour)
	if got, want := vault.PauseLabel(soon.In(time.FixedZone("east", 3600))),
		"quilt-pause:20261122T191500Z"; got != want {
		t.Errorf("the label is %q, want %q", got, want)
	}
	secret := vault.Secret{Versions: map[string]vault.Version{
		newVersion: vault.NewVersion(newVersion, []string{vault.Current, vault.PauseLabel(soon)}),
		oldVersion: vault.NewVersion(oldVersion, []string{vault.PauseLabel(late), vault.KeyLabel("a")}),
	}}
	for _, c := range []struct{ tagged, want time.Time }{{time.Time{}, late}, {soon, late},
		{late.Add(time.Hour), late.Add(time.Hour)}} {
		if got := secret.PausedUntil(c.tagged); !got.Equal(c.want) {
			t.Errorf("with the tag %v it is paused until %v, want %v", c.tagged, got, c.want)
		}
	}
	if got := (vault.Secret{}).PausedUntil(time.Time{}); !got.IsZero() {
		t.Errorf("a secret without pauses is paused until %v", got)
	}
}

func TestFirstReleaseStopsAtNewLabels(t *testing.T) {
	// After a rollback of the stack (docs/runbook/upgrade.md), the first release must not misread
	// newer labels. It has two forms of labels and stops its sweeps at all others.
	firstMark := regexp.MustCompile(`^quilt-superseded:([0-9]{8}T[0-9]{6}Z):(.{1,8})$`)
	for _, label := range []string{vault.PauseLabel(since),
		vault.NewMark(oldVersion, since).Promising(24 * time.Hour).Label(), vault.NewMark("x",
			since).Promising(0).Label()} {
		if !strings.HasPrefix(label, "quilt-") || strings.HasPrefix(label, "quilt-key:") ||
			firstMark.MatchString(label) {
			t.Errorf("the first release would misread %q", label)
		}
	}
}

func TestVersionHasLabelsAndKey(t *testing.T) {
	// Labels are compared exactly, and the first key label counts.
	v := vault.NewVersion(oldVersion, []string{vault.Current, "quilt-key:b", "quilt-key:a"})
	for label, want := range map[string]bool{vault.Current: true, "quilt-key:a": true, vault.Pending: false,
		"AWSCURREN": false, "awscurrent": false, "": false} {
		if v.Has(label) != want {
			t.Errorf("Has(%q) is %v", label, !want)
		}
	}
	if v.Key() != "b" || (vault.Version{}).Key() != "" {
		t.Errorf("the key is %q, and %q without labels", v.Key(), (vault.Version{}).Key())
	}
}

func TestCheckLabelRefusesIDsThatDoNotFit(t *testing.T) {
	// Secrets Manager or the sweep would not accept the label after the key is stored.
	for id, fits := range map[string]bool{
		"3f2a": true, strings.Repeat("x", vault.MaxLabelLength-len("quilt-key:")): true,
		"": false, strings.Repeat("x", vault.MaxLabelLength-len("quilt-key:")+1): false,
	} {
		if err := vault.CheckLabel(id); (err == nil) != fits {
			t.Errorf("an id of %d characters: %v", len(id), err)
		}
		if v := vault.NewVersion(oldVersion, []string{vault.KeyLabel(id)}); fits && v.Key() != id {
			t.Errorf("the id %q is read back as %q", id, v.Key())
		}
	}
}

// versionIDs generates ids as Secrets Manager accepts them (32 to 64 characters), and shorter ids,
// which an emulator may return.
func versionIDs() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`),
		rapid.StringMatching(`[!-~]{1,64}`))
}

func TestEveryMarkIsReadBack(t *testing.T) {
	// The grace period relies on version and time, to the second. Another version does not accept
	// the mark.
	rapid.Check(t, func(t *rapid.T) {
		id, other := versionIDs().Draw(t, "version"), versionIDs().Draw(t, "other version")
		at := time.Unix(rapid.Int64Range(0, 240000000000).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t,
			"nanosecond"))
		mark := vault.NewMark(id, at)
		if rapid.Bool().Draw(t, "promises") {
			mark = mark.Promising(time.Duration(rapid.Int64Range(0, int64(10*365*24*time.Hour)).Draw(t, "grace")))
		}
		if len(mark.Label()) > vault.MaxLabelLength {
			t.Fatalf("the label %q is too long", mark.Label())
		}
		v := vault.NewVersion(id, []string{vault.Previous, mark.Label()})
		if len(v.Marks) != 1 || !v.Marks[0].Since.Equal(at.Truncate(time.Second)) ||
			!v.Marks[0].Since.Equal(mark.Since) || !v.Marks[0].Until.Equal(mark.Until) ||
			v.Marks[0].Label() != mark.Label() || v.Unknown != nil {
			t.Fatalf("%q at %v is read back as %+v", id, at, v)
		}
		theirs := vault.NewVersion(other, []string{mark.Label()})
		if same := other[:min(8, len(other))] == id[:min(8, len(id))]; !same &&
			(theirs.Marks != nil || len(theirs.Unknown) != 1) {
			t.Fatalf("the mark of %q is taken by %q: %+v", id, other, theirs)
		}
	})
}

func TestEveryKeyLabelIsReadBack(t *testing.T) {
	// Any id that fits into a label is read back unchanged.
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringN(1, -1, vault.MaxLabelLength-len("quilt-key:")).Draw(t, "key id")
		if err := vault.CheckLabel(id); err != nil {
			t.Fatal(err)
		}
		v := vault.NewVersion(oldVersion, []string{vault.KeyLabel(id)})
		if !slices.Equal(v.Keys, []string{id}) || v.Marks != nil || v.Unknown != nil {
			t.Fatalf("%q is read back as %+v", id, v)
		}
	})
}

func FuzzNewVersion(f *testing.F) {
	// Each label that begins with "quilt-" is parsed completely or returned as unknown.
	for _, label := range []string{"", "quilt-", "quilt-key:", "quilt-key:a", "quilt-superseded:",
		vault.NewMark(oldVersion, since).Label(), vault.NewMark("short", since).Label(),
		vault.NewMark("é日本語x", since).Label(), "quilt-superseded:20261122T181560Z:0f9a1b2c",
		"quilt-superseded:20261122T181500Z:\n", "quilt-superseded:00000101T000000Z:0f9a1b2c", vault.Current,
		vault.NewMark(oldVersion, since).Promising(time.Hour).Label(), vault.PauseLabel(since), "quilt-pause:",
		"quilt-pause:20261122T181500Z "} {
		f.Add(oldVersion, label)
		f.Add("short", label)
	}
	f.Fuzz(func(t *testing.T, id, label string) {
		v := vault.NewVersion(id, []string{label})
		ours := 0
		if strings.HasPrefix(label, "quilt-") {
			ours = 1
		}
		if len(v.Keys)+len(v.Marks)+len(v.Pauses)+len(v.Unknown) != ours {
			t.Fatalf("the label %q on %q is read as %+v", label, id, v)
		}
		if v.Keys != nil && vault.KeyLabel(v.Key()) != label {
			t.Fatalf("the label %q is read as the key %q", label, v.Key())
		}
		if v.Marks != nil && v.Marks[0].Label() != label {
			t.Fatalf("the label %q is read as the mark %q", label, v.Marks[0].Label())
		}
		if v.Pauses != nil && vault.PauseLabel(v.Pauses[0]) != label {
			t.Fatalf("the label %q is read as the pause until %v", label, v.Pauses[0])
		}
		if v.Unknown != nil && v.Unknown[0] != label {
			t.Fatalf("the label %q is unknown as %q", label, v.Unknown[0])
		}
		if !slices.Equal(v.Stages, []string{label}) || !v.Has(label) {
			t.Fatalf("the label %q was lost: %+v", label, v)
		}
	})
}
