package procedure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/care"
	"quilt-rotate/internal/cloud"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
	"quilt-rotate/internal/wording"
)

// Retired tells what became of the keys of a secret whose service is gone.
type Retired struct {
	Secret      string       `json:"secret"`
	RotationOff bool         `json:"rotationOff"`
	Keys        []RetiredKey `json:"keys"`
	Complete    bool         `json:"complete"` // every key of ours is dead, and labels and tags are off
}

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

// RetireOptions say how a secret is given up.
type RetireOptions struct {
	Registry *quilt.Client
	Person   *quilt.Session // somebody's own login of the keys' user: to see what is used without using it; nil: none
	Force    bool           // a key that may still be used is not waited for
	Wait     bool           // it is waited for here
}

// retirePoll bounds how long one waits between two looks at a key's use.
const retirePoll = time.Minute

// Retire gives a secret up: its rotation is switched off, every key that was made for it is revoked, and labels and tags come off. The secret itself stays.
//
// The order: rotation goes off first, so that no key is made meanwhile. The current key dies last, since it is what lists and revokes the others. Labels come off
// when their keys were seen to be dead, marks first; tags last of all, so that a secret that is not through is still found. A crash anywhere leaves a secret
// that is retired in part, and the same command goes on: each step looks first whether it is done. A crash right after the current key has died leaves nobody who
// lists keys: then each version's own key is asked to revoke itself, and the person's login finds the rest. Twice at once: whoever comes second finds it done.
//
// Whether the current key is still used cannot be seen with that key: each look is a use, and so is each sweep. So sweeps are paused, and the look is a
// person's, or the issuer's.
func (d *Desk) Retire(ctx context.Context, s *care.Secret, o RetireOptions) (Retired, error) {
	r := &retirement{Desk: d, secret: s, options: o, result: Retired{Secret: s.ARN, Keys: []RetiredKey{}}}
	err := r.run(ctx)
	r.result.RotationOff = !s.Rotation.Enabled
	return r.result, err
}

type retirement struct {
	*Desk
	secret  *care.Secret
	options RetireOptions
	result  Retired

	watcher *quilt.Session // who may look without using the current key; nil: nobody
	quiet   bool           // nobody had used the current key for the quiet period, before this command did
	current apikey.Key     // zero: it does not log in any more
	keepers care.Keepers
}

func (r *retirement) run(ctx context.Context) error {
	if r.nothingLeft() {
		r.result.Complete = true
		return nil
	}
	const untouched = "nothing was done"
	if err := r.watch(ctx); err != nil {
		return left(err, untouched)
	}
	used, err := r.lastUse(ctx) // before anything else uses the key
	if err != nil {
		return left(err, untouched)
	}
	if err := r.refuseUsed(ctx, used); err != nil {
		return left(err, untouched)
	}
	if err := r.look(ctx); err != nil {
		return left(err, untouched)
	}
	if err := r.refuseUnseen(used); err != nil {
		return err
	}
	r.show()
	if err := r.Confirm(ctx, r.question(), r.secret.Name); err != nil {
		return left(err, untouched)
	}
	for _, step := range []func(context.Context) error{
		r.stopRotation, r.unstick, r.awaitQuiet, r.sweep, r.revokeOthers, r.revokeCurrent, r.takeLabelsOff, r.takeTagsOff,
	} {
		err := ctx.Err()
		if err == nil {
			err = step(ctx)
		}
		if err != nil {
			return left(err, "the secret is retired in part, and nothing is lost; go on with: quilt-rotate retire "+r.secret.Name)
		}
	}
	return nil
}

// nothingLeft tells whether the secret has nothing of ours any more.
func (r *retirement) nothingLeft() bool {
	for _, v := range r.secret.Versions {
		if len(v.Keys)+len(v.Marks)+len(v.Unknown) > 0 {
			return false
		}
	}
	return !r.secret.Rotation.Enabled && len(ourTags(r.secret)) == 0
}

