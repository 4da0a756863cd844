package operations

import (
	"context"
	"errors"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/wording"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/hint"
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
	KeptBy  string `json:"keptBy,omitempty"` // another secret, whose consumers need it

	version string // that holds it; "" for an orphan
}

// Fate is what becomes of a key.
type Fate string

// What may become of it.
const (
	FateToDie   Fate = "to-be-revoked"
	FateRevoked Fate = "revoked"
	FateGone    Fate = "gone-already"
	FateLeft    Fate = "left" // another's, or not provably ours: nothing is done to it
)

// look gathers the keys that are to die, and those that are not.
func (r *retirement) look(ctx context.Context) error {
	r.Tell.Doing("looking which keys the secret has")
	if r.nothingLeft() { // no function knows it any more
		if err := r.gatherOrphans(ctx, nil); err != nil {
			return err
		}
		r.keep()
		return nil
	}
	plan, err := r.secret.Sweep(ctx, managed.Preview)
	if err != nil {
		return err
	}
	if plan.WouldFail != nil && !currentIsDead(plan) && plan.WouldFail.ErrorType != fault.TypeName(&fault.SweepIncomplete{}) {
		return WouldFail(plan)
	}
	if currentIsDead(plan) && r.watcher == nil { // whose login vouches, too
		if err := vouched(ctx, r.secret, r.options.Registry); err != nil {
			return hint.With(err, hint.Of(err)+", or log in as the key's user: quilt-rotate retire "+r.secret.Name+" --login")
		}
	}
	if err := r.gather(ctx, plan); err != nil {
		return err
	}
	r.keep()
	return nil
}

// keep leaves the keys that another secret needs.
func (r *retirement) keep() {
	for i, k := range r.result.Keys {
		if other, kept := r.keepers.Of(quilt.APIKey{ID: k.KeyID, Fingerprint: k.Fingerprint}); kept {
			r.result.Keys[i].Fate, r.result.Keys[i].KeptBy = FateLeft, other
		}
	}
}

// currentIsDead tells whether nobody can list keys by the current one: it is refused, or overwritten.
func currentIsDead(plan revocation.Result) bool {
	if plan.WouldFail == nil {
		return false
	}
	return plan.WouldFail.ErrorType == fault.TypeName(&fault.CurrentKeyRefused{}) || plan.WouldFail.ErrorType == fault.TypeName(&fault.Overwritten{})
}

func (r *retirement) gather(ctx context.Context, plan revocation.Result) error {
	r.result.Keys = []RetiredKey{}
	holder, _ := r.secret.Holder(vault.Current)
	if currentIsDead(plan) {
		return r.gatherAlone(ctx, plan)
	}
	if plan.Outcome == revocation.NotBootstrapped {
		return nil
	}
	value, err := r.secret.Value(ctx, holder.ID)
	if err != nil {
		return err
	}
	r.current = value.Key()
	ours := map[string]bool{}
	for _, k := range plan.Keys {
		key := RetiredKey{KeyInfo: k, Fate: FateToDie}
		for _, v := range plan.Versions {
			if v.KeyID == k.KeyID && key.version == "" {
				key.version = v.Version
				key.Current = v.Version == holder.ID || v.SameKeyAs != "" && v.SameKeyAs == holder.ID // somebody edited another field
			}
		}
		ours[k.KeyID] = true
		r.result.Keys = append(r.result.Keys, key)
	}
	for _, v := range plan.Versions {
		if v.KeyID == "" && v.Version != holder.ID || ours[v.KeyID] {
			continue
		}
		key, err := r.notOurs(ctx, v)
		if err != nil {
			return err
		}
		key.Current = v.Version == holder.ID
		ours[v.KeyID] = true
		r.result.Keys = append(r.result.Keys, key)
	}
	return nil
}

