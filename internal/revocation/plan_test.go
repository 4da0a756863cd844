package revocation_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/vault"
)

const (
	thisARN  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:quilt/pipeline-AbCdEf"
	otherARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:quilt/other-GhIjKl"
	owner    = "svc-pipeline@example.com"

	grace, quiet, orphanAge = 24 * time.Hour, 25 * time.Hour, time.Hour
)

// marked is when the superseded version of [settled] was marked, and later is when all its time is
// over.
var (
	marked = time.Date(2026, 11, 22, 12, 0, 7, 0, time.UTC)
	later  = marked.Add(48 * time.Hour)

	midnight = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
)

var lagging = []vault.Replica{{Region: "eu-west-1", Status: "InProgress"}}

// keyOf is a key of its own for each name.
func keyOf(name string) apikey.Key { return parsed("qk_" + digest(name)) }

// twinOf is a key of its own for each name, and all of them show one fingerprint.
func twinOf(name string) apikey.Key { return parsed("qk_DUP" + digest(name) + "DUP") }

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

func parsed(text string) apikey.Key {
	k, err := apikey.Parse(text)
	if err != nil {
		panic(err)
	}
	return k
}

// scene is a world that a row of the table changes, with the policy.
type scene struct {
	Snapshot
	Policy
}

// settled is a world where the version "old", which the version "new" replaced, is to be revoked:
// its grace is over, and it is quiet.
func settled() *scene {
	s := &scene{
		Snapshot{SecretARN: thisARN, Now: later, RegistryNow: later, Owner: owner, Listed: true,
			Answers: map[string]KeyAnswer{}},
		Policy{Grace: grace, Quiet: quiet, OrphanAge: orphanAge},
	}
	s.version("new", keyOf("new"), vault.Current, vault.KeyLabel("new"))
	s.version("old", keyOf("old"), vault.Previous, vault.KeyLabel("old"), vault.NewMark("old", marked).Label())
	s.row("new", keyOf("new")).LastUsedAt = &later
	s.row("old", keyOf("old"))
	used := marked.Add(-time.Hour)
	s.listed("old").LastUsedAt = &used
	return s
}

// superseded is settled without the mark.
func superseded() *scene {
	s := settled()
	s.relabel("old", vault.Previous, vault.KeyLabel("old"))
	return s
}

// at sets both clocks.
func (s *scene) at(t time.Time) *scene {
	s.Now, s.RegistryNow = t, t
	return s
}

func (s *scene) version(id string, key apikey.Key, stages ...string) {
	s.Versions = append(s.Versions, Version{Version: vault.NewVersion(id, stages),
		Holds: Holding{State: Holds, Key: key}})
}

func (s *scene) relabel(id string, stages ...string) {
	s.held(id).Version = vault.NewVersion(id, stages)
}

func (s *scene) held(id string) *Version {
	for i := range s.Versions {
		if s.Versions[i].ID == id {
			return &s.Versions[i]
		}
	}
	panic("no version " + id)
}

// row puts a key of this secret and owner on the registry's list.
func (s *scene) row(id string, key apikey.Key) *quilt.APIKey {
	s.List = append(s.List, quilt.APIKey{
		ID: id, Name: apikey.Name("pipeline", marked, thisARN), Fingerprint: key.Fingerprint(), UserEmail: owner,
		Status:    quilt.Active,
		CreatedAt: marked.AddDate(0, 0, -30), ExpiresAt: marked.AddDate(0, 0, 60),
	})
	return &s.List[len(s.List)-1]
}

func (s *scene) listed(id string) *quilt.APIKey {
	for i := range s.List {
		if s.List[i].ID == id {
			return &s.List[i]
		}
	}
	panic("no row " + id)
}

func (s *scene) unlist(id string) {
	s.List = slices.DeleteFunc(s.List, func(k quilt.APIKey) bool { return k.ID == id })
}

func (s *scene) usedAt(t time.Time) *scene {
	s.listed("old").LastUsedAt = &t
	return s
}

func (s *scene) orphan(age time.Duration) *scene {
	s.row("orphan", keyOf("orphan")).CreatedAt = s.RegistryNow.Add(-age)
	return s
}

