package revocation

// Kind is what an action does.
type Kind string

// The kinds of actions.
const (
	Relabel      Kind = "relabel"       // move the key's label to a later version, which holds the same key
	Mark         Kind = "mark"          // record when the version was superseded
	Unmark       Kind = "unmark"        // remove that mark
	Hold         Kind = "hold"          // keep a key past its grace period, because it is used
	Revoke       Kind = "revoke"        // revoke a superseded key
	RevokeOrphan Kind = "revoke-orphan" // revoke a key that no version holds
	Unlabel      Kind = "unlabel"       // remove the labels of a key that nobody can use
	Report       Kind = "report"        // do nothing, and say why
)

// Reason says why an action is planned or not taken. Logs, metrics, results and events use these
// names.
type Reason string

// Reasons to act.
const (
	Superseded       Reason = "superseded"    // neither current nor pending any more
	CurrentAgain     Reason = "current-again" // AWSCURRENT or AWSPENDING has the key again
	KeyMoved         Reason = "key-moved"     // the version that is, or was last, current holds the same key
	NoKeyLabel       Reason = "no-key-label"  // a mark without a key means nothing
	StillUsed        Reason = "still-used"    // within the quiet period
	GraceOver        Reason = "grace-over"    // and the quiet period, too
	GraceOverUnknown Reason = "grace-over-use-not-recorded"
	HoldLimitOver    Reason = "hold-limit-over" // still used, but the hold limit is over
	Expired          Reason = "expired"         // nobody can use it
	Orphaned         Reason = "orphaned"
	Gone             Reason = "gone" // it no longer exists
)

// Reasons to wait.
const (
	InGrace        Reason = "in-grace"
	MayBePromoted  Reason = "may-be-promoted"    // never current, and a stalled finishSecret could still make it so
	ReplicaLag     Reason = "replica-lag"        // a replica region may still serve the old key
	RotationUnder  Reason = "rotation-under-way" // AWSPENDING sits on a version that is not current
	SameKey        Reason = "same-key"           // its text is in the current or the pending value
	OrphanTooYoung Reason = "orphan-too-young"   // its createSecret may still store it
	NotAsked       Reason = "not-asked"          // the registry gave no answer about it
	WorldChanged   Reason = "world-changed"      // the secret changed after it was read; the next sweep reads it again
	// the registry refuses to revoke it; nobody can use it, so its labels are removed
	NotRevoked Reason = "expired-not-revoked"
)

// Reasons to ask a person.
const (
	Foreign        Reason = "foreign"         // it is another user's key, or may be
	OtherSecret    Reason = "other-secret"    // its name says that it was made for another secret, which may use it
	Mislabelled    Reason = "mislabelled"     // the label names another key than the one in the value
	Ambiguous      Reason = "ambiguous"       // whether a version holds the key cannot be decided
	UnreadableKey  Reason = "unreadable"      // no key can be found in the version's value
	Undecryptable  Reason = "undecryptable"   // Secrets Manager refuses to return the version's value
	Unlabelled     Reason = "unlabelled"      // a superseded version holds the key, and has no label
	Unidentified   Reason = "unidentified"    // several keys of the registry fit the current one, which has no label
	UnreadOrphans  Reason = "unread-orphans"  // a version that cannot be read may hold it
	NotComparable  Reason = "not-comparable"  // the registry shows fingerprints in a form that is not known
	ListIncomplete Reason = "list-incomplete" // the registry's list lacks the current key, so it does not count
	ReplicaFailed  Reason = "replica-failed"  // replication to a region has failed
)

// Reasons that stop the sweep, which then fails.
const (
	UnknownLabel Reason = "unknown-label" // a newer release wrote it
	// the current or the pending key is not known, so nothing can be compared with it
	NoReference Reason = "current-unreadable"
)

// End says what ends the state that a reason describes.
type End int

// The ends.
const (
	Planned End = iota + 1 // an action of the sweep, or time
	Person                 // a person; until then the key stays. [MetricAttention] counts these
	Fails                  // a person; the sweep fails with an error until then
)

// Ends has the [End] of every reason. docs/runbook/key-needs-attention.md has a row for each reason
// that needs a person.
var Ends = map[Reason]End{
	Superseded: Planned, CurrentAgain: Planned, KeyMoved: Planned, NoKeyLabel: Planned, StillUsed: Planned,
	GraceOver: Planned, GraceOverUnknown: Planned, HoldLimitOver: Planned, Expired: Planned, Orphaned: Planned,
	Gone: Planned,

	InGrace: Planned, MayBePromoted: Planned, ReplicaLag: Planned, RotationUnder: Planned, SameKey: Planned,
	OrphanTooYoung: Planned, NotAsked: Planned, WorldChanged: Planned, NotRevoked: Planned,

	Foreign: Person, OtherSecret: Person, Mislabelled: Person, Ambiguous: Person, UnreadableKey: Person,
	Undecryptable: Person, Unlabelled: Person, Unidentified: Person, UnreadOrphans: Person, NotComparable: Person,
	ListIncomplete: Person, ReplicaFailed: Person,

	UnknownLabel: Fails, NoReference: Fails,
}
