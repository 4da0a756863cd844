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

// actions are the sentences for what a sweep changes. KEY stands for the key and VERSION for the
// start of the version's id.
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

// Planned says what a sweep would do. now is the time of the plan.
func Planned(t revocation.Taken, now time.Time) Line {
	if action, ok := actions[t.Action]; ok {
		return Line{terminal.Later, filled(action.planned, t), detail(t)}
	}
	return kept(t, now)
}

// Done says what a sweep did.
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

// kept says why a sweep leaves a key alone.
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
	return Line{terminal.Warned, filled("leaves KEY alone", t), string(t.Reason)}
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

// waitReasons are the reasons to wait. A later sweep decides.
var waitReasons = map[revocation.Reason]string{
	revocation.InGrace:        "in its grace period",
	revocation.MayBePromoted:  "its rotation may still finish",
	revocation.ReplicaLag:     "a replica region may still serve it",
	revocation.RotationUnder:  "a rotation is under way",
	revocation.SameKey:        "its text is in the current or the pending value",
	revocation.OrphanTooYoung: "no version holds it yet; its rotation may still store it",
	revocation.WorldChanged:   "the secret changed during the sweep; the next sweep reads it again",
	revocation.NotAsked:       "the registry gave no answer about it",
	revocation.NotRevoked:     "the registry did not revoke it; it has expired, and its labels were removed",
}

// reportReasons are the reasons that a person should know.
var reportReasons = map[revocation.Reason]struct{ text, detail string }{
	revocation.Foreign:       {"leaves KEY alone", "it belongs to another user, or may belong to one"},
	revocation.OtherSecret:   {"leaves KEY alone", "its name says that it was created for another secret"},
	revocation.Mislabelled:   {"leaves KEY alone", "its version holds another key than its label says"},
	revocation.Ambiguous:     {"leaves KEY alone", "it cannot be decided whether a version holds it"},
	revocation.UnreadableKey: {"leaves KEY alone", "no key can be found in the version's value"},
	revocation.Unlabelled:    {"leaves KEY alone", "its label was removed"},
	revocation.Unidentified: {"does not know which of the registry's keys is current",
		"that key is not revoked when it is replaced; it expires"},
	revocation.ListIncomplete: {"does not trust the registry's list", "the current key is not in it"},
	revocation.UnknownLabel:   {"changes nothing", "a label is unknown: a newer release wrote it"},
	revocation.UnreadOrphans:  {"leaves KEY alone", "a version that cannot be read may hold it"},
	revocation.Undecryptable:  {"leaves KEY alone", "Secrets Manager does not return its version's value"},
	revocation.NotComparable:  {"leaves KEY alone", "the registry shows fingerprints in an unknown form"},
	revocation.ReplicaFailed: {"leaves KEY alone", "the replication to a region failed, and that region may still " +
		"serve the key"},
	revocation.NoReference: {"changes nothing", "the current or the pending key cannot be read"},
}

func filled(text string, t revocation.Taken) string {
	return strings.NewReplacer("KEY", keyOf(t), "VERSION", Short(t.Version)).Replace(text)
}

// keyOf names a key by its fingerprint, if it is known.
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

// Short is the start of a version's id.
func Short(versionID string) string { return fmt.Sprintf("%.8s", versionID) }

// Clock is a time to the minute, in UTC.
func Clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Outcome says why a sweep did nothing. It returns "" if the sweep ran.
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

// Stage names the state of a version in one word: the first that fits.
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

// KeyOf names the key of a version, or says why it has none.
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
