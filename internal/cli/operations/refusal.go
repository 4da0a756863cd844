package operations

import (
	"context"
	"fmt"

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

// tryKey logs in with a key. It fails only if ctx has ended. KeyRefused is the answer of this moment, and no proof that the key was revoked: see [checkKey].
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
	KeyID    string           // "": not known
	Owner    string           // registry user that the key belongs to; "": not known
	Revoked  bool             // the registry answered Ok to our own revocation of the key
	Sessions []*quilt.Session // logins that may be the owner's or an administrator's
}

// Checked is the state of a key, and why it is not known.
type Checked struct {
	State KeyState
	Owner string // if it logs in
	Why   string // if the state is not known
}

// checkKey reports whether a key still works. A refusal alone is no proof that the key was revoked: the registry may be another one, or have a fault, or its
// user may be deactivated, and the key works again later. So a refusal counts only if the registry answered Ok to our own revocation of the key, or
// another login of the same user succeeds at this moment, or an administrator does not find the key's id. It fails only if ctx has ended.
func checkKey(ctx context.Context, registry *quilt.Client, key apikey.Key, known Evidence) (Checked, error) {
	state, owner, err := tryKey(ctx, registry, key)
	switch {
	case err != nil || state == KeyLogsIn:
		return Checked{State: state, Owner: owner}, err
	case state == KeyUnknown:
		return Checked{State: state, Why: "the registry gave no answer"}, nil
	case known.Revoked:
		return Checked{State: KeyRefused}, nil
	}
	return known.explainRefusal(ctx, key)
}

// explainRefusal reports whether a login shows that a key, which was refused a moment ago, was revoked or has expired.
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
		case !sameUser:
			continue
		}
		switch {
		case err != nil:
			continue
		case row == nil || row.Status == quilt.Expired || sameUser && !key.Fits(row.Fingerprint): // a label that was moved names another key
			return Checked{State: KeyRefused}, ctx.Err()
		}
		why = "the registry refuses it, and still lists it as valid"
	}
	return Checked{State: KeyUnknown, Why: why}, ctx.Err()
}

// LogsInThere demands that one of the secret's keys logs in at a registry that only an option names: any other registry refuses them all, which looks like
// keys that were revoked.
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
	return terminal.WithHint(fmt.Errorf("no key of %s logs in at the registry %s, so nothing shows that they are its keys", s.Name, registry.Host()),
		fmt.Sprintf("check the URL; if it is right, record it, and run this again: aws secretsmanager tag-resource --secret-id %s --tags Key=%s,Value=%s", s.Name, settings.TagRegistry, registry.URL()))
}
