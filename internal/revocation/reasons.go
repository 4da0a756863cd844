package revocation

// Kind is what is to be done.
type Kind string

// Everything a plan can hold.
const (
	Relabel      Kind = "relabel"       // move the key's label to a later version, which holds the same key
	Mark         Kind = "mark"          // say since when the version is superseded
	Unmark       Kind = "unmark"        // take that back
	Hold         Kind = "hold"          // keep a key past its grace, since it is used
	Revoke       Kind = "revoke"        // revoke a superseded key
	RevokeOrphan Kind = "revoke-orphan" // revoke a key that no version holds
	Unlabel      Kind = "unlabel"       // take the labels of a key that is gone off
	Report       Kind = "report"        // do nothing, and say why
)

// Reason is why: the one list that logs, metrics, results and tests share.
type Reason string

// Reasons to act.
const (
	Superseded       Reason = "superseded"    // neither current nor pending any more
	CurrentAgain     Reason = "current-again" // somebody moved AWSCURRENT back
	KeyMoved         Reason = "key-moved"     // the version that is, or was last, current holds the same key
	NoKeyLabel       Reason = "no-key-label"  // a mark without a key means nothing
	StillUsed        Reason = "still-used"    // within the quiet period
	GraceOver        Reason = "grace-over"    // and quiet
	GraceOverUnknown Reason = "grace-over-use-not-recorded"
	HoldLimitOver    Reason = "hold-limit-over" // still used, but long enough
	Expired          Reason = "expired"         // nobody can use it
	Orphaned         Reason = "orphaned"
	Gone             Reason = "gone" // the registry knows it no more
)

// Reasons to wait.
const (
	InGrace        Reason = "in-grace"
	MayBePromoted  Reason = "may-be-promoted"    // never current, and a stalled finishSecret could still make it so
	ReplicaLag     Reason = "replica-lag"        // a replica region may still serve the old key
	RotationUnder  Reason = "rotation-under-way" // AWSPENDING sits on a version that is not current
	SameKey        Reason = "same-key"           // it is the current or pending key
	OrphanTooYoung Reason = "orphan-too-young"   // its createSecret may still store it
)

// Reasons to tell somebody.
const (
	Foreign        Reason = "foreign"         // the key belongs to another user now
	OtherSecret    Reason = "other-secret"    // the key's name says that it was made for another secret, which may use it
	Mislabelled    Reason = "mislabelled"     // the label's key is not the one in the value, as far as can be told
	Ambiguous      Reason = "ambiguous"       // another key shows the same fingerprint: a label that was moved could not be told
	UnreadableKey  Reason = "unreadable"      // the version's value holds no key that can be read
	Unlabelled     Reason = "unlabelled"      // a superseded version holds the key, and somebody took its label off
	Unidentified   Reason = "unidentified"    // the current key cannot be told from others at the registry
	ListIncomplete Reason = "list-incomplete" // the registry's list lacks the current key: it counts for nothing
	UnknownLabel   Reason = "unknown-label"   // a newer release wrote it
	NotAsked       Reason = "not-asked"       // the registry's list lacks the key, and its answer for the id did not come
	WorldChanged   Reason = "world-changed"   // between look and act: the next sweep sees it anew
	UnreadOrphans  Reason = "unread-orphans"  // a version without a key label cannot be read: it may hold one of them
)
