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

// KeyState is what is known of a key at the registry.
type KeyState string

// The states of a key.
const (
	KeyLogsIn  KeyState = "logs-in"
	KeyRefused KeyState = "refused"
	KeyUnknown KeyState = "unknown"
)

// tryKey logs in with a key. It fails only if ctx has ended. KeyRefused is the answer of this
// moment, and no proof that the key was revoked: see [checkKey].
func tryKey(ctx context.Context, registry *quilt.Client, key apikey.Key) (KeyState, string, error) {
	me, err := registry.WithKey(key).Me(ctx)
	switch {
	case ctx.Err() != nil:
		return KeyUnknown, "", ctx.Err()
	case err == nil:
		return KeyLogsIn, me.Email, nil
	case quilt.RefusesLogin(err):
		return KeyRefused, "", nil
	case quilt.Refused(err): // the registry knows the key, which may not do even this
		return KeyLogsIn, "", nil
	}
	return KeyUnknown, "", nil
}

// Evidence is what else is known of a key, in case the registry refuses it.
type Evidence struct {
	KeyID string // "": not known
	// registry user that the key belongs to, and not its secret's new one ([Operator.handedOver]);
	// "": not known
	Owner    string
	Revoked  bool             // the registry answered Ok to our own revocation of the key
	Sessions []*quilt.Session // logins that may be the owner's or an administrator's
}

// Checked is the state of a key, and why it is not known.
type Checked struct {
	State KeyState
	Owner string // if it logs in
	Why   string // if the state is not known
}

// checkKey reports whether a key still works. A refusal alone is no proof that the key was revoked:
// the registry may be another one, or have a fault, or its user may be deactivated, and the key
// works again later. So a refusal counts only if the registry answered Ok to our own revocation of
// the key, or another login of the same user succeeds at this moment, or an administrator finds
// neither the key's id nor a key that may be this one. It fails only if ctx has ended.
func checkKey(ctx context.Context, registry *quilt.Client, key apikey.Key, known Evidence) (Checked, error) {
	state, owner, err := tryKey(ctx, registry, key)
	if err == nil && state == KeyRefused && !known.Revoked {
		if explained, err := known.explainRefusal(ctx, key); err != nil || explained.State != KeyRefused {
			return explained, err
		}
		// a fault of the registry may have ended between the refusal and the other login
		state, owner, err = tryKey(ctx, registry, key)
	}
	now := Checked{State: state, Owner: owner}
	if state == KeyUnknown {
		now.Why = "the registry gave no answer"
	}
	return now, err
}

// explainRefusal reports whether a login shows that a key, which was refused a moment ago, was
// revoked or has expired.
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
			if row, err = session.GetKey(ctx, k.KeyID); quilt.Refused(err) { // it may not look at keys; it logged in
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
		why = "the registry refuses it, and still lists it as valid"
	}
	return Checked{State: KeyUnknown, Why: why}, ctx.Err()
}

// listed finds a valid key in an administrator's list that may be this one; nil: there is none.
func listed(ctx context.Context, admin *quilt.Session, key apikey.Key) (*quilt.APIKey, error) {
	rows, err := admin.AdminListKeys(ctx, quilt.AdminKeyFilter{Status: quilt.Active})
	i := slices.IndexFunc(rows, func(row quilt.APIKey) bool { return !key.Contradicts(row.Fingerprint) })
	if err != nil || i < 0 {
		return nil, err
	}
	return &rows[i], nil
}

// handedOver reports whether the key of a version may be another registry user's than the secret's
// owner: the secret was handed over after the version was created. Otherwise all keys of a secret
// belong to one user, because a rotation keeps the user.
func (d *Operator) handedOver(ctx context.Context, s *managed.Secret, version string) (bool, error) {
	tag := s.Tags[settings.TagOwnerSince]
	if tag == "" {
		return false, nil
	}
	since, err := time.Parse(time.RFC3339, tag)
	if err != nil { // somebody wrote something else there
		return true, ctx.Err()
	}
	created, err := d.Cloud.Vault.VersionCreated(ctx, s.ARN, version)
	return created.Before(since), err
}

// handOver asks whether a secret goes over to another registry user, whose key becomes current
// next, and writes that into the tags. It fails if the version that was current when the question
// was asked is not current any more.
//
// The tags come before the key: the functions compare the owner's tag with the current key, and a
// current key of the new user beside a tag of the former one would stop every rotation. A crash in
// between leaves the new user's tag and the former user's key, and the same command continues.
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
		// later than every version that exists: the service's clock may show whole seconds
		since := s.Now.UTC().Truncate(time.Second).Add(time.Second)
		return d.Cloud.Tag(ctx, s.ARN, map[string]string{settings.TagOwner: email,
			settings.TagOwnerSince: since.Format(time.RFC3339)})
	})
}

// takeBack writes the former owner into the tag again, because another command stored a key of that
// user before the new user's key became current.
func (d *Operator) takeBack(ctx context.Context, s *managed.Secret, owner string) error {
	return finish(context.WithoutCancel(ctx), func(ctx context.Context) error {
		if owner == "" {
			return d.Cloud.Untag(ctx, s.ARN, settings.TagOwner)
		}
		return d.Cloud.Tag(ctx, s.ARN, map[string]string{settings.TagOwner: owner})
	})
}

// LogsInThere demands that one of the secret's keys logs in at a registry that only an option
// names: any other registry refuses them all, which looks like keys that were revoked.
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
	return terminal.WithHint(fmt.Errorf("no key of %s logs in at the registry %s, so nothing shows that they are its "+
		"keys", s.Name, registry.Host()),
		fmt.Sprintf("check the URL; if it is right, record it, and run this again: aws secretsmanager tag-resource "+
			"--secret-id %s --tags Key=%s,Value=%s", s.Name, settings.TagRegistry, registry.URL()))
}
