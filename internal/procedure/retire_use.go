package procedure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cloud"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
	"quilt-rotate/internal/wording"
)

// retirePoll bounds how long one waits between two looks at a key's use.
const retirePoll = time.Minute

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
	r.paused = paused.Until
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
