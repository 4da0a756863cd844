package operations

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// KeyState is the known state of a key at the registry.
type KeyState string

// The states of a key.
const (
	KeyLogsIn  KeyState = "logs-in"
	KeyRefused KeyState = "refused"
	KeyUnknown KeyState = "unknown"
)

// tryKey logs in with a key and returns the key's state and owner. It fails only if ctx has ended.
// KeyRefused is no proof that the key was revoked: see [checkKey].
func tryKey(ctx context.Context, registry *quilt.Client, key apikey.Key) (KeyState, string, error) {
	me, err := registry.WithKey(key).Me(ctx)
	switch {
	case ctx.Err() != nil:
		return KeyUnknown, "", ctx.Err()
	case err == nil:
		return KeyLogsIn, me.Email, nil
	case quilt.RefusesLogin(err):
		return KeyRefused, "", nil
	case quilt.Refused(err): // the registry accepts the key, which has no permission for this request
		return KeyLogsIn, "", nil
	}
	return KeyUnknown, "", nil
}

// Evidence has the facts that decide whether a refusal of a key means that the key was revoked.
type Evidence struct {
	KeyID string // "": not known
	// registry user that the key belongs to; not a new owner of the secret
	// ([Operator.handedOver]); "": not known
	Owner    string
	Revoked  bool             // the registry answered Ok to our own revocation of the key
	Sessions []*quilt.Session // logins that may belong to the owner or to an administrator
}

// Checked is the result of [checkKey].
type Checked struct {
	State KeyState
	Owner string // owner of the key, if it logs in
	Why   string // reason, if the state is not known
}

// checkKey reports whether a key still works. It fails only if ctx has ended.
//
// A refusal alone is no proof that the key was revoked: this may be the wrong registry, the
// registry may have a fault, or the user may be deactivated, so that the key can work again later.
// A refusal counts only if one of these is true:
//
//   - The registry answered Ok to our own revocation of the key.
//   - Another login of the same user succeeds at this moment.
//   - An administrator finds neither the id of the key nor a key with a matching fingerprint.
func checkKey(ctx context.Context, registry *quilt.Client, key apikey.Key, known Evidence) (Checked, error) {
	state, owner, err := tryKey(ctx, registry, key)
	if err == nil && state == KeyRefused && !known.Revoked {
		if explained, err := known.explainRefusal(ctx, key); err != nil || explained.State != KeyRefused {
			return explained, err
		}
		// try again: a fault of the registry may have ended between the refusal and the other login
		state, owner, err = tryKey(ctx, registry, key)
	}
	now := Checked{State: state, Owner: owner}
	if state == KeyUnknown {
		now.Why = "the registry gave no answer"
	}
	return now, err
}

// explainRefusal checks with the other logins whether a key that was just refused was revoked or
// has expired.
func (k Evidence) explainRefusal(ctx context.Context, key apikey.Key) (Checked, error) {
	why := "no other login of its user succeeds, so the user may be deactivated, or the registry may be another one"
	for _, session := range k.Sessions {
		me, err := session.Me(ctx)
		if ctx.Err() != nil {
			return Checked{State: KeyUnknown}, ctx.Err()
		}
		if err != nil {
			continue
		}
		sameUser := quilt.SameUser(me.Email, k.Owner)
		var row *quilt.APIKey
		switch {
		case sameUser && k.KeyID != "":
			if row, err = session.GetKey(ctx, k.KeyID); quilt.Refused(err) { // it logged in, which is enough
				err = nil
			}
		case !sameUser && me.IsAdmin && k.KeyID != "":
			row, err = session.AdminGetKey(ctx, k.KeyID)
			// somebody may have moved the label
			if err == nil && (row == nil || row.Status == quilt.Expired && !key.Fits(row.Fingerprint)) {
				row, err = listed(ctx, session, key)
			}
		case !sameUser:
			continue
		}
		switch {
		case err != nil:
			continue
		// a label that was moved names another key
		case row == nil || row.Status == quilt.Expired || sameUser && !key.Fits(row.Fingerprint):
			return Checked{State: KeyRefused}, ctx.Err()
		}
		why = "the registry refuses it but still lists it as valid"
	}
	return Checked{State: KeyUnknown, Why: why}, ctx.Err()
}

