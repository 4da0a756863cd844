package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
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
		var session issuer.Session
		session, err = issuer.LogIn(ctx, r.options.Registry, name, value, r.secret.Secret)
		r.watcher = session.Session
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.Tell.Tell(terminal.Warned, "the issuer cannot be asked", awsclient.Explain(err).Error())
	}
	return nil
}

// use is what is known of the use of the secret's keys.
type use struct {
	listed   map[string]bool // the secret's keys in the registry's list, by their ids
	recorded bool            // the registry records when keys are used
	last     *time.Time      // when one of them may have been used last, except those that another secret needs; nil: never
	key      string          // fingerprint of that one
	now      time.Time       // the registry's clock
}

// lastUse looks when the secret's keys were used last, without using one.
func (r *retirement) lastUse(ctx context.Context) (use, error) {
	if r.watcher == nil {
		return use{}, nil
	}
	r.Tell.Doing("looking when the secret's keys were used")
	account, err := r.watcher.Account(ctx)
	if err != nil {
		return use{}, err
	}
	u := use{now: account.RegistryTime, listed: map[string]bool{}}
	ours := r.ownKeys(ctx)
	for _, k := range account.Keys {
		u.recorded = u.recorded || k.LastUsedAt != nil
		if !ours(k) {
			continue
		}
		u.listed[k.ID] = true
		if _, kept := r.keepers.Of(k); !kept && k.LastUsedAt != nil && (u.last == nil || k.LatestUse().After(*u.last)) {
			u.last, u.key = k.LatestUse(), k.Fingerprint
		}
	}
	r.knowStranger(account.Email, len(u.listed) > 0)
	return u, nil
}

// ownKeys tells whether a key in the registry's list is one of the secret's: by its label, by its name, or as the current one.
func (r *retirement) ownKeys(ctx context.Context) func(quilt.APIKey) bool {
	labelled := map[string]bool{}
	for _, v := range r.secret.Versions {
		for _, id := range v.Keys {
			labelled[id] = true
		}
	}
	key := apikey.Key{}
	if current, ok := r.secret.Holder(vault.Current); ok {
		if value, err := r.secret.Value(ctx, current.ID); err == nil {
			key = value.Key()
		}
	}
	return func(k quilt.APIKey) bool {
		mark, marked := apikey.MarkOf(k.Name)
		return labelled[k.ID] || marked && mark == apikey.SecretMark(r.secret.ARN) || !key.IsZero() && key.Fits(k.Fingerprint)
	}
}

// knowStranger sees to it that a login of another user than the keys' proves nothing: the registry knows none of their keys by it, alive or not.
func (r *retirement) knowStranger(email string, listsOurs bool) {
	owner := r.secret.Tags[settings.TagOwner]
	if quilt.SameUser(owner, email) || owner == "" && listsOurs || r.nothingLeft() {
		return
	}
	r.watcher, r.stranger = nil, email
	r.Tell.Tell(terminal.Warned, "the login is not used: it is "+email+", and not the keys' user as far as is known", "")
}

// remaining is how long nobody must use the keys any more.
func (u use) remaining(quiet time.Duration) time.Duration {
	if u.last == nil {
		return 0
	}
	return max(0, quiet-u.now.Sub(*u.last))
}

// refuseUsed refuses where somebody has used one of the keys within the quiet period, and shall neither be waited for nor ignored.
func (r *retirement) refuseUsed(ctx context.Context, u use) error {
	if r.options.Force || len(u.listed) == 0 || !u.recorded {
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
	pause := ""
	if until := managed.PausedUntil(r.secret.Secret); until == nil || until.Before(r.secret.Now.Add(remaining)) {
		hours := min(remaining+2*time.Hour, MaxPause).Truncate(time.Hour) / time.Hour
		pause = fmt.Sprintf("sweeps use the current key: pause them with quilt-rotate pause %s --for %dh --reason retire; ", r.secret.Name, hours)
	}
	return hint.With(fmt.Errorf("the key %s was used %s, and is revoked when nobody has used it for %s", u.key, terminal.Ago(max(0, u.now.Sub(*u.last))), terminal.About(policy.Quiet)),
		fmt.Sprintf("nothing was done; %srun this again in %s, with --wait to wait here, or with --force if the service is gone for sure", pause, terminal.About(remaining)))
}

// refuseUnseen refuses where nobody can see whether the keys that are to die are used.
func (r *retirement) refuseUnseen(u use) error {
	again := "quilt-rotate retire " + r.secret.Name
	unlisted, doomed := false, false
	for _, k := range r.result.Keys {
		if k.Fate == FateToDie {
			doomed, unlisted = true, unlisted || !u.listed[k.KeyID]
		}
	}
	switch {
	case r.options.Force || !doomed:
		return nil
	case r.watcher == nil && r.stranger == "":
		return hint.With(errors.New("whether the keys are still used cannot be seen: each look with the current key is a use"),
			fmt.Sprintf("log in as its user: %[1]s --login (or --user NAME); if the service is gone for sure: %[1]s --force", again))
	case unlisted:
		return hint.With(errors.New("whether the keys are still used cannot be seen: the login is another user's than one of the keys"),
			fmt.Sprintf("log in as the keys' user; if the service is gone for sure: %s --force", again))
	case !u.recorded:
		return hint.With(errors.New("the registry does not record when keys are used, so whether one still is cannot be seen"), "if the service is gone for sure: "+again+" --force")
	}
	return nil
}

// awaitQuiet waits until nobody has used the keys for the quiet period. Meanwhile sweeps are paused, which use the current one too; so did this command's own look.
func (r *retirement) awaitQuiet(ctx context.Context) error {
	if r.options.Force || r.quiet || !slices.ContainsFunc(r.result.Keys, func(k RetiredKey) bool { return k.Fate == FateToDie }) {
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
		if err := r.refuseUnseen(u); err != nil { // a list that lacks a key tells nothing of its use
			return err
		}
		remaining := u.remaining(policy.Quiet)
		if remaining == 0 {
			r.Tell.Tell(terminal.Done, "nobody has used the keys for "+terminal.About(policy.Quiet), "")
			return nil
		}
		if err := r.pauseSweeps(ctx, remaining); err != nil {
			return err
		}
		if err := r.gate.unmoved(ctx); err != nil {
			return err
		}
		r.Tell.Doing(fmt.Sprintf("waiting until nobody has used the keys for %s: %s to go", terminal.About(policy.Quiet), terminal.About(remaining)))
		if err := sleepFor(ctx, wait); err != nil {
			return err
		}
	}
}

// pauseSweeps pauses the sweeps for as long as is needed, where they are not; what comes after has an hour for it.
func (r *retirement) pauseSweeps(ctx context.Context, needed time.Duration) error {
	if err := r.secret.Look(ctx); err != nil {
		return err
	}
	if until := managed.PausedUntil(r.secret.Secret); until != nil && until.After(r.secret.Now.Add(needed)) {
		return nil
	}
	paused, err := r.Pause(ctx, r.secret, min(max(needed+time.Hour, MinPause), MaxPause), "retire")
	if err == nil {
		r.paused = paused.Until
	}
	return err
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
