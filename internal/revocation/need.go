package revocation

import (
	"context"
	"errors"
	"strings"
	"time"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Rotation on need. A sweep of a run says that its secret should be rotated now, and the state
// machine calls RotateSecret when all secrets are swept. The sweep itself never rotates.

// NeedReason is why a secret is rotated outside its schedule.
type NeedReason string

// The reasons.
const (
	NeedRefused NeedReason = "current-key-refused"
	NeedExpires NeedReason = "current-key-expires"
)

// Need says that a secret should be rotated now.
type Need struct {
	SecretID string     `json:"secretId"`
	Reason   NeedReason `json:"reason"`
	Pending  string     `json:"pending,omitempty"` // the version with AWSPENDING, which has no value; "": none has it
}

// The ids of versions that a rotation on need has created begin like this. An id records that the
// version before it was refused while another credential of the same user logged in: see
// [World.replacedAsRefused].
const (
	TokenRefused = "quilt-rotate-refused-"
	TokenExpires = "quilt-rotate-expires-"
)

// OnNeed reports whether a rotation on need has created the version.
func OnNeed(versionID string) bool {
	return strings.HasPrefix(versionID, TokenRefused) || strings.HasPrefix(versionID, TokenExpires)
}

const (
	expiresWithin = 7 * 24 * time.Hour // or a quarter of the key's lifetime, if that is shorter
	scheduleAhead = 24 * time.Hour     // the scheduled rotation must leave so much time before the key expires
	needSpacing   = 24 * time.Hour     // after a rotation that succeeded
	pendingAge    = time.Hour          // how long AWSPENDING without a value may be a rotation that has just begun
)

// MayRotate reports whether a rotation on need is allowed: the tag does not forbid it, the function
// rotates the secret, sweeps are not paused, the last rotation did not succeed within a day, and no
// label is from a newer release.
func MayRotate(secret vault.Secret, policy Policy, rotateFunction string) bool {
	for _, v := range secret.Versions {
		if len(v.Unknown) > 0 {
			return false
		}
	}
	return policy.OnNeed && secret.Rotation.Enabled && secret.Rotation.Function == rotateFunction && !secret.Deleted &&
		!secret.Now.Before(secret.PausedUntil(policy.PauseUntil)) &&
		secret.Now.Sub(secret.Rotation.Last) >= needSpacing
}

// need decides whether the secret must be rotated now; failed is what the sweep failed with.
// expires says that the current key is about to expire, no scheduled rotation comes in time, and
// none on need is allowed.
func (s *sweep) need(ctx context.Context, failed error) (need *Need, expires bool) {
	_, refused := errors.AsType[*fault.CurrentKeyRefused](failed)
	reason := NeedRefused
	if !refused {
		reason = NeedExpires
	}
	if reason == NeedExpires && !s.expiresUnplanned() {
		return nil, false
	}
	pending, underWay := s.find(vault.Pending)
	if underWay = underWay && !pending.Has(vault.Current); !underWay {
		pending = Version{}
	}
	allowed := MayRotate(s.secret, s.policy, s.RotateFunction) && (!underWay || s.abandoned(ctx, pending)) &&
		(!refused || s.replaceable(ctx))
	if !allowed {
		return nil, reason == NeedExpires
	}
	return &Need{s.secret.ARN, reason, pending.ID}, false
}

// abandoned reports whether the rotation of the pending version was cut off before it stored a
// value, so that AWSPENDING only blocks the next one.
func (s *sweep) abandoned(ctx context.Context, pending Version) bool {
	if pending.Holds.State != NoValue {
		return false
	}
	created, err := s.Vault.VersionCreated(ctx, s.secret.ARN, pending.ID)
	if err != nil {
		s.Log.WarnContext(ctx, "the age of the pending version is not known", "secret", s.secret.ARN, "error", err)
	}
	return err == nil && !created.IsZero() && s.secret.Now.Sub(created) >= pendingAge
}

// errNotRefused says that the current key logs in after all.
var errNotRefused = errors.New("the current key logs in")

// replaceable reports whether a rotation can replace the current key, which was refused: another
// credential of the same user logs in, the same as the rotation will use, and at that moment the
// current key is still refused. So a registry that refuses everybody for a while, or a user who was
// deactivated, leads to no rotation.
//
// The registry lists no key that was revoked, so the tag names the user. It does not count for a
// version without a key label: a person has put that value there, and the key may be another
// user's.
func (s *sweep) replaceable(ctx context.Context) bool {
	rotation, err := settings.Rotate{Common: s.Settings.Common}.ForSecret(s.secret.Tags)
	if err != nil {
		return false
	}
	current, _ := s.find(vault.Current)
	if len(current.Keys) == 0 {
		return false
	}
	candidates := issuer.Candidates{Values: s.Vault, Registry: s.Registry, Secret: s.secret, Current: current.Holds.Key,
		Settings: rotation}
	err = candidates.Use(ctx, func(ctx context.Context, _ issuer.Creator) error {
		logsIn, err := s.logsIn(ctx, current.Holds.Key)
		if logsIn {
			err = errNotRefused
		}
		return err
	})
	if err != nil {
		s.Log.WarnContext(ctx, "the current key is refused, and a rotation would not replace it", "secret",
			s.secret.ARN, "error", err)
	}
	return err == nil
}

// expiresUnplanned reports whether the current key expires soon, and the next scheduled rotation is
// past, missing, or too late. The two services' clocks are compared.
func (s *sweep) expiresUnplanned() bool {
	row, known := s.currentKey()
	if !known || row.ExpiresAt.IsZero() {
		return false
	}
	left, life, next := row.ExpiresAt.Sub(s.RegistryNow), row.ExpiresAt.Sub(row.CreatedAt), s.secret.Rotation.Next
	return left <= min(expiresWithin, life/4) &&
		(next.Before(s.Now) || next.After(s.expiry(row).Add(-scheduleAhead))) // a missing date is before now
}