// notOurs is a key under our label, or the current one, that is not provably ours. It is left, unless it is dead.
func (r *retirement) notOurs(ctx context.Context, v revocation.Seen) (RetiredKey, error) {
	key := RetiredKey{KeyInfo: v.KeyInfo, Fate: FateLeft, version: v.Version}
	if v.Value != revocation.Holds {
		return key, nil
	}
	value, err := r.secret.Value(ctx, v.Version)
	if err != nil {
		return key, err
	}
	state, owner, err := tryKey(ctx, r.options.Registry, value.Key())
	if state == KeyRefused {
		key.Fate = FateGone
	}
	if owner != "" {
		key.Owner = owner
	}
	return key, err
}

// gatherAlone finds the keys where the current one is dead: those of the versions by their own values, and what the watcher's list has.
func (r *retirement) gatherAlone(ctx context.Context, plan revocation.Result) error {
	holder, _ := r.secret.Holder(vault.Current)
	seen := map[string]bool{}
	for _, v := range plan.Versions {
		if v.Value != revocation.Holds {
			continue
		}
		value, err := r.secret.Value(ctx, v.Version)
		if err != nil {
			return err
		}
		state, owner, err := tryKey(ctx, r.options.Registry, value.Key())
		if err != nil {
			return err
		}
		key := RetiredKey{KeyInfo: v.KeyInfo, Fate: FateGone, Current: v.Version == holder.ID, version: v.Version}
		switch state {
		case KeyUnknown:
			return hint.With(errors.New("the registry gives no answer"), "run this again when it does")
		case KeyLogsIn:
			key.Fate, key.Owner = FateToDie, owner
		}
		if v.KeyID == "" && key.Fate == FateToDie { // never labelled, so nobody says that it is ours
			key.Fate = FateLeft
		}
		seen[v.KeyID] = true
		r.result.Keys = append(r.result.Keys, key)
	}
	return r.gatherOrphans(ctx, seen)
}

// gatherOrphans finds the keys that were made for the secret and that no version holds, in the watcher's list.
func (r *retirement) gatherOrphans(ctx context.Context, seen map[string]bool) error {
	if r.watcher == nil {
		r.unlisted = true
		r.Tell.Tell(terminal.Warned, "keys that no version holds cannot be listed", "log in as the keys' user to have them found: --login")
		return nil
	}
	account, err := r.watcher.Account(ctx)
	if err != nil {
		return err
	}
	for _, k := range account.Keys {
		if mark, ours := apikey.MarkOf(k.Name); ours && mark == apikey.SecretMark(r.secret.ARN) && !seen[k.ID] {
			r.result.Keys = append(r.result.Keys, RetiredKey{Fate: FateToDie, KeyInfo: revocation.KeyInfo{
				KeyID: k.ID, KeyName: k.Name, Fingerprint: k.Fingerprint, Owner: k.UserEmail, Status: k.Status, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt,
			}})
		}
	}
	return nil
}

// show tells which keys die, and who used them last.
func (r *retirement) show() {
	for _, k := range r.result.Keys {
		used := "never used, as far as is recorded"
		switch {
		case k.LastUsedAt != nil:
			used = "last used on " + wording.Clock(*k.LastUsedAt)
		case k.CreatedAt.IsZero():
			used = "its last use is not known"
		}
		if k.Owner != "" {
			used += ", a key of " + k.Owner
		}
		name := k.Fingerprint
		if k.Current {
			name = "the current key " + name
		}
		switch {
		case k.KeptBy != "":
			r.Tell.Tell(terminal.Warned, "leaves "+name+": the secret "+k.KeptBy+" needs it", used)
		case k.Fate == FateLeft:
			r.Tell.Tell(terminal.Warned, "leaves "+name+": it is not provably this secret's own", used)
		case k.Fate == FateGone:
			r.Tell.Tell(terminal.Noted, name+" is dead already", "")
		default:
			r.Tell.Tell(terminal.Later, "will revoke "+name, used)
		}
	}
}
