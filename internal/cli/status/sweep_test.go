package status

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
)

func TestEveryReasonHasASentence(t *testing.T) {
	// The names of reasons are for programs. A new reason needs a sentence.
	acts := map[revocation.Reason]revocation.Kind{
		revocation.Superseded: revocation.Mark, revocation.CurrentAgain: revocation.Unmark,
		revocation.NoKeyLabel: revocation.Unmark, revocation.KeyMoved: revocation.Relabel,
		revocation.GraceOver: revocation.Revoke, revocation.GraceOverUnknown: revocation.Revoke,
		revocation.HoldLimitOver: revocation.Revoke,
		revocation.Expired:       revocation.Revoke, revocation.Orphaned: revocation.RevokeOrphan,
		revocation.Gone: revocation.Unlabel, revocation.StillUsed: revocation.Hold,
	}
	for _, reason := range slices.Sorted(maps.Keys(revocation.Ends)) {
		kind, ok := acts[reason]
		if !ok {
			kind = revocation.Report
		}
		taken := revocation.Taken{Action: kind, Reason: reason, Version: "0f9a1b2c-1111", Fingerprint: "qk_abc...xyz",
			Owner: "a@example.com"}
		for _, line := range []Line{Planned(taken, now), Done(taken, now)} {
			if line.Text == "" || line.Detail == "" || strings.Contains(line.Text+line.Detail, string(reason)) &&
				strings.Contains(string(reason), "-") {
				t.Errorf("%s: got %q, %q, want a sentence", reason, line.Text, line.Detail)
			}
		}
	}
}

func TestSentences(t *testing.T) {
	// A sentence names the key and the time, and says whether the action is planned or done.
	until, used := now.Add(22*time.Hour), now.Add(-3*time.Hour)
	revoke := revocation.Taken{Action: revocation.Revoke, Reason: revocation.GraceOver, Fingerprint: "qk_abc...xyz",
		KeyID: "k1"}
	failed := revoke
	failed.Error = "the registry is down"
	for _, c := range []struct {
		got  Line
		want Line
	}{
		{Planned(revoke, now), Line{terminal.Later, "will revoke qk_abc...xyz",
			"its grace period is over, and nobody uses it"}},
		{Done(revoke, now), Line{terminal.Done, "revoked qk_abc...xyz",
			"its grace period is over, and nobody uses it"}},
		{Done(failed, now), Line{terminal.Failed, "revoke of qk_abc...xyz failed", "the registry is down"}},
		{
			Planned(revocation.Taken{Action: revocation.Report, Reason: revocation.InGrace, KeyID: "k1", Until: &until},
				now),
			Line{terminal.Noted, "keeps the key k1 until 2026-11-23 16:15 UTC", "in its grace period"},
		},
		{
			Planned(revocation.Taken{Action: revocation.Hold, Reason: revocation.StillUsed, Fingerprint: "qk_abc...xyz",
				LastUsedAt: &used, Until: &until}, now),
			Line{terminal.Warned, "holds qk_abc...xyz, last used 3 h ago", "held until 2026-11-23 16:15 UTC at most"},
		},
	} {
		if c.got != c.want {
			t.Errorf("got %+v, want %+v", c.got, c.want)
		}
	}
}