// describe is an action as the rows below write it: kind, reason, version (with "from>" if a label
// moves), key, and when a wait ends.
func describe(a Action) string {
	text := fmt.Sprintf("%s %s %s %s", a.Kind, a.Reason, a.Version, a.KeyID)
	if a.From != "" {
		text = fmt.Sprintf("%s %s %s>%s %s", a.Kind, a.Reason, a.From, a.Version, a.KeyID)
	}
	if !a.Until.IsZero() {
		text += " until " + a.Until.Sub(marked).String()
	}
	return text
}

func plan(s *scene) []string {
	lines := []string{}
	for _, a := range Plan(s.Snapshot, s.Policy) {
		lines = append(lines, describe(a))
	}
	return lines
}

type row struct {
	name  string
	scene func() *scene
	want  []string
}

// with is settled, changed.
func with(change func(s *scene)) func() *scene {
	return func() *scene {
		s := settled()
		change(s)
		return s
	}
}

// valueOf is a value that may hold no key of its own, and can be asked what it contains.
func valueOf(text string) apikey.Value {
	value, _ := apikey.ParseValue(redact.New(text), "")
	return value
}

// inRaw is superseded, with a text as the raw value of a version, in which OLD and REST stand for
// the old key and for what follows its first character.
func inRaw(version, text string) func() *scene {
	return func() *scene {
		s, key := superseded(), keyOf("old").Reveal()
		s.held(version).Holds.Value = valueOf(strings.NewReplacer("OLD", key, "REST", key[1:]).Replace(text))
		return s
	}
}

func limit(d time.Duration) *time.Duration { return &d }

const revokeOld = "revoke grace-over old old"

