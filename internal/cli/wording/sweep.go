// Package wording says in plain sentences what a sweep of the secret did, or would do: the same ones wherever a command tells of it.
//
// It decides nothing, and quotes of a key its fingerprint at most. It relies on package revocation for the reasons; each of them has its sentence here.
package wording

import (
	"fmt"
	"strings"
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
)

// Line is a sentence with its mark, and what there is to know beside.
type Line struct {
	Mark   terminal.Mark
	Text   string
	Beside string
}

// Planned says what a sweep would do.
func Planned(t revocation.Taken, now time.Time) Line {
	switch t.Action {
	case revocation.Revoke, revocation.RevokeOrphan:
		return Line{terminal.Later, "will revoke " + key(t), because[t.Reason]}
	case revocation.Mark:
		line := Line{terminal.Later, "will mark " + key(t) + " as superseded", "its grace begins then"}
		if t.Until != nil {
			line.Beside = "it may be revoked from " + Clock(*t.Until) + " on: its rotation may still finish"
		}
		return line
	case revocation.Unmark:
		return Line{terminal.Later, "will take the mark off the version " + Short(t.Version), because[t.Reason]}
	case revocation.Relabel:
		return Line{terminal.Later, "will move the label of " + key(t) + " to the version " + Short(t.Version), because[t.Reason]}
	case revocation.Unlabel:
		return Line{terminal.Later, "will take the labels of " + key(t) + " off", because[t.Reason]}
	}
	return kept(t, now)
}

// Happened says what a sweep did.
func Happened(t revocation.Taken, now time.Time) Line {
	if t.Error != "" {
		return Line{terminal.Failed, fmt.Sprintf("%s of %s failed", t.Action, key(t)), t.Error}
	}
	switch t.Action {
	case revocation.Revoke, revocation.RevokeOrphan:
		return Line{terminal.Done, "revoked " + key(t), because[t.Reason]}
	case revocation.Mark:
		line := Line{terminal.Done, "marked " + key(t) + " as superseded", "its grace begins now"}
		if t.Until != nil {
			line.Beside = "it may be revoked from " + Clock(*t.Until) + " on: its rotation may still finish"
		}
		return line
	case revocation.Unmark:
		return Line{terminal.Done, "took the mark off the version " + Short(t.Version), because[t.Reason]}
	case revocation.Relabel:
		return Line{terminal.Done, "moved the label of " + key(t) + " to the version " + Short(t.Version), because[t.Reason]}
	case revocation.Unlabel:
		return Line{terminal.Done, "took the labels of " + key(t) + " off", because[t.Reason]}
	}
	return kept(t, now)
}

// because are the reasons to act.
var because = map[revocation.Reason]string{
	revocation.Superseded:       "it is neither current nor pending any more",
	revocation.CurrentAgain:     "it is current again",
	revocation.KeyMoved:         "that version holds the same key",
	revocation.NoKeyLabel:       "a mark without a key means nothing",
	revocation.GraceOver:        "its grace is over, and nobody uses it",
	revocation.GraceOverUnknown: "its grace is over; whether it is used is not recorded",
	revocation.HoldLimitOver:    "it is still used, and was held for as long as is allowed",
	revocation.Expired:          "it has expired",
	revocation.Orphaned:         "no version holds it",
	revocation.Gone:             "it no longer exists",
}

// kept says why a sweep leaves a key alone.
func kept(t revocation.Taken, now time.Time) Line {
	if t.Reason == revocation.StillUsed {
		return held(t, now)
	}
	if why, ok := waits[t.Reason]; ok {
		text := "keeps " + key(t)
		if t.Until != nil {
			text += " until " + Clock(*t.Until)
		}
		return Line{terminal.Noted, text, why}
	}
	if say, ok := problems[t.Reason]; ok {
		return Line{terminal.Warned, strings.ReplaceAll(say.text, "KEY", key(t)), say.beside}
	}
	return Line{terminal.Warned, "leaves " + key(t) + " alone", string(t.Reason)}
}

