package revocation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// TestAPromisedGraceSurvivesTheTag has a tool that removes the secret's tags. The mark keeps the
// grace period that applied when the version was superseded.
func TestAPromisedGraceSurvivesTheTag(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, fresh := rotated(t, r, settings.TagGrace, "720h")
	swept(t, s, "mark superseded done")
	s.Tag(settings.TagGrace, "")
	r.Clock.Advance(719 * time.Hour)
	result := swept(t, s, "report in-grace")
	if until := result.Actions[0].Until; until == nil || until.Sub(r.Clock.Now()) > time.Hour {
		t.Errorf("the grace ends at %v, want an hour from now at the latest", until)
	}
	valid(t, s, old, fresh)
	r.Clock.Advance(time.Hour)
	swept(t, s, "revoke grace-over done")
	revoked(t, s, old)
	noLabelsLeft(t, s)
}

// TestAMarkOfTheFirstReleaseIsRead has a mark of an older release. The configured grace period
// applies, and the mark is removed with the key's label.
func TestAMarkOfTheFirstReleaseIsRead(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := rotated(t, r)
	id := s.Holder(vault.Previous).ID
	label := "quilt-superseded:" + r.Clock.Now().UTC().Format("20060102T150405Z") + ":" + id[:8]
	if err := s.MoveLabel(label, id, ""); err != nil {
		t.Fatal(err)
	}
	swept(t, s, "report in-grace")
	r.Clock.Advance(48 * time.Hour)
	swept(t, s, "revoke grace-over done")
	revoked(t, s, old)
	noLabelsLeft(t, s)
}

// TestAPauseOutlivesTagsAndRotations checks that a pause stays when tags are removed and after a
// rotation. When it is over, the sweep removes its label and continues.
func TestAPauseOutlivesTagsAndRotations(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	pauseByLabel(4*time.Hour, vault.Current)(s)
	second := s.CurrentKey()
	s.MustRotate()
	if result := s.MustSweep(); result.Outcome != Paused || result.PausedUntil == nil || len(result.Actions) > 0 {
		t.Errorf("the sweep does not stop for the pause: %s", sandboxtest.JSONOf(result))
	}
	valid(t, s, old, second)

	r.Clock.Advance(4*time.Hour + time.Second)
	preview, err := s.Preview()
	if err != nil || preview.Outcome != Swept || !strings.Contains(s.Labels(), "quilt-pause:") {
		t.Errorf("a dry run takes the label off, or fails: %v\n%s", err, s.Labels())
	}
	if done := slices.Sorted(slices.Values(did(s.MustSweep()))); !slices.Equal(done, []string{"mark superseded done",
		"revoke grace-over done"}) {
		t.Errorf("after the pause the sweep does %v", done)
	}
	revoked(t, s, old)
	valid(t, s, second)
	if strings.Contains(s.Labels(), "quilt-pause:") {
		t.Errorf("the label of the pause is left:\n%s", s.Labels())
	}
}

// TestAPauseThatIsOverOnTheVersionThatIsSwept checks that the gate does not take a change by the
// sweep itself, or by a concurrent sweep, for a change by somebody else.
func TestAPauseThatIsOverOnTheVersionThatIsSwept(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	pauseByLabel(-time.Hour, vault.Previous)(s)
	label := vault.PauseLabel(r.Clock.Now().Add(-time.Hour))
	r.Intercept(
		sandboxtest.On(sandboxtest.Nth(0,
			sandboxtest.Before(func() { _ = s.MoveLabel(label, "", s.Holder(label).ID) })), "UpdateSecretVersionStage"))
	swept(t, s, "revoke grace-over done")
	revoked(t, s, old)
	noLabelsLeft(t, s)
}

// TestAPauseThatIsOverIsLeftBesideAnUnknownLabel checks that a sweep changes nothing if a newer
// release wrote a label that this release does not know.
func TestAPauseThatIsOverIsLeftBesideAnUnknownLabel(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	pauseByLabel(-time.Hour, vault.Current)(s)
	unknownLabel(s)
	before := s.Labels()
	failed(t, s, "UnknownLabel")
	if after := s.Labels(); after != before {
		t.Errorf("labels changed:\n%s\nbefore:\n%s", after, before)
	}
	valid(t, s, old)
}