// planRows has a row for each rule and each reason; times count from the mark.
var planRows = []row{
	{"nothing superseded", with(func(s *scene) { s.Versions, s.List = s.Versions[:1], s.List[:1] }), nil},
	{"fresh secret: first key without a label", with(func(s *scene) {
		s.Versions, s.List = s.Versions[:1], s.List[:1]
		s.relabel("new", vault.Current)
	}), nil},

	{"unknown label", with(func(s *scene) { s.relabel("old", vault.Previous, vault.KeyLabel("old"), "quilt-next:1") }),
		[]string{"report unknown-label old "}},
	{"unknown label, with an orphan", with(func(s *scene) {
		s.relabel("new", vault.Current, vault.KeyLabel("new"), "quilt-next:1")
		s.orphan(2 * orphanAge)
	}), []string{"report unknown-label new "}},
	{"a mark that a person moved to another version", with(func(s *scene) {
		s.relabel("new", vault.Current, vault.KeyLabel("new"), vault.NewMark("old", marked).Label())
	}), []string{"report unknown-label new "}},

	{"current unreadable", with(func(s *scene) { s.held("new").Holds = Holding{State: Unreadable} }),
		[]string{"report current-unreadable new "}},
	{"current unread", with(func(s *scene) { s.held("new").Holds = Holding{State: Unread} }),
		[]string{"report current-unreadable new "}},
	{"current blank", with(func(s *scene) { s.held("new").Holds = Holding{State: Blank} }),
		[]string{"report current-unreadable new "}},
	{"current without a value", with(func(s *scene) { s.held("new").Holds = Holding{State: NoValue} }),
		[]string{"report current-unreadable new "}},
	{"nothing is current", with(func(s *scene) { s.relabel("new", vault.KeyLabel("new")) }),
		[]string{"report current-unreadable  "}},
	{"pending unreadable", with(func(s *scene) {
		s.version("next", apikey.Key{}, vault.Pending)
		s.held("next").Holds = Holding{State: Unreadable}
		s.orphan(2 * orphanAge)
	}), []string{"report current-unreadable next "}},
	{"superseded unreadable", with(func(s *scene) { s.held("old").Holds = Holding{State: Unreadable} }),
		[]string{"report unreadable old old"}},
	{"superseded unreadable, and expired", with(func(s *scene) {
		s.held("old").Holds, s.listed("old").Status = Holding{State: Unreadable}, quilt.Expired
	}),
		[]string{"unlabel expired old old"}},
	{"superseded undecryptable",
		with(func(s *scene) { s.held("old").Holds = Holding{State: Locked, Code: "DecryptionFailure"} }),
		[]string{"report undecryptable old old"}},
	{"superseded undecryptable: the others are dealt with", with(func(s *scene) {
		s.version("locked", apikey.Key{}, vault.KeyLabel("locked"))
		s.held("locked").Holds = Holding{State: Locked}
	}), []string{revokeOld, "report undecryptable locked locked"}},
	{"current undecryptable", with(func(s *scene) { s.held("new").Holds = Holding{State: Locked} }),
		[]string{"report current-unreadable new "}},
	{"superseded blank", with(func(s *scene) { s.held("old").Holds = Holding{State: Blank} }),
		[]string{"report unreadable old old"}},

	{"current again", with(func(s *scene) {
		s.relabel("old", vault.Current, vault.KeyLabel("old"), vault.NewMark("old", marked).Label())
		s.relabel("new", vault.Previous, vault.KeyLabel("new"), vault.NewMark("new", later.Add(-time.Hour)).Label())
	}), []string{"report in-grace new new until 71h0m0s", "unmark current-again old "}},
	{"mark without a key label",
		with(func(s *scene) { s.relabel("old", vault.Previous, vault.NewMark("old", marked).Label()) }),
		[]string{"unmark no-key-label old ", "report unlabelled old old"}},
	{"version without any of our labels", with(func(s *scene) { s.relabel("old", vault.Previous) }),
		[]string{"report unlabelled old old"}},

	{"same key in a newer current version, without its label", with(func(s *scene) {
		s.relabel("new", vault.Current)
		s.held("new").Holds.Key = keyOf("old")
		s.unlist("new")
	}), []string{"relabel key-moved old>new old"}},
	{"the same, but the registry did not answer for the label's key", with(func(s *scene) {
		s.relabel("new", vault.Current)
		s.held("new").Holds.Key = keyOf("old")
		s.List = nil
	}), []string{"unmark current-again old old", "report list-incomplete new "}},
	{"same key in a newer version, which was current last and lost its label", with(func(s *scene) {
		s.relabel("old", vault.KeyLabel("old"), vault.NewMark("old", marked).Label())
		s.version("edit", keyOf("old"), vault.Previous)
	}), []string{"relabel key-moved old>edit old"}},
	{"the same, and the older version has no mark yet", with(func(s *scene) {
		s.relabel("old", vault.KeyLabel("old"))
		s.version("edit", keyOf("old"), vault.Previous)
	}), []string{"mark superseded old old"}},
	{"same key as a current version with its own label",
		with(func(s *scene) { s.held("old").Holds.Key = keyOf("new"); s.unlist("old") }),
		[]string{"unmark current-again old old"}},
	{"its text is in another field of the current value",
		inRaw("new", `{"QUILT_API_KEY":"x","url":"https://x:OLD@host"}`), []string{"report same-key old old"}},
	{"its text is escaped in the current value", inRaw("new", `{"QUILT_API_KEY":"x","nested":{"list":["\u0071REST"]}}`),
		[]string{"report same-key old old"}},
	{"its text is in the current value: no mark that counts grace from now",
		with(func(s *scene) { s.held("new").Holds.Value = valueOf("x " + keyOf("old").Reveal()) }),
		[]string{"unmark current-again old old"}},
	{"its text is in the current value, and the registry does not know it", func() *scene {
		s := inRaw("new", "OLD")()
		s.unlist("old")
		s.Answers["old"] = KeyAnswer{Absent: true}
		return s
	}, []string{"report same-key old old"}},
	{"its text is in the pending value, which holds another key", with(func(s *scene) {
		s.version("next", keyOf("next"), vault.Pending, vault.KeyLabel("next"))
		s.relabel("old", vault.Previous, vault.KeyLabel("old"))
		s.held("next").Holds.Value = valueOf(`{"a":"` + keyOf("old").Reveal() + `"}`)
	}), []string{"report same-key old old"}},
	{"same key as the pending one", with(func(s *scene) { s.version("next", keyOf("old"), vault.Pending) }),
		[]string{"report rotation-under-way old old"}},

	{"label of another key than the value's",
		with(func(s *scene) { s.listed("old").Fingerprint = keyOf("x").Fingerprint() }),
		[]string{"report mislabelled old old"}},
	{"label of the current key on an old version", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("new"), vault.NewMark("old", marked).Label())
		s.relabel("new", vault.Current)
	}), []string{"report mislabelled old new", "report ambiguous old old"}},
	{"the current version with another key's label", with(func(s *scene) {
		s.relabel("old", vault.Previous)
		s.relabel("new", vault.Current, vault.KeyLabel("old"))
	}), []string{"report mislabelled new old", "report ambiguous new new"}},
	{"a superseded key's label next to the current key's: nothing else leads to that key", with(func(s *scene) {
		s.relabel("old", vault.Previous)
		s.relabel("new", vault.Current, vault.KeyLabel("new"), vault.KeyLabel("old"))
	}), []string{"report mislabelled new old"}},
	{"the same, and fingerprints of a form that is not known", with(func(s *scene) {
		s.listed("old").Fingerprint, s.listed("new").Fingerprint = "sha256:1", "sha256:2"
		s.relabel("old", vault.Previous)
		s.relabel("new", vault.Current, vault.KeyLabel("new"), vault.KeyLabel("old"))
	}), []string{"report ambiguous new new", "report ambiguous new old"}},
	{"two key labels on a version: the one that fits counts", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("old"), vault.KeyLabel("third"),
			vault.NewMark("old", marked).Label())
		s.row("third", keyOf("third"))
	}), []string{revokeOld, "report mislabelled old third"}},
	{"two key labels on a version that holds the current key", with(func(s *scene) {
		s.relabel("new", vault.Current)
		s.relabel("old", vault.Previous, vault.KeyLabel("old"), vault.KeyLabel("new"),
			vault.NewMark("old", marked).Label())
		s.held("old").Holds.Key = keyOf("new")
	}), []string{"report mislabelled old old", "report mislabelled old new"}},
	{"fingerprint of the current key, too, which only the labels distinguish", with(func(s *scene) {
		s.held("old").Holds.Key, s.held("new").Holds.Key = twinOf("old"), twinOf("new")
		s.listed("old").Fingerprint, s.listed("new").Fingerprint = twinOf("old").Fingerprint(),
			twinOf("new").Fingerprint()
	}), []string{"hold still-used old old until 1440h0m0s"}},
	{"fingerprint of the current key, too, and the list does not show it", with(func(s *scene) {
		s.held("old").Holds.Key, s.held("new").Holds.Key = twinOf("old"), twinOf("new")
		s.listed("old").Fingerprint = twinOf("old").Fingerprint()
		s.unlist("new")
	}), []string{revokeOld, "report list-incomplete new new"}},
	{"fingerprints of a form that is not known: the value decides", with(func(s *scene) {
		s.listed("old").Fingerprint, s.listed("new").Fingerprint = "qk_abc…", "sha256:1234"
	}), []string{revokeOld}},
	{"the same, and the current version has no label", with(func(s *scene) {
		s.listed("old").Fingerprint, s.listed("new").Fingerprint = "qk_abc…", "qk_def…"
		s.relabel("new", vault.Current)
	}), []string{revokeOld, "report not-comparable new ", "report not-comparable  new"}},
	{"the same, and an orphan", with(func(s *scene) {
		s.listed("old").Fingerprint, s.listed("new").Fingerprint = "qk_***...***", "qk_***...***"
		s.orphan(orphanAge).listed("orphan").Fingerprint = "qk_***...***"
	}), []string{"hold still-used old old until 1440h0m0s", "report not-comparable  orphan"}},
	{"only the current key's form is not known: an orphan waits", with(func(s *scene) {
		s.listed("new").Fingerprint = "qk_abc…"
		s.orphan(orphanAge)
	}), []string{revokeOld, "report not-comparable  orphan"}},
	{"fingerprint of a key that no version holds",
		with(func(s *scene) { s.row("orphan", keyOf("old")).Name = "by hand" }),
		[]string{"report ambiguous old old"}},

	{"not asked", with(func(s *scene) { s.unlist("old") }), []string{"report not-asked old old"}},
	{"list short, but the key is there", with(func(s *scene) {
		s.Answers["old"] = KeyAnswer{Key: ptr(*s.listed("old"))}
		s.unlist("old")
	}), []string{revokeOld}},
	{"list without the current key: orphans wait, a key asked for does not", with(func(s *scene) {
		s.orphan(2 * orphanAge)
		s.Answers["old"] = KeyAnswer{Key: ptr(*s.listed("old"))}
		s.unlist("new")
		s.unlist("old")
	}), []string{revokeOld, "report list-incomplete new new"}},
	{"list empty", with(func(s *scene) { s.List = nil }), []string{"report not-asked old old",
		"report list-incomplete new new"}},
	{"gone: the sweep that marked it saw it among this user's keys",
		with(func(s *scene) { s.unlist("old"); s.Answers["old"] = KeyAnswer{} }), []string{"unlabel gone old old"}},
	{"not found, and refused, and this user's first key is younger than the mark", with(func(s *scene) {
		s.unlist("old")
		s.Answers["old"] = KeyAnswer{}
		s.listed("new").CreatedAt = marked.Add(3 * time.Second)
	}), []string{"report foreign old old"}},
	{"the same, but the user had an older key, and owned the secret again only after the mark", with(func(s *scene) {
		s.unlist("old")
		s.Answers["old"] = KeyAnswer{}
		s.OwnerSince = marked.Add(time.Second)
	}), []string{"report foreign old old"}},
	{"the same, and the mark is as old as the owner", with(func(s *scene) {
		s.unlist("old")
		s.Answers["old"] = KeyAnswer{}
		s.OwnerSince = marked
	}), []string{"unlabel gone old old"}},
	{"not found, and refused, and the user's only key is of another registry user", with(func(s *scene) {
		s.unlist("old")
		s.Answers["old"] = KeyAnswer{}
		s.listed("new").UserEmail = "other@example.com"
	}), []string{"report foreign old old"}},
	{"not found, and refused, and never marked", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("old"))
		s.unlist("old")
		s.Answers["old"] = KeyAnswer{}
	}), []string{"report foreign old old"}},
	{"not found by an administrator", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("old"))
		s.unlist("old")
		s.Answers["old"] = KeyAnswer{Absent: true}
	}), []string{"unlabel gone old old"}},
	{"not found, refused, another user's perhaps: no key is valid for so long", with(func(s *scene) {
		s.unlist("old")
		s.Answers["old"] = KeyAnswer{}
		s.at(marked.Add(365*24*time.Hour + time.Second)).listed("new").CreatedAt = marked.Add(3 * time.Second)
	}), []string{"unlabel expired old old"}},
	{"unknown to the registry, but it logs in",
		with(func(s *scene) { s.unlist("old"); s.Answers["old"] = KeyAnswer{Logins: true} }),
		[]string{"report foreign old old"}},
	{"listed as another user's", with(func(s *scene) { s.listed("old").UserEmail = "other@example.com" }),
		[]string{"report foreign old old until 1440h0m0s"}},
	{"made for another secret", with(func(s *scene) {
		s.listed("old").Name = apikey.Name("other", marked, otherARN)
	}), []string{"report other-secret old old until 1440h0m0s"}},
	{"made for another secret, and expired", with(func(s *scene) {
		s.listed("old").Name, s.listed("old").Status = apikey.Name("other", marked, otherARN), quilt.Expired
	}), []string{"unlabel expired old old"}},
	{"another user's, and expired",
		with(func(s *scene) { s.listed("old").UserEmail, s.listed("old").Status = "other@example.com", quilt.Expired }),
		[]string{"unlabel expired old old"}},
	{"the owner in other letters", with(func(s *scene) { s.listed("old").UserEmail = strings.ToUpper(owner) }),
		[]string{revokeOld}},
	{"made by hand: a name without a mark is whose label it has",
		with(func(s *scene) { s.listed("old").Name = "my key" }), []string{revokeOld}},
	{"first key by hand, two show its fingerprint", with(func(s *scene) {
		s.Versions = s.Versions[:1]
		s.relabel("new", vault.Current)
		s.unlist("old")
		s.row("twin", keyOf("new"))
	}), []string{"report unidentified new "}},

	{"superseded: grace begins", superseded, []string{"mark superseded old old"}},
	{"grace not over by a second", with(func(s *scene) { s.at(marked.Add(grace - time.Second)) }),
		[]string{"report in-grace old old until 24h0m0s"}},
	{"grace over to the second", with(func(s *scene) { s.at(marked.Add(grace)) }), []string{revokeOld}},
	{"grace counts on Secrets Manager's clock, not on the registry's", with(func(s *scene) {
		s.Now, s.RegistryNow = marked.Add(grace-time.Second), marked.Add(100*grace)
	}), []string{"report in-grace old old until 24h0m0s"}},
	{"marked twice: the later mark counts", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("old"), vault.NewMark("old", marked.Add(30*time.Hour)).Label(),
			vault.NewMark("old", marked).Label())
	}), []string{"report in-grace old old until 54h0m0s"}},
	{"the mark promises more grace than is configured now", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("old"),
			vault.NewMark("old", marked).Promising(720*time.Hour).Label())
		s.at(marked.Add(720*time.Hour - time.Second))
	}), []string{"report in-grace old old until 720h0m0s"}},
	{"the promised grace is over to the second", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("old"),
			vault.NewMark("old", marked).Promising(720*time.Hour).Label())
		s.at(marked.Add(720 * time.Hour))
	}), []string{revokeOld}},
	{"more grace is configured now than the mark promises", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("old"),
			vault.NewMark("old", marked).Promising(time.Hour).Label())
		s.at(marked.Add(grace - time.Second))
	}), []string{"report in-grace old old until 24h0m0s"}},
	{"marked twice: the later promise counts", with(func(s *scene) {
		s.relabel("old", vault.Previous, vault.KeyLabel("old"),
			vault.NewMark("old", marked).Promising(100*time.Hour).Label(), vault.NewMark("old",
				marked.Add(time.Minute)).Label())
		s.at(marked.Add(99 * time.Hour))
	}), []string{"report in-grace old old until 100h0m0s"}},
	{"a pause label on a version without a key", with(func(s *scene) {
		s.version("paused", keyOf("paused"), vault.PauseLabel(later.Add(-time.Hour)))
	}), []string{revokeOld}},
	{"clock behind the mark", with(func(s *scene) { s.at(marked.Add(-time.Hour)) }),
		[]string{"report in-grace old old until 24h0m0s"}},
	{"no grace, no quiet period", with(func(s *scene) { s.at(marked).usedAt(marked); s.Grace, s.Quiet = 0, 0 }),
		[]string{revokeOld}},
	{"a second of grace, not over", with(func(s *scene) { s.at(marked); s.Grace = time.Second }),
		[]string{"report in-grace old old until 1s"}},
	{"a second of grace, over", with(func(s *scene) {
		s.at(marked.Add(time.Second)).usedAt(marked)
		s.Grace, s.Quiet = time.Second, time.Second
	}), []string{revokeOld}},

	{"used within the quiet period by a second: held until it expires",
		with(func(s *scene) { s.usedAt(later.Add(-quiet + time.Second)) }),
		[]string{"hold still-used old old until 1440h0m0s"}},
	{"quiet to the second", with(func(s *scene) { s.usedAt(later.Add(-quiet)) }), []string{revokeOld}},
	{"use counts on the registry's clock, not on Secrets Manager's", with(func(s *scene) {
		s.RegistryNow = later.Add(-3 * time.Hour)
		s.usedAt(s.RegistryNow.Add(-quiet + time.Second))
	}), []string{"hold still-used old old until 1443h0m0s"}},
	{"use recorded by the day: midnight is the whole day",
		with(func(s *scene) { s.at(midnight.Add(24*time.Hour + quiet - time.Second)).usedAt(midnight) }),
		[]string{"hold still-used old old until 1440h0m0s"}},
	{"use recorded by the day, and quiet for longer",
		with(func(s *scene) { s.at(midnight.Add(24*time.Hour + quiet)).usedAt(midnight) }), []string{revokeOld}},
	{"use recorded by the hour", with(func(s *scene) { s.usedAt(later.Truncate(time.Hour).Add(-quiet)) }),
		[]string{"hold still-used old old until 1440h0m0s"}},
	{"used in the registry's future", with(func(s *scene) { s.usedAt(later.Add(time.Hour)) }),
		[]string{"hold still-used old old until 1440h0m0s"}},
	{"use not recorded: grace alone decides", with(func(s *scene) { s.listed("old").LastUsedAt = nil }),
		[]string{"revoke grace-over-use-not-recorded old old"}},
	{"hold limit not over by a second", with(func(s *scene) {
		s.at(marked.Add(grace + 5*time.Hour - time.Second)).usedAt(s.Now)
		s.HoldLimit = limit(5 * time.Hour)
	}), []string{"hold still-used old old until 29h0m0s"}},
	{"hold limit over to the second", with(func(s *scene) {
		s.at(marked.Add(grace + 5*time.Hour)).usedAt(s.Now)
		s.HoldLimit = limit(5 * time.Hour)
	}),
		[]string{"revoke hold-limit-over old old"}},
	{"hold limit of zero: no hold",
		with(func(s *scene) { s.at(marked.Add(grace)).usedAt(s.Now); s.HoldLimit = limit(0) }),
		[]string{"revoke hold-limit-over old old"}},
	{"hold limit of zero: grace all the same",
		with(func(s *scene) { s.at(marked.Add(grace - time.Second)).usedAt(s.Now); s.HoldLimit = limit(0) }),
		[]string{"report in-grace old old until 24h0m0s"}},
	{"hold limit beyond the key's life",
		with(func(s *scene) { s.usedAt(later); s.HoldLimit = limit(9000 * time.Hour) }),
		[]string{"hold still-used old old until 1440h0m0s"}},
	{"expired, though used a moment ago", with(func(s *scene) { s.usedAt(later).listed("old").Status = quilt.Expired }),
		[]string{"revoke expired old old"}},
	{"expired in its grace", with(func(s *scene) { s.at(marked.Add(time.Hour)).listed("old").Status = quilt.Expired }),
		[]string{"report in-grace old old until 24h0m0s"}},

	{"replica lags", with(func(s *scene) { s.Lagging = lagging }), []string{"report replica-lag old old"}},
	{"replica failed", with(func(s *scene) { s.Lagging = []vault.Replica{{Region: "eu-west-1", Status: "Failed"}} }),
		[]string{"report replica-failed old old"}},
	{"replica lags: marked all the same", func() *scene { s := superseded(); s.Lagging = lagging; return s },
		[]string{"mark superseded old old"}},
	{"replica lags: an orphan was never anywhere", with(func(s *scene) {
		s.Lagging = lagging
		s.orphan(orphanAge)
	}), []string{"report replica-lag old old", "revoke-orphan orphaned  orphan"}},
	{"never current: a stalled finishSecret may promote it, with less grace than the orphan age", with(func(s *scene) {
		s.relabel("old", vault.KeyLabel("old"), vault.NewMark("old", marked).Label())
		s.at(marked.Add(orphanAge - time.Second)).Grace = 0
	}), []string{"report may-be-promoted old old until 1h0m0s"}},

	{"rotation under way",
		with(func(s *scene) { s.version("next", keyOf("next"), vault.Pending, vault.KeyLabel("next")) }),
		[]string{"report rotation-under-way old old"}},
	{"rotation under way, pending without a value", with(func(s *scene) {
		s.version("next", apikey.Key{}, vault.Pending)
		s.held("next").Holds = Holding{State: NoValue}
	}), []string{"report rotation-under-way old old"}},
	{"rotation under way: orphans are revoked", with(func(s *scene) {
		s.version("next", apikey.Key{}, vault.Pending)
		s.held("next").Holds = Holding{State: NoValue}
		s.orphan(orphanAge)
	}), []string{"report rotation-under-way old old", "revoke-orphan orphaned  orphan"}},
	{"rotation under way: a held key is reported", with(func(s *scene) {
		s.version("next", keyOf("next"), vault.Pending, vault.KeyLabel("next"))
		s.usedAt(later)
	}), []string{"hold still-used old old until 1440h0m0s"}},
	{"AWSPENDING on the current version: the rotation is over", with(func(s *scene) {
		s.relabel("new", vault.Current, vault.Pending, vault.KeyLabel("new"))
	}), []string{revokeOld}},

	{"orphan at its age", with(func(s *scene) { s.orphan(orphanAge) }),
		[]string{revokeOld, "revoke-orphan orphaned  orphan"}},
	{"orphan that has expired", with(func(s *scene) { s.orphan(orphanAge).listed("orphan").Status = quilt.Expired }),
		[]string{revokeOld}},
	{"orphan, and a version that may hold it cannot be decrypted", with(func(s *scene) {
		s.orphan(orphanAge)
		s.version("edit", apikey.Key{}, "theirs")
		s.held("edit").Holds = Holding{State: Locked}
	}), []string{revokeOld, "report unread-orphans  orphan"}},
	{"orphan too young by a second", with(func(s *scene) { s.orphan(orphanAge - time.Second) }),
		[]string{revokeOld, "report orphan-too-young  orphan until 48h0m1s"}},
	{"orphan's age counts on the registry's clock", with(func(s *scene) {
		s.orphan(orphanAge)
		s.RegistryNow = s.RegistryNow.Add(-time.Second)
	}), []string{revokeOld, "report orphan-too-young  orphan until 48h0m1s"}},
	{"orphan of another secret", with(func(s *scene) {
		s.orphan(100 * orphanAge).listed("orphan").Name = apikey.Name("pipeline", marked, otherARN)
	}),
		[]string{revokeOld}},
	{"key by hand that no version holds",
		with(func(s *scene) { s.orphan(100 * orphanAge).listed("orphan").Name = "my key" }), []string{revokeOld}},
	{"orphan of another user",
		with(func(s *scene) { s.orphan(100 * orphanAge).listed("orphan").UserEmail = "other@example.com" }),
		[]string{revokeOld}},
	{"orphan, and a version that may hold it cannot be read", with(func(s *scene) {
		s.orphan(orphanAge)
		s.version("edit", apikey.Key{}, "theirs")
		s.held("edit").Holds = Holding{State: Unreadable}
	}), []string{revokeOld, "report unread-orphans  orphan"}},
	{"no orphan: an unlabelled version holds it", with(func(s *scene) {
		s.orphan(orphanAge)
		s.version("edit", keyOf("orphan"), "theirs")
	}), []string{revokeOld, "report unlabelled edit orphan"}},
	{"no orphan: a version with another key's label holds it", with(func(s *scene) {
		s.orphan(orphanAge)
		s.held("old").Holds.Key = keyOf("orphan")
	}), []string{"report mislabelled old old", "report ambiguous old orphan"}},
	{"no orphan: its text may be in another field of the current value", with(func(s *scene) {
		s.orphan(orphanAge)
		s.held("new").Holds.Value = valueOf("https://x:" + keyOf("orphan").Reveal() + "@host")
	}), []string{revokeOld, "report ambiguous  orphan"}},
	{"no orphan: it shows the current key's fingerprint", with(func(s *scene) {
		s.orphan(orphanAge).listed("orphan").Fingerprint = keyOf("new").Fingerprint()
	}), []string{revokeOld, "report ambiguous new orphan"}},
	{"no orphan: the unlabelled current version holds it", with(func(s *scene) { s.relabel("new", vault.Current) }),
		[]string{revokeOld}},
}

