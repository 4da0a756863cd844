package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// RetiredKey is a key of the secret.
type RetiredKey struct {
	revocation.KeyInfo
	Current bool   `json:"current,omitempty"`
	Fate    Fate   `json:"fate"`
	HeldBy  string `json:"heldBy,omitempty"` // another secret that holds it
	Why     string `json:"why,omitempty"`    // it is left

	key      apikey.Key // zero: no version holds it
	versions []string   // that hold it
}

// Fate is what becomes of a key.
type Fate string

// What may become of it.
const (
	FateToRevoke Fate = "to-be-revoked"
	FateRevoked  Fate = "revoked"
	FateInvalid  Fate = "invalid-already"
	FateLeft     Fate = "left"
)

// gather finds the keys of the secret, and decides what becomes of each: those in the values of the current version and of those with a key label, by their
// text; and those that no version holds, by the secret's mark in their names.
func (r *retirement) gather(ctx context.Context) error {
	r.Tell.Doing("looking at the secret's keys")
	r.result.Keys = []RetiredKey{}
	if r.owner == "" && slices.ContainsFunc(r.account.Keys, r.listsOurs) {
		r.owner = r.account.Email
	}
	for _, v := range r.secret.Sorted() {
		if v.Has(vault.Current) || len(v.Keys) > 0 {
			if err := r.gatherVersion(ctx, v); err != nil {
				return err
			}
		}
	}
	for _, row := range r.account.Keys {
		if r.marked(row) && r.find(row.ID, apikey.Key{}) == nil && row.Status != quilt.Expired {
			r.result.Keys = append(r.result.Keys, RetiredKey{KeyInfo: infoOf(row), Fate: FateToRevoke})
		}
	}
	for i := range r.result.Keys {
		if k := &r.result.Keys[i]; k.Fate != FateInvalid {
			if k.HeldBy = r.heldBy(k); k.HeldBy != "" {
				k.Fate, k.Why = FateLeft, "the secret "+k.HeldBy+" holds it"
			}
		}
	}
	return nil
}

// listsOurs reports whether a key in the login's list is the secret's, so that the login is of the keys' user.
func (r *retirement) listsOurs(row quilt.APIKey) bool {
	for _, v := range r.secret.Versions {
		if slices.Contains(v.Keys, row.ID) {
			return true
		}
	}
	return r.marked(row)
}

func (r *retirement) find(id string, key apikey.Key) *RetiredKey {
	for i := range r.result.Keys {
		k := &r.result.Keys[i]
		if id != "" && k.KeyID == id || !key.IsZero() && k.key.Equal(key) {
			return k
		}
	}
	return nil
}

func (r *retirement) gatherVersion(ctx context.Context, v vault.Version) error {
	value, err := r.secret.Value(ctx, v.ID)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	k := RetiredKey{Current: v.Has(vault.Current), key: value.Key(), versions: []string{v.ID}}
	if err != nil { // only the labels say which key it held
		return r.gatherLabels(v, err)
	}
	if known := r.find("", k.key); known != nil { // somebody edited another field
		known.Current, known.versions = known.Current || k.Current, append(known.versions, v.ID)
		return nil
	}
	row, ok := quilt.OnlyFit(r.account.Keys, k.key)
	for _, each := range r.account.Keys {
		if slices.Contains(v.Keys, each.ID) && k.key.Fits(each.Fingerprint) {
			row, ok = each, true
		}
	}
	if k.KeyInfo = infoOf(row); !ok {
		k.KeyInfo = revocation.KeyInfo{KeyID: v.Key(), Fingerprint: k.key.Fingerprint()}
	}
	known, err := checkKey(ctx, r.options.Registry, k.key, Evidence{KeyID: k.KeyID, Owner: r.owner, Sessions: []*quilt.Session{r.session}})
	if err != nil {
		return err
	}
	switch {
	case known.State == KeyUnknown:
		k.Fate, k.Why = FateLeft, "it is not known whether it works: "+known.Why
	case known.State == KeyRefused:
		k.Fate = FateInvalid
	case known.Owner != "" && !quilt.SameUser(known.Owner, r.account.Email):
		k.Owner, k.Fate, k.Why = known.Owner, FateLeft, "it belongs to "+known.Owner
	default:
		k.Fate = FateToRevoke
	}
	r.result.Keys = append(r.result.Keys, k)
	return nil
}

// gatherLabels takes the keys of a version whose value cannot be used from its labels. Somebody may have moved a label, so a key is revoked only if its name
// has the secret's mark.
func (r *retirement) gatherLabels(v vault.Version, err error) error {
	for _, id := range v.Keys {
		k := RetiredKey{KeyInfo: revocation.KeyInfo{KeyID: id}, versions: []string{v.ID}, Fate: FateLeft, Why: "the value of its version cannot be used: " + err.Error()}
		for _, row := range r.account.Keys {
			if row.ID == id {
				k.KeyInfo = infoOf(row)
				if r.marked(row) {
					k.Fate, k.Why = FateToRevoke, ""
				}
			}
		}
		if known := r.find(id, apikey.Key{}); known != nil {
			known.versions = append(known.versions, v.ID)
			continue
		}
		r.result.Keys = append(r.result.Keys, k)
	}
	return nil
}