func ourTags(s *care.Secret) []string {
	var names []string
	for name := range s.Tags {
		if strings.HasPrefix(name, settings.TagPrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// watch finds somebody who may look without using the current key: the person, else the issuer.
func (r *retirement) watch(ctx context.Context) error {
	r.watcher = r.options.Person
	name := r.secret.Tags[settings.TagIssuer]
	if r.watcher != nil || name == "" {
		return nil
	}
	value, err := r.Cloud.Vault.ReadCurrent(ctx, name)
	if err == nil {
		r.watcher, err = issuer.LogIn(ctx, r.options.Registry, name, value)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.Tell.Tell(terminal.Warned, "the issuer cannot be asked", cloud.Explain(err).Error())
	}
	return nil
}

// use is what is known of the current key's use.
type use struct {
	seen     bool // somebody could look
	listed   bool // the registry's list has the current key
	recorded bool // the registry records when keys are used
	last     *time.Time
	now      time.Time // the registry's clock
}

// lastUse looks when the current key was used last, without using it.
func (r *retirement) lastUse(ctx context.Context) (use, error) {
	if r.watcher == nil {
		return use{}, nil
	}
	r.Tell.Doing("looking when the current key was used")
	account, err := r.watcher.Account(ctx)
	if err != nil {
		return use{}, err
	}
	u := use{now: account.RegistryTime, seen: true}
	current, ok := r.secret.Holder(vault.Current)
	if !ok {
		return u, nil
	}
	key := apikey.Key{}
	if value, err := r.secret.Value(ctx, current.ID); err == nil {
		key = value.Key()
	}
	for _, k := range account.Keys {
		u.recorded = u.recorded || k.LastUsedAt != nil
		mine := k.ID == current.Key() || current.Key() == "" && key.Fits(k.Fingerprint)
		u.listed = u.listed || mine
		if mine && k.LastUsedAt != nil && (u.last == nil || k.LastUsedAt.After(*u.last)) {
			u.last = k.LastUsedAt
		}
	}
	return u, nil
}

// look gathers the keys that are to die, and those that are not.
func (r *retirement) look(ctx context.Context) error {
	r.Tell.Doing("looking which keys the secret has")
	plan, err := r.secret.Sweep(ctx, care.Preview)
	if err != nil {
		return err
	}
	if r.keepers, err = care.FindKeepers(ctx, r.Cloud, r.secret.ARN); err != nil {
		return err
	}
	if len(r.keepers.Unread) > 0 {
		u := r.keepers.Unread[0]
		return hint.With(fmt.Errorf("the secret %s cannot be read, and may hold one of these keys: %w", u.Secret, cloud.Explain(u.Err)), "use credentials that may read all secrets in care, then run this again")
	}
	if plan.WouldFail != nil && !currentIsDead(plan) && plan.WouldFail.ErrorType != fault.TypeName(&fault.SweepIncomplete{}) {
		return WouldFail(plan)
	}
	if err := r.gather(ctx, plan); err != nil {
		return err
	}
	for i, k := range r.result.Keys {
		if other, kept := r.keepers.Of(quilt.APIKey{ID: k.KeyID, Fingerprint: k.Fingerprint}); kept {
			r.result.Keys[i].Fate, r.result.Keys[i].KeptBy = FateLeft, other
		}
	}
	return nil
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
			}
		}
		key.Current = key.version == holder.ID
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
	if r.watcher == nil {
		r.Tell.Tell(terminal.Warned, "the current key is dead, so keys that no version holds cannot be listed", "log in to have them found: --login")
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

func (r *retirement) question() string {
	n := 0
	for _, k := range r.result.Keys {
		if k.Fate == FateToDie {
			n++
		}
	}
	switch n {
	case 0:
		return "this switches rotation off, and revokes no key"
	case 1:
		return "this switches rotation off and revokes the key for good: whoever still uses it stops working"
	}
	return fmt.Sprintf("this switches rotation off and revokes %d keys for good: whoever still uses one stops working", n)
}

func (r *retirement) stopRotation(ctx context.Context) error {
	if !r.secret.Rotation.Enabled {
		return nil
	}
	if _, err := r.secret.RotateFunction(ctx); err != nil && ctx.Err() != nil { // it is asked for later, when the secret may not name it any more
		return err
	}
	if err := finish(ctx, func(ctx context.Context) error { return r.Cloud.CancelRotation(ctx, r.secret.ARN) }); err != nil {
		return err
	}
	r.Tell.Tell(terminal.Done, "rotation is switched off", "")
	return r.secret.Look(ctx)
}

func (r *retirement) unstick(ctx context.Context) error {
	if _, stuck := waiting(r.secret); !stuck {
		return nil
	}
	desk := *r.Desk
	desk.Confirm = func(context.Context, string, string) error { return nil } // it was given
	unstuck, err := desk.Unstick(ctx, r.secret, UnstickOptions{Registry: r.options.Registry, Now: r.options.Force})
	if err == nil && unstuck.Finished { // there is another current key now, which was not asked about
		return hint.With(errors.New("a rotation has just ended by itself, so the secret has another current key"), "run this again: quilt-rotate retire "+r.secret.Name)
	}
	return err
}

// remaining is how long nobody must use the current key any more.
func (u use) remaining(quiet time.Duration) time.Duration {
	if u.last == nil {
		return 0
	}
	return max(0, quiet-u.now.Sub(*u.last))
}

// refuseUsed refuses where somebody has used the current key within the quiet period, and shall neither be waited for nor ignored. Sweeps use it too, so
// they are paused for the next try.
func (r *retirement) refuseUsed(ctx context.Context, u use) error {
	if r.options.Force || !u.seen || !u.listed || !u.recorded {
		return nil
	}
	policy, err := r.secret.ForRevocation(ctx)
	if err != nil {
		return err
	}
	remaining := u.remaining(policy.Quiet)
	r.quiet = remaining == 0
	if r.quiet || r.options.Wait {
		return nil
	}
	until, err := r.pauseSweeps(ctx, remaining)
	if err != nil {
		return err
	}
	return hint.With(fmt.Errorf("the current key was used %s, and is revoked when nobody has used it for %s", terminal.Ago(u.now.Sub(*u.last)), terminal.About(policy.Quiet)),
		fmt.Sprintf("nothing was done, but sweeps, which use it too, are paused until %s; run this again in %s, with --wait to wait here, or with --force if the service is gone for sure",
			wording.Clock(until), terminal.About(remaining)))
}

// refuseUnseen refuses where nobody can see whether the current key is used.
func (r *retirement) refuseUnseen(u use) error {
	again := "quilt-rotate retire " + r.secret.Name
	switch {
	case r.options.Force || r.current.IsZero():
		return nil
	case !u.seen:
		return hint.With(errors.New("whether the current key is still used cannot be seen: each look with the key itself is a use"),
			fmt.Sprintf("log in as its user: %[1]s --login (or --user NAME); if the service is gone for sure: %[1]s --force", again))
	case !u.listed:
		return hint.With(errors.New("whether the current key is still used cannot be seen: the login is another user's than the key"),
			fmt.Sprintf("log in as the key's user; if the service is gone for sure: %s --force", again))
	case !u.recorded:
		return hint.With(errors.New("the registry does not record when keys are used, so whether the current one still is cannot be seen"), "if the service is gone for sure: "+again+" --force")
	}
	return nil
}

// awaitQuiet waits until nobody has used the current key for the quiet period. Meanwhile sweeps are paused, which use it too; so did this command's own look.
func (r *retirement) awaitQuiet(ctx context.Context) error {
	if r.options.Force || r.quiet || r.current.IsZero() {
		return nil
	}
	policy, err := r.secret.ForRevocation(ctx)
	if err != nil {
		return err
	}
	for wait := r.poll(); ; wait = min(2*wait, retirePoll) {
		u, err := r.lastUse(ctx)
		if err != nil {
			return err
		}
		remaining := u.remaining(policy.Quiet)
		if remaining == 0 {
			r.Tell.Tell(terminal.Done, "nobody has used the current key for "+terminal.About(policy.Quiet), "")
			return nil
		}
		if _, err := r.pauseSweeps(ctx, remaining); err != nil {
			return err
		}
		r.Tell.Doing(fmt.Sprintf("waiting until nobody has used the current key for %s: %s to go", terminal.About(policy.Quiet), terminal.About(remaining)))
		if err := sleepFor(ctx, wait); err != nil {
			return err
		}
	}
}

// pauseSweeps pauses the sweeps for as long as is needed, where they are not; what comes after has an hour for it.
func (r *retirement) pauseSweeps(ctx context.Context, needed time.Duration) (time.Time, error) {
	if err := r.secret.Look(ctx); err != nil {
		return time.Time{}, err
	}
	if until := pausedUntil(r.secret); until != nil && until.After(r.secret.Now.Add(needed)) {
		return *until, nil
	}
	paused, err := r.Pause(ctx, r.secret, min(max(needed+time.Hour, MinPause), MaxPause), "retire")
	if err != nil {
		return time.Time{}, err
	}
	return *paused.Until, nil
}

func sleepFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sweep has the function revoke the superseded keys and orphans, by its own rules. Where another secret needs one of them, it is not asked: it knows
// nothing of other secrets.
func (r *retirement) sweep(ctx context.Context) error {
	if r.current.IsZero() || slices.ContainsFunc(r.result.Keys, func(k RetiredKey) bool { return k.KeptBy != "" && !k.Current }) {
		return nil
	}
	r.Tell.Doing("the function sweeps")
	result, err := r.secret.Sweep(ctx, care.Forced)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, a := range result.Actions {
		if a.Done {
			l := wording.Happened(a, time.Now())
			r.Tell.Tell(l.Mark, l.Text, l.Beside)
		}
	}
	if err != nil { // what it left is revoked below, one by one
		r.Tell.Tell(terminal.Noted, "the sweep left some to be revoked one by one", "")
	}
	return nil
}

// revokeOthers revokes what is left to die, but the current key.
func (r *retirement) revokeOthers(ctx context.Context) error {
	for i := range r.result.Keys {
		k := &r.result.Keys[i]
		if k.Fate != FateToDie || k.Current {
			continue
		}
		dead, err := r.isDead(ctx, k)
		if err != nil {
			return err
		}
		if !dead {
			r.Tell.Doing("revoking " + k.Fingerprint)
			if err := r.revoke(ctx, k); err != nil {
				return err
			}
			r.Tell.Tell(terminal.Done, "revoked "+k.Fingerprint, "")
		}
		k.Fate = FateRevoked
	}
	return nil
}

// key is the key that a version holds; zero for an orphan.
func (r *retirement) key(ctx context.Context, k *RetiredKey) (apikey.Key, error) {
	if k.version == "" {
		return apikey.Key{}, nil
	}
	value, err := r.secret.Value(ctx, k.version)
	return value.Key(), err
}

// sessions are those that may ask for and revoke the key, in the order in which they are tried. A key may revoke itself.
func (r *retirement) sessions(key apikey.Key) []*quilt.Session {
	var list []*quilt.Session
	if !r.current.IsZero() && !r.current.Equal(key) {
		list = append(list, r.options.Registry.WithKey(r.current))
	}
	if r.watcher != nil {
		list = append(list, r.watcher)
	}
	if !key.IsZero() {
		list = append(list, r.options.Registry.WithKey(key))
	}
	return list
}

// isDead tells whether a key is gone: by a login with it, else, for an orphan, by its id.
func (r *retirement) isDead(ctx context.Context, k *RetiredKey) (bool, error) {
	key, err := r.key(ctx, k)
	if err != nil {
		return false, err
	}
	if !key.IsZero() {
		state, _, err := tryKey(ctx, r.options.Registry, key)
		if err == nil && state == KeyUnknown {
			err = hint.With(fmt.Errorf("whether the key %s is dead is not known: the registry gave no answer", k.Fingerprint), "run this again when it does")
		}
		return state == KeyRefused, err
	}
	for _, session := range r.sessions(key) {
		l, askErr := session.Login(ctx, k.KeyID)
		if askErr == nil {
			return l.Key == nil, nil
		}
		err = askErr
	}
	return false, err
}

// revoke revokes a key, and sees that it is dead. Right before, it looks whether another secret needs it: somebody may have copied it meanwhile.
func (r *retirement) revoke(ctx context.Context, k *RetiredKey) error {
	keepers, err := care.FindKeepers(ctx, r.Cloud, r.secret.ARN)
	if err != nil {
		return err
	}
	key, err := r.key(ctx, k)
	if err != nil {
		return err
	}
	other, kept := keepers.Of(quilt.APIKey{ID: k.KeyID, Fingerprint: k.Fingerprint})
	if !kept && !key.IsZero() {
		other, kept = keepers.OfKey(key)
	}
	if kept {
		k.Fate, k.KeptBy = FateLeft, other
		return hint.With(fmt.Errorf("the secret %s holds the key %s now", other, k.Fingerprint), "rotate that one first, then run this again")
	}
	return finish(ctx, func(ctx context.Context) error {
		failed := r.revokeBy(ctx, k, key)
		return r.seeDead(ctx, k, failed)
	})
}

func (r *retirement) revokeBy(ctx context.Context, k *RetiredKey, key apikey.Key) (failed error) {
	for _, session := range r.sessions(key) {
		if !key.IsZero() { // byte for byte that one, whatever labels say
			failed = session.RevokeKeyBySecret(ctx, key)
		} else {
			failed = session.RevokeKey(ctx, k.KeyID)
		}
		if failed == nil {
			return nil
		}
	}
	return failed
}

// refusalWait allows for a registry that keeps a revoked key alive for a moment.
const refusalWait = 10 * time.Second

func (r *retirement) seeDead(ctx context.Context, k *RetiredKey, failed error) error {
	for began := time.Now(); ; {
		dead, err := r.isDead(ctx, k)
		switch {
		case err == nil && dead:
			return nil
		case failed != nil:
			return fmt.Errorf("the key %s was not revoked: %w", k.Fingerprint, failed)
		case err != nil:
			return err
		case time.Since(began) > refusalWait:
			return hint.With(fmt.Errorf("the key %s still logs in after its revocation", k.Fingerprint), "run this again; if it goes on, have an administrator of the registry revoke it, by its id "+k.KeyID)
		}
		if err := r.sleep(ctx); err != nil {
			return err
		}
	}
}

func (r *retirement) revokeCurrent(ctx context.Context) error {
	for i := range r.result.Keys {
		k := &r.result.Keys[i]
		if !k.Current || k.Fate != FateToDie {
			continue
		}
		r.Tell.Doing("revoking the current key")
		if err := r.stillCurrent(ctx, k); err != nil {
			return err
		}
		if err := r.revoke(ctx, k); err != nil {
			return err
		}
		k.Fate, r.current = FateRevoked, apikey.Key{}
		r.Tell.Tell(terminal.Done, "revoked the current key "+k.Fingerprint, "it is refused")
	}
	return nil
}

// stillCurrent refuses where somebody gave the secret another value meanwhile: so it is used.
func (r *retirement) stillCurrent(ctx context.Context, k *RetiredKey) error {
	if err := r.secret.Look(ctx); err != nil {
		return err
	}
	if holder, ok := r.secret.Holder(vault.Current); !ok || holder.ID != k.version {
		return hint.With(fmt.Errorf("AWSCURRENT of %s has moved meanwhile: somebody uses the secret", r.secret.Name), "see who, then run this again: quilt-rotate retire "+r.secret.Name)
	}
	return nil
}

// takeLabelsOff takes the labels off versions whose keys are dead, or another secret's: marks first.
func (r *retirement) takeLabelsOff(ctx context.Context) error {
	if err := r.secret.Look(ctx); err != nil {
		return err
	}
	off := map[string]bool{}
	for _, k := range r.result.Keys {
		off[k.KeyID] = k.Fate == FateRevoked || k.Fate == FateGone || k.KeptBy != ""
	}
	taken := 0
	for _, v := range r.secret.Sorted() {
		var labels []string
		for _, m := range v.Marks {
			labels = append(labels, m.Label())
		}
		for _, id := range v.Keys {
			if !off[id] {
				labels = nil
				break
			}
			labels = append(labels, vault.KeyLabel(id))
		}
		for _, label := range labels {
			if err := r.takeOff(ctx, label, v.ID); err != nil {
				return err
			}
			taken++
		}
	}
	if taken > 0 {
		r.Tell.Tell(terminal.Done, fmt.Sprintf("labels were taken off: %d", taken), "")
	}
	return r.secret.Look(ctx)
}

func (r *retirement) takeOff(ctx context.Context, label, versionID string) error {
	return finish(ctx, func(ctx context.Context) error {
		failed := r.Cloud.Vault.Detach(ctx, r.secret.ARN, label, versionID)
		if failed == nil {
			return nil
		}
		if now, err := r.Cloud.Vault.Describe(ctx, r.secret.ARN); err == nil && !now.Versions[versionID].Has(label) {
			return nil
		}
		return failed
	})
}

// takeTagsOff ends the care for the secret, where nothing of ours is left alive.
func (r *retirement) takeTagsOff(ctx context.Context) error {
	for _, k := range r.result.Keys {
		if k.Fate == FateToDie || k.Fate == FateLeft && k.KeptBy == "" {
			return hint.With(fmt.Errorf("the key %s is left: it is not provably this secret's own, so its label and the tags stay", k.Fingerprint),
				"see whose it is, revoke it if nobody needs it, then run this again: quilt-rotate keys get "+k.KeyID)
		}
	}
	if names := ourTags(r.secret); len(names) > 0 {
		if err := finish(ctx, func(ctx context.Context) error { return r.Cloud.Untag(ctx, r.secret.ARN, names...) }); err != nil {
			return err
		}
		r.Tell.Tell(terminal.Done, fmt.Sprintf("tags were taken off: %d", len(names)), "")
	}
	r.result.Complete = true
	return r.secret.Look(ctx)
}