func ptr[T any](v T) *T { return &v }

// TestPlan checks the rules. Each row is a snapshot and the planned actions, exact to the second.
func TestPlan(t *testing.T) {
	for _, r := range planRows {
		t.Run(r.name, func(t *testing.T) {
			want := r.want
			if want == nil {
				want = []string{}
			}
			if diff := cmp.Diff(want, plan(r.scene())); diff != "" {
				t.Errorf("the plan is not as it must be (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryReasonHasARow checks that each reason is used and is in a row of the tests.
func TestEveryReasonHasARow(t *testing.T) {
	given := map[string]bool{
		string(WorldChanged): true, // the executor's, see TestChangesBeforeTheRevocation
		string(NotRevoked):   true, // likewise, see TestAnExpiredKeyThatTheRegistryDoesNotRevoke
	}
	for _, r := range planRows {
		s := r.scene()
		for _, a := range Plan(s.Snapshot, s.Policy) {
			given[string(a.Reason)] = true
		}
	}
	reasons := reasonsInSource(t)
	for value, name := range reasons {
		if !given[value] {
			t.Errorf("no row of the table gives the reason %s (%q)", name, value)
		}
	}
	for value := range given {
		if reasons[value] == "" {
			t.Errorf("the reason %q is not in the closed list", value)
		}
	}
}

// TestEveryReasonHasAnEnd checks that a key which stays without a planned end has a page that says
// what a person must do.
func TestEveryReasonHasAnEnd(t *testing.T) {
	page, err := os.ReadFile("../../docs/runbook/key-needs-attention.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := reasonsInSource(t)
	for value, name := range reasons {
		end := Ends[Reason(value)]
		if end == 0 {
			t.Errorf("the reason %s (%q) has no end in the table", name, value)
		}
		if row := strings.Contains(string(page), "\n| `"+value+"` |"); row != (end == Person) {
			t.Errorf("the reason %q needs a person: %t; it has a row in the runbook: %t", value, end == Person, row)
		}
	}
	if len(Ends) != len(reasons) {
		t.Errorf("the table has %d reasons, and there are %d", len(Ends), len(reasons))
	}
}

// reasonsInSource are the constants of type Reason, name by value.
func reasonsInSource(t *testing.T) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "reasons.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typed, ok := spec.Type.(*ast.Ident); !ok || typed.Name != "Reason" {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if found[value] != "" {
			t.Errorf("%s and %s are the same reason", found[value], spec.Names[0].Name)
		}
		found[value] = spec.Names[0].Name
		return true
	})
	if len(found) < 20 {
		t.Fatalf("found %d reasons only: %v", len(found), slices.Collect(maps.Values(found)))
	}
	return found
}
