package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Line is a sentence about one action of a sweep.
type Line struct {
	Mark   terminal.Mark
	Text   string
	Detail string
}

// actions has the sentences for the changes of a sweep. KEY is replaced by the key, and VERSION by
// the start of the version's id.
var actions = map[revocation.Kind]struct{ planned, done string }{
	revocation.Revoke:       {"will revoke KEY", "revoked KEY"},
	revocation.RevokeOrphan: {"will revoke KEY", "revoked KEY"},
	revocation.Mark:         {"will mark KEY as superseded", "marked KEY as superseded"},
	revocation.Unmark: {"will remove the mark from the version VERSION",
		"removed the mark from the version VERSION"},
	revocation.Relabel: {"will move the label of KEY to the version VERSION",
		"moved the label of KEY to the version VERSION"},
	revocation.Unlabel: {"will remove the labels of KEY", "removed the labels of KEY"},
}

// Planned describes an action that a sweep would do. now is the time of the plan.
func Planned(t revocation.Taken, now time.Time) Line {
	if action, ok := actions[t.Action]; ok {
		return Line{terminal.Later, filled(action.planned, t), detail(t)}
	}
	return kept(t, now)
}

// Done describes an action that a sweep did.
func Done(t revocation.Taken, now time.Time) Line {
	if t.Error != "" {
		return Line{terminal.Failed, filled(string(t.Action)+" of KEY failed", t), t.Error}
	}
	if action, ok := actions[t.Action]; ok {
		return Line{terminal.Done, filled(action.done, t), detail(t)}
	}
	return kept(t, now)
}

func detail(t revocation.Taken) string {
	switch {
	case t.Action != revocation.Mark:
		return actionReasons[t.Reason]
	case t.Until != nil:
		return "it may be revoked from " + Clock(*t.Until) + " on: its rotation may still finish"
	}
	return "its grace period begins with the mark"
}

var actionReasons = map[revocation.Reason]string{
	revocation.CurrentAgain:     "it is current again",
	revocation.KeyMoved:         "that version holds the same key",
	revocation.NoKeyLabel:       "the version has a mark and no key label",
	revocation.GraceOver:        "its grace period is over, and nobody uses it",
	revocation.GraceOverUnknown: "its grace period is over; the registry does not record its use",
	revocation.HoldLimitOver:    "it is still used, and the hold limit is over",
	revocation.Expired:          "it has expired",
	revocation.Orphaned:         "no version holds it",
	revocation.Gone:             "it no longer exists",
}

// kept describes why a sweep does not revoke a key.
func kept(t revocation.Taken, now time.Time) Line {
	if t.Reason == revocation.StillUsed {
		return held(t, now)
	}
	if why, ok := waitReasons[t.Reason]; ok {
		text := "keeps KEY"
		if t.Until != nil {
			text += " until " + Clock(*t.Until)
		}
		return Line{terminal.Noted, filled(text, t), why}
	}
	if say, ok := reportReasons[t.Reason]; ok {
		return Line{terminal.Warned, filled(say.text, t), say.detail}
	}
	return Line{terminal.Warned, filled("skips KEY", t), string(t.Reason)}
}

func held(t revocation.Taken, now time.Time) Line {
	text := "holds KEY"
	if t.LastUsedAt != nil {
		text += ", last used " + terminal.Ago(now.Sub(*t.LastUsedAt))
	}
	var details []string
	if t.Owner != "" {
		details = append(details, "a key of "+t.Owner)
	}
	if t.Until != nil {
		details = append(details, "held until "+Clock(*t.Until)+" at most")
	}
	return Line{terminal.Warned, filled(text, t), strings.Join(details, ", ")}
}

// waitReasons are the reasons to keep a key for now. A later sweep decides again.
var waitReasons = map[revocation.Reason]string{
	revocation.InGrace:        "in its grace period",
	revocation.MayBePromoted:  "its rotation may still finish",
	revocation.ReplicaLag:     "a replica region may still serve it",
	revocation.RotationUnder:  "a rotation is under way",
	revocation.SameKey:        "the current or the pending value contains it",
	revocation.OrphanTooYoung: "no version holds it yet; its rotation may still store it",
	revocation.WorldChanged:   "the secret changed during the sweep; the next sweep reads it again",
	revocation.NotAsked:       "the registry gave no answer about it",
	revocation.NotRevoked:     "the registry did not revoke it; it has expired, and its labels were removed",
}

// reportReasons are the reasons that an operator should know about.
var reportReasons = map[revocation.Reason]struct{ text, detail string }{
	revocation.Foreign:       {"skips KEY", "it belongs to another user, or may belong to another user"},
	revocation.OtherSecret:   {"skips KEY", "its name says that it was created for another secret"},
	revocation.Mislabelled:   {"skips KEY", "the label of its version names another key"},
	revocation.Ambiguous:     {"skips KEY", "it is not known whether a version holds it"},
	revocation.UnreadableKey: {"skips KEY", "the value of the version holds no key"},
	revocation.Unlabelled:    {"skips KEY", "its label was removed"},
	revocation.Unidentified: {"does not know the id of the current key",
		"when the key is replaced, it is not revoked and stays valid until it expires"},
	revocation.ListIncomplete: {"ignores the registry's list of keys", "the current key is not in the list"},
	revocation.UnknownLabel:   {"changes nothing", "a label is unknown: a newer release wrote it"},
	revocation.UnreadOrphans:  {"skips KEY", "a version that cannot be read may hold it"},
	revocation.Undecryptable:  {"skips KEY", "Secrets Manager does not return the value of its version"},
	revocation.NotComparable:  {"skips KEY", "the registry shows fingerprints in an unknown format"},
	revocation.ReplicaFailed: {"skips KEY", "the replication to a region failed, and that region may still serve " +
		"the key"},
	revocation.NoReference: {"changes nothing", "the current or the pending key cannot be read"},
}

func filled(text string, t revocation.Taken) string {
	return strings.NewReplacer("KEY", keyOf(t), "VERSION", Short(t.Version)).Replace(text)
}

// keyOf returns the fingerprint of a key if it is known, or else its id or version.
func keyOf(t revocation.Taken) string {
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

// Short returns the start of a version's id.
func Short(versionID string) string { return fmt.Sprintf("%.8s", versionID) }

// Clock formats a time to the minute, in UTC.
func Clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Outcome returns why a sweep did nothing, or "" if the sweep ran.
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

// Stage returns the state of a version in one word.
func Stage(v revocation.VersionInfo) string {
	switch {
	case slices.Contains(v.Stages, vault.Current):
		return "current"
	case slices.Contains(v.Stages, vault.Pending):
		return "pending"
	case slices.Contains(v.Stages, vault.Previous):
		return "previous"
	case v.SupersededSince != nil:
		return "superseded"
	case v.KeyID != "":
		return "replaced" // no sweep has marked it yet
	}
	others := slices.DeleteFunc(slices.Clone(v.Stages),
		func(label string) bool { return strings.HasPrefix(label, "quilt-") })
	return strings.Join(others, " ")
}

// KeyOf returns the fingerprint or id of a version's key, or why the version has no key.
func KeyOf(v revocation.VersionInfo) string {
	switch {
	case v.Value == revocation.NoValue:
		return "no value yet"
	case v.Value == revocation.Blank:
		return "no key yet"
	case v.Value == revocation.Unreadable:
		return "unreadable"
	case v.Fingerprint != "":
		return v.Fingerprint
	case v.KeyID != "":
		return v.KeyID
	}
	return "not known"
}
