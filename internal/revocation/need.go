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

// Rotation on need. A sweep of a run reports that its secret should be rotated now. The state
// machine calls RotateSecret when all secrets have been swept. The sweep itself never rotates.

// NeedReason says why a secret is rotated outside its schedule.
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
	Pending  string     `json:"pending,omitempty"` // the version without a value that has AWSPENDING; "": none
}

// Prefixes of the ids of versions that a rotation on need created. An id with TokenRefused records
// that the key of the version before it was refused while another credential of the same user
// logged in: see [Snapshot.replacedAsRefused].
const (
	TokenRefused = "quilt-rotate-refused-"
	TokenExpires = "quilt-rotate-expires-"
)

// OnNeed reports whether a rotation on need created the version.
func OnNeed(versionID string) bool {
	return strings.HasPrefix(versionID, TokenRefused) || strings.HasPrefix(versionID, TokenExpires)
}

const (
	expiresWithin = 7 * 24 * time.Hour // or a quarter of the key's lifetime, if that is shorter
	scheduleAhead = 24 * time.Hour     // how long before the key expires the scheduled rotation must be
	needSpacing   = 24 * time.Hour     // the shortest time between a rotation that succeeded and one on need
	pendingAge    = time.Hour          // a rotation without a pending value is abandoned after this time
)

// MayRotate reports whether a rotation on need is allowed: no label is from a newer release, the
// tag does not forbid it, the secret is not marked for deletion, the function rotates it, sweeps
// are not paused, and no rotation succeeded within the last day.
func MayRotate(secret vault.Secret, policy Policy, rotateFunction string) bool {
	for _, v := range secret.Versions {
		if len(v.Unknown) > 0 {
			return false
		}
	}
	rotation := secret.Rotation
	return policy.OnNeed && !secret.Deleted &&
		rotation.Enabled && rotation.Function == rotateFunction &&
		!secret.Now.Before(secret.PausedUntil(policy.PauseUntil)) &&
		secret.Now.Sub(rotation.Last) >= needSpacing
}

// need decides whether the secret must be rotated now. failed is the error of the sweep, or nil.
// expires reports whether the current key is about to expire while no scheduled rotation comes in
// time and a rotation on need is not allowed.
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

// abandoned reports whether the rotation of the pending version ended before it stored a value, so
// that AWSPENDING only blocks the next rotation.
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

// replaceable reports whether a rotation can replace the current key, which was refused. The
// credential that the rotation will use must log in as the same user, and the current key must
// still be refused at that moment. So there is no rotation if the registry refuses everybody for a
// while, or if the user was deactivated.
//
// The registry does not list revoked keys, so the owner tag names the user. The tag does not count
// for a version without a key label: a person stored that value, and the key may belong to another
// user.
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

// expiresUnplanned reports whether the current key expires soon and the next scheduled rotation is
// missing, in the past, or too late. It takes the difference of the two services' clocks into
// account.
func (s *sweep) expiresUnplanned() bool {
	row, known := s.currentKey()
	if !known || row.ExpiresAt.IsZero() {
		return false
	}
	left, life, next := row.ExpiresAt.Sub(s.RegistryNow), row.ExpiresAt.Sub(row.CreatedAt), s.secret.Rotation.Next
	return left <= min(expiresWithin, life/4) &&
		(next.Before(s.Now) || next.After(s.expiry(row).Add(-scheduleAhead))) // a missing date is before now
}
