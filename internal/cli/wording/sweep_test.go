package wording_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/cli/wording"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
)

var now = time.Date(2026, 11, 22, 18, 15, 0, 0, time.UTC)

func TestEveryReasonHasItsSentence(t *testing.T) {
	// Protects readers from the names that programs use: a reason that is new gets a sentence here too.
	acts := map[revocation.Reason]revocation.Kind{
		revocation.Superseded: revocation.Mark, revocation.CurrentAgain: revocation.Unmark, revocation.NoKeyLabel: revocation.Unmark, revocation.KeyMoved: revocation.Relabel,
		revocation.GraceOver: revocation.Revoke, revocation.GraceOverUnknown: revocation.Revoke, revocation.HoldLimitOver: revocation.Revoke,
		revocation.Expired: revocation.Revoke, revocation.Orphaned: revocation.RevokeOrphan, revocation.Gone: revocation.Unlabel, revocation.StillUsed: revocation.Hold,
	}
	for _, reason := range slices.Sorted(maps.Keys(revocation.Ends)) {
		kind, ok := acts[reason]
		if !ok {
			kind = revocation.Report
		}
		taken := revocation.Taken{Action: kind, Reason: reason, Version: "0f9a1b2c-1111", Fingerprint: "qk_abc...xyz", Owner: "a@example.com"}
		for _, line := range []wording.Line{wording.Planned(taken, now), wording.Happened(taken, now)} {
			if line.Text == "" || line.Beside == "" || strings.Contains(line.Text+line.Beside, string(reason)) && strings.Contains(string(reason), "-") {
				t.Errorf("%s is told as %q, %q", reason, line.Text, line.Beside)
			}
		}
	}
}

func TestSentences(t *testing.T) {
	// Protects what a tired person reads: who, what, until when, and done apart from to be done.
	until, used := now.Add(22*time.Hour), now.Add(-3*time.Hour)
	revoke := revocation.Taken{Action: revocation.Revoke, Reason: revocation.GraceOver, Fingerprint: "qk_abc...xyz", KeyID: "k1"}
	failed := revoke
	failed.Error = "the registry is down"
	for _, c := range []struct {
		got  wording.Line
		want wording.Line
	}{
		{wording.Planned(revoke, now), wording.Line{terminal.Later, "will revoke qk_abc...xyz", "its grace is over, and nobody uses it"}},
		{wording.Happened(revoke, now), wording.Line{terminal.Done, "revoked qk_abc...xyz", "its grace is over, and nobody uses it"}},
		{wording.Happened(failed, now), wording.Line{terminal.Failed, "revoke of qk_abc...xyz failed", "the registry is down"}},
		{
			wording.Planned(revocation.Taken{Action: revocation.Report, Reason: revocation.InGrace, KeyID: "k1", Until: &until}, now),
			wording.Line{terminal.Noted, "keeps the key k1 until 2026-11-23 16:15 UTC", "in grace"},
		},
		{
			wording.Planned(revocation.Taken{Action: revocation.Hold, Reason: revocation.StillUsed, Fingerprint: "qk_abc...xyz", LastUsedAt: &used, Until: &until}, now),
			wording.Line{terminal.Warned, "holds qk_abc...xyz, last used 3 h ago", "held until 2026-11-23 16:15 UTC at most"},
		},
	} {
		if c.got != c.want {
			t.Errorf("got %+v, want %+v", c.got, c.want)
		}
	}
}