func infoOf(k quilt.APIKey) revocation.KeyInfo {
	return revocation.KeyInfo{
		KeyID: k.ID, KeyName: k.Name, Fingerprint: k.Fingerprint, Owner: k.UserEmail, Status: k.Status, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt,
	}
}

// show shows each key, and its last use.
func (r *retirement) show() {
	for _, k := range r.result.Keys {
		used := "no use is recorded"
		switch {
		case k.LastUsedAt != nil:
			used = "last used on " + status.Clock(*k.LastUsedAt)
		case k.CreatedAt.IsZero():
			used = "its last use is not known"
		}
		if k.Current {
			used += "; sweeps and this command use it, too"
		}
		name := k.Fingerprint
		if name == "" {
			name = k.KeyID
		}
		if k.Current {
			name = "the current key " + name
		}
		switch k.Fate {
		case FateLeft:
			r.Tell.Tell(terminal.Warned, "leaves "+name+": "+k.Why, used)
		case FateInvalid:
			r.Tell.Tell(terminal.Noted, name+" does not work any more", "")
		default:
			r.Tell.Tell(terminal.Later, "will revoke "+name, used)
		}
	}
}

// revokeOthers revokes the confirmed keys, except the current one.
func (r *retirement) revokeOthers(ctx context.Context) error { return r.revoke(ctx, false) }

// revokeCurrent revokes the current key, if that was confirmed.
func (r *retirement) revokeCurrent(ctx context.Context) error { return r.revoke(ctx, true) }

func (r *retirement) revoke(ctx context.Context, current bool) error {
	for i := range r.result.Keys {
		k := &r.result.Keys[i]
		if k.Fate != FateToRevoke || k.Current != current {
			continue
		}
		r.Tell.Doing("revoking " + k.Fingerprint)
		err := finish(ctx, func(ctx context.Context) error {
			if err := r.unchanged(ctx); err != nil { // within the same write, so that nothing comes between
				return err
			}
			return r.revokeKey(ctx, k)
		})
		if err != nil {
			return err
		}
		k.Fate = FateRevoked
		r.Tell.Tell(terminal.Done, "revoked "+k.Fingerprint, "")
	}
	return nil
}

// revokeKey revokes a key, and proves it: by its text, whatever the labels say, or by its id if no version holds it.
func (r *retirement) revokeKey(ctx context.Context, k *RetiredKey) error {
	if k.key.IsZero() {
		failed := r.session.RevokeKey(ctx, k.KeyID)
		row, err := r.session.GetKey(ctx, k.KeyID)
		if err == nil && row != nil {
			err = errNotRevoked
		}
		return notRevoked(k, errors.Join(failed, err), err)
	}
	failed := r.session.RevokeKeyBySecret(ctx, k.key)
	if failed != nil {
		failed = r.options.Registry.WithKey(k.key).RevokeKeyBySecret(ctx, k.key)
	}
	known, err := checkKey(ctx, r.options.Registry, k.key, Evidence{KeyID: k.KeyID, Owner: r.account.Email, Revoked: failed == nil, Sessions: []*quilt.Session{r.session}})
	if err == nil && known.State != KeyRefused {
		if err = errNotRevoked; known.Why != "" {
			err = fmt.Errorf("%w: %s", err, known.Why)
		}
	}
	return notRevoked(k, errors.Join(failed, err), err)
}

func notRevoked(k *RetiredKey, all, proof error) error {
	if proof == nil { // a lost answer is no failure
		return nil
	}
	return terminal.WithHint(fmt.Errorf("it is not proved that the key %s was revoked: %w", k.Fingerprint, all),
		"run this again; if this goes on, ask an administrator of the registry to revoke it: quilt-rotate keys revoke --admin --anyway "+k.KeyID)
}

// refuseNewKeys stops if a key was created for the secret after its keys were shown: when the current key is revoked, perhaps nobody can list it.
func (r *retirement) refuseNewKeys(ctx context.Context) error {
	account, err := r.session.Account(ctx)
	if err != nil {
		return err
	}
	for _, row := range account.Keys {
		if r.marked(row) && row.Status != quilt.Expired && r.find(row.ID, apikey.Key{}) == nil {
			return terminal.WithHint(fmt.Errorf("the key %s was created for %s meanwhile", row.Fingerprint, r.secret.Name), "run this again, to see it")
		}
	}
	return nil
}