func held(t revocation.Taken, now time.Time) Line {
	line := Line{Mark: terminal.Warned, Text: "holds " + key(t)}
	if t.LastUsedAt != nil {
		line.Text += ", last used " + terminal.Ago(now.Sub(*t.LastUsedAt))
	}
	if t.Owner != "" {
		line.Beside = "a key of " + t.Owner
	}
	if t.Until != nil {
		if line.Beside != "" {
			line.Beside += ", "
		}
		line.Beside += "held until " + Clock(*t.Until) + " at most"
	}
	return line
}

// waits are the reasons to wait.
var waits = map[revocation.Reason]string{
	revocation.InGrace:        "in grace",
	revocation.MayBePromoted:  "its rotation may still finish",
	revocation.ReplicaLag:     "a replica region may still serve it",
	revocation.RotationUnder:  "a rotation is under way",
	revocation.SameKey:        "its text is in the current or the pending value",
	revocation.OrphanTooYoung: "no version holds it yet, and one may still",
	revocation.WorldChanged:   "the secret changed meanwhile: the next sweep looks again",
	revocation.NotAsked:       "the registry gave no answer about it",
	revocation.NotRevoked:     "the registry did not revoke it; it has expired, and its labels were removed",
}

// problems are the reasons to tell somebody. KEY stands for the key.
var problems = map[revocation.Reason]struct{ text, beside string }{
	revocation.Foreign:        {"leaves KEY alone", "it belongs to another user, or may belong to one"},
	revocation.OtherSecret:    {"leaves KEY alone", "its name says that it was made for another secret"},
	revocation.Mislabelled:    {"leaves KEY alone", "its version holds another key than its label says"},
	revocation.Ambiguous:      {"leaves KEY alone", "whether a version holds it cannot be decided"},
	revocation.UnreadableKey:  {"leaves KEY alone", "the version's value holds no key that can be read"},
	revocation.Unlabelled:     {"leaves KEY alone", "somebody took its label off"},
	revocation.Unidentified:   {"cannot tell which of the registry's keys is current", "it will not be revoked when it is replaced, and expires"},
	revocation.ListIncomplete: {"does not trust the registry's list", "it lacks the current key"},
	revocation.UnknownLabel:   {"touches nothing", "a label is unknown: a newer release wrote it"},
	revocation.UnreadOrphans:  {"leaves KEY alone", "a version that cannot be read may hold it"},
	revocation.Undecryptable:  {"leaves KEY alone", "Secrets Manager does not give its version's value"},
	revocation.NotComparable:  {"leaves KEY alone", "the registry shows fingerprints in a form that is not known"},
	revocation.ReplicaFailed:  {"leaves KEY alone", "the replication to a region failed, and it may still serve the key"},
	revocation.NoReference:    {"touches nothing", "the current or the pending key cannot be read"},
}

// key names a key as people know it: by its fingerprint.
func key(t revocation.Taken) string {
	switch {
	case t.Fingerprint != "":
		return t.Fingerprint
	case t.KeyID != "":
		return "the key " + t.KeyID
	case t.Version != "":
		return "the version " + Short(t.Version)
	}
	return "every key"
}

// Short is the beginning of a version's id, by which people know it.
func Short(versionID string) string {
	if len(versionID) > 8 {
		return versionID[:8]
	}
	return versionID
}

// Clock is an instant to the minute, in UTC.
func Clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Outcome says how a sweep ended that did nothing; "" where it swept.
func Outcome(r revocation.Result) string {
	switch r.Outcome {
	case revocation.Paused:
		if r.PausedUntil != nil {
			return "sweeps are paused until " + Clock(*r.PausedUntil)
		}
		return "sweeps are paused"
	case revocation.Deleted:
		return "the secret is marked for deletion"
	case revocation.NotBootstrapped:
		return "the secret waits for its first key"
	}
	return ""
}
