package quiltregistry

import "time"

// The values of Switches.KeysMayNotManage: how the registry refuses to manage API keys in a session
// that logged in with an API key. It is not documented whether the real registry refuses this.
const (
	RefuseForbidden    = "forbidden"     // 403 for the whole request
	RefuseGraphQLError = "graphql-error" // 200 with errors
	// RefuseInvalidInput is 200 with the typed error. The fields me.apiKeys and me.apiKey answer as
	// usual, because their types have no error.
	RefuseInvalidInput = "invalid-input"
)

// The values of Switches.FingerprintForm. The documented form is the prefix, the first characters,
// three dots and the last characters, but the platform does not guarantee it.
const (
	FingerprintStart  = "start"  // qk_abc…
	FingerprintMasked = "masked" // qk_***...***
	FingerprintHash   = "hash"   // a hash of the key
)

// Switches select behaviors that the public sources do not specify, and faults. With the zero
// value, the registry behaves as documented.
type Switches struct {
	// NullMe answers a request with an invalid bearer token like a request without credentials: the
	// status is 200 and me is null.
	NullMe bool
	// KeysMayNotManage is "" or one of the Refuse constants.
	KeysMayNotManage string

	// UseNotRecorded means that a login does not change lastUsedAt.
	UseNotRecorded bool
	// UseGranularity is the unit that lastUsedAt is truncated to. 0 means exact.
	UseGranularity time.Duration

	// ListOmits reports whether me.apiKeys and the administrator's list omit a key. GetOmits does
	// the same for me.apiKey and the administrator's get. They run without the registry's lock and
	// may call the registry.
	ListOmits func(APIKey) bool
	GetOmits  func(APIKey) bool

	// Skew is added to the registry's time: the Date header, the times in answers, and the expiry
	// of keys and tokens.
	Skew time.Duration

	// DuplicateFingerprints gives new keys the same first and last characters. Their fingerprints
	// are then equal, and each matches its key.
	DuplicateFingerprints bool
	// FingerprintEnds is the number of characters of each end in the fingerprints of new keys. The
	// default is 3.
	FingerprintEnds int
	// FingerprintForm is the form of the fingerprints of all keys: "" or one of the Fingerprint
	// constants.
	FingerprintForm string
	// NewKeyDelay is how long a new key is refused. RefuseNewKeyLogins is how many logins with it
	// are refused. If both are set, a key is accepted when both conditions are over. Keys of
	// MintKey are accepted at once.
	NewKeyDelay        time.Duration
	RefuseNewKeyLogins int
	// NameLimit is the number of characters after which the name of a new key is cut off. DaysLimit
	// is the maximum lifetime of a new key in days. 0 means no limit.
	NameLimit, DaysLimit int
	// RevokedKeyLogins is the number of requests for which a key is still accepted after its
	// revocation.
	RevokedKeyLogins int
	// ExpiredNotRevoked refuses to revoke a key that has expired.
	ExpiredNotRevoked bool
	// MaxKeysPerUser is the maximum number of keys of a user, with the expired ones. 0 means no
	// limit.
	MaxKeysPerUser int

	// SSOOnly refuses logins with a password.
	SSOOnly bool
	// RateLimit is the maximum number of requests in a second of the registry's clock. 0 means no
	// limit.
	RateLimit int
	// PlatformVersion is the stackVersion in /config.json. The default is 1.68.0.
	PlatformVersion string
}

// SetSwitches calls change with a copy of the switches, and then uses the copy for all new
// requests. A request that has already arrived keeps the former switches. If two callers set
// switches at the same time, change may run again.
func (r *Registry) SetSwitches(change func(*Switches)) {
	for {
		former := r.switches.Load()
		next := *former
		change(&next)
		if r.switches.CompareAndSwap(former, &next) {
			return
		}
	}
}