// listed returns a valid key from an administrator's list that may be the given key, or nil.
func listed(ctx context.Context, admin *quilt.Session, key apikey.Key) (*quilt.APIKey, error) {
	rows, err := admin.AdminListKeys(ctx, quilt.AdminKeyFilter{Status: quilt.Active})
	i := slices.IndexFunc(rows, func(row quilt.APIKey) bool { return !key.Contradicts(row.Fingerprint) })
	if err != nil || i < 0 {
		return nil, err
	}
	return &rows[i], nil
}

// handedOver reports whether the secret was handed over to another registry user after a version
// was created, so that the version's key may belong to the former owner. Without a hand-over, all
// keys of a secret belong to one user, because rotations keep the user.
func (d *Operator) handedOver(ctx context.Context, s *managed.Secret, version string) (bool, error) {
	tag := s.Tags[settings.TagOwnerSince]
	if tag == "" {
		return false, nil
	}
	since, err := time.Parse(time.RFC3339, tag)
	if err != nil { // somebody wrote another text into the tag
		return true, ctx.Err()
	}
	created, err := d.Cloud.Vault.VersionCreated(ctx, s.ARN, version)
	return created.Before(since), err
}

// handOver asks for confirmation that a secret is handed over to another registry user, and writes
// the new owner into the tags. The caller then makes a key of that user current. handOver fails if
// the version that was current when it asked is no longer current.
//
// The tags are written before the key becomes current, because the functions compare the tag of the
// owner with the current key. If the current key belonged to the new user and the tag named the
// former user, every rotation would fail. A crash in between leaves the tag of the new user and the
// key of the former user, and the same command continues.
func (d *Operator) handOver(ctx context.Context, s *managed.Secret, from, what, email string) error {
	if err := d.Confirm(ctx, what, email); err != nil {
		return err
	}
	return finish(ctx, func(ctx context.Context) error {
		if err := s.Look(ctx); err != nil {
			return err
		}
		if err := stillCurrent(s, from); err != nil {
			return err
		}
		// later than every existing version: times of the service may be in whole seconds
		since := s.Now.UTC().Truncate(time.Second).Add(time.Second)
		return d.Cloud.Tag(ctx, s.ARN, map[string]string{settings.TagOwner: email,
			settings.TagOwnerSince: since.Format(time.RFC3339)})
	})
}

// takeBack writes the former owner into the tag again. It is called if another command stored a key
// of the former owner before the key of the new owner became current.
func (d *Operator) takeBack(ctx context.Context, s *managed.Secret, owner string) error {
	return finish(context.WithoutCancel(ctx), func(ctx context.Context) error {
		if owner == "" {
			return d.Cloud.Untag(ctx, s.ARN, settings.TagOwner)
		}
		return d.Cloud.Tag(ctx, s.ARN, map[string]string{settings.TagOwner: owner})
	})
}

// LogsInThere requires that one of the secret's keys logs in at a registry that only an option
// names. If it is the wrong registry, it refuses all keys, which looks as if they were revoked.
func LogsInThere(ctx context.Context, s *managed.Secret, registry *quilt.Client) error {
	for _, v := range s.Sorted() {
		value, err := s.Value(ctx, v.ID)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue // a value that cannot be read shows nothing
		}
		state, _, err := tryKey(ctx, registry, value.Key())
		if err != nil || state == KeyLogsIn {
			return err
		}
	}
	return terminal.WithHint(fmt.Errorf("no key of %s logs in at the registry %s, so the keys may belong to another "+
		"registry", s.Name, registry.Host()),
		fmt.Sprintf("check the URL; if it is correct, set the tag, and run this command again: aws secretsmanager "+
			"tag-resource --secret-id %s --tags Key=%s,Value=%s", s.Name, settings.TagRegistry, registry.URL()))
}
