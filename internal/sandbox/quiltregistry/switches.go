package quiltregistry

import "time"

// What Switches.KeysMayNotManage can be: how the registry turns down a session that logged in with
// an API key and wants to manage API keys. Whether the real one does is not documented.
const (
	RefuseForbidden    = "forbidden"     // 403 for the whole request
	RefuseGraphQLError = "graphql-error" // 200 with errors
	// RefuseInvalidInput is 200 with the typed error; me.apiKeys and me.apiKey, whose types have
	// none, answer as usual.
	RefuseInvalidInput = "invalid-input"
)

// What Switches.FingerprintForm can be. The documented form is prefix, first characters, dots, last
// characters; it is not a contract.
const (
	FingerprintStart  = "start"  // qk_abc…
	FingerprintMasked = "masked" // qk_***...***
	FingerprintHash   = "hash"   // a hash of the key
)

// Switches choose among behaviours that the public sources leave open, and make the registry
// misbehave. The zero value is the registry as documented.
type Switches struct {
	// NullMe answers a bearer that is not valid as if there were none: status 200, and me is null.
	NullMe bool
	// KeysMayNotManage is "" or one of the Refuse constants.
	KeysMayNotManage string

	// UseNotRecorded leaves lastUsedAt as it is.
	UseNotRecorded bool
	// UseGranularity is what lastUsedAt is truncated to; 0 is exact.
	UseGranularity time.Duration

	// ListOmits leaves keys out of me.apiKeys and of the admin list; GetOmits out of me.apiKey and
	// the admin get. They run without the registry's lock and may call the registry.
	ListOmits func(APIKey) bool
	GetOmits  func(APIKey) bool

	// Skew is how far the registry's clock is off: Date header, stamps and expiry alike.
	Skew time.Duration

	// DuplicateFingerprints gives all keys minted while it is on the same first and last
	// characters, and so a fingerprint that fits each of them truly and tells none from another.
	DuplicateFingerprints bool
	// FingerprintEnds is how many characters of each end the fingerprints of new keys show; 0 is 3.
	FingerprintEnds int
	// FingerprintForm is "" or one of the Fingerprint constants, for all keys.
	FingerprintForm string
	// NewKeyDelay and RefuseNewKeyLogins are how long, and for how many attempts, a key created
	// over the wire while they are set is refused. With both set, both must have passed. MintKey's
	// keys work at once.
	NewKeyDelay        time.Duration
	RefuseNewKeyLogins int
	// NameLimit is how many characters of a name are kept, and DaysLimit how many days a key is
	// valid at most; 0 is no limit.
	NameLimit, DaysLimit int
	// RevokeLingers is for how many more requests a key that is revoked while it is set still logs
	// in.
	RevokeLingers int
	// ExpiredNotRevoked refuses to revoke a key that has expired.
	ExpiredNotRevoked bool
	// MaxKeysPerUser is how many keys, expired ones included, a user may have; 0 is no limit.
	MaxKeysPerUser int

	// SSOOnly turns the password login off.
	SSOOnly bool
	// RateLimit is how many requests a second of the registry's clock are answered; 0 is no limit.
	RateLimit int
	// PlatformVersion is the stackVersion of /config.json; "" is 1.68.0.
	PlatformVersion string
}

// SetSwitches lets change edit a copy of the switches and puts it in force at once. A request sees
// the switches that were in force when it arrived. change may run again when two callers set
// switches at the same time.
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
