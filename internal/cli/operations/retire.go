package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/wording"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Retired tells what became of the keys of a secret whose service is gone.
type Retired struct {
	Secret      string       `json:"secret"`
	ARN         string       `json:"arn"`
	RotationOff bool         `json:"rotationOff"`
	Keys        []RetiredKey `json:"keys"`
	Complete    bool         `json:"complete"` // every key of ours is dead, and labels and tags are off
}

// RetireOptions say how a secret is given up.
type RetireOptions struct {
	Registry *quilt.Client
	Person   *quilt.Session // somebody's own login of the keys' user: to see what is used without using it; nil: none
	Force    bool           // a key that may still be used is not waited for
	Wait     bool           // it is waited for here
}

// Retire gives a secret up: its rotation is switched off, every key that was made for it is revoked, and labels and tags come off. The secret itself stays.
//
// The order: rotation goes off first, so that no key is made meanwhile. The current key dies last, since it is what lists and revokes the others. Labels come off
// when their keys were seen to be dead, marks first; tags last of all, so that a secret that is not through is still found. A crash anywhere leaves a secret
// that is retired in part, and the same command goes on: each step looks first whether it is done. A crash right after the current key has died leaves nobody who
// lists keys: then each version's own key is asked to revoke itself, and labels and tags stay until a login of the keys' user has found the rest. Twice at once:
// whoever comes second finds it done.
//
// Whether the current key is still used cannot be seen with that key: each look is a use, and so is each sweep. So the look is a person's, or the issuer's,
// and sweeps are paused while it is waited for. Every key that is to die must be quiet, not the current one alone.
func (d *Operator) Retire(ctx context.Context, s *managed.Secret, o RetireOptions) (Retired, error) {
	r := &retirement{Operator: d, secret: s, options: o, result: Retired{Secret: s.Name, ARN: s.ARN, Keys: []RetiredKey{}}}
	err := r.run(ctx)
	r.result.RotationOff = !s.Rotation.Enabled
	return r.result, err
}

type retirement struct {
	*Operator
	secret  *managed.Secret
	options RetireOptions
	result  Retired

	watcher  *quilt.Session // who may look without using the current key; nil: nobody
	stranger string         // whose login it was that may not look, since the keys are another user's
	quiet    bool           // nobody had used one of the keys for the quiet period, before this command did
	unlisted bool           // nobody could list keys that no version holds
	current  apikey.Key     // zero: it does not log in any more
	keepers  managed.Keepers
	gate     gate
	paused   *time.Time // until when this command paused the sweeps; nil: it did not
}

func (r *retirement) run(ctx context.Context) error {
	if r.nothingLeft() && r.options.Person == nil {
		r.result.Complete = true
		return nil
	}
	r.secret.LookFromHere(r.options.Registry)
	const untouched = "nothing was done"
	r.gate = r.newGate(r.secret)
	var err error
	if r.keepers, err = r.findKeepers(ctx, r.secret); err != nil {
		return left(err, untouched)
	}
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
	if r.nothingLeft() && len(r.result.Keys) == 0 {
		r.result.Complete = true
		return nil
	}
	if err := r.Confirm(ctx, r.question(), r.secret.Name); err != nil {
		return left(err, untouched)
	}
	if err := r.gate.unmoved(ctx); err != nil { // a question may wait for hours
		return left(err, untouched)
	}
	for _, step := range []func(context.Context) error{
		r.stopRotation, r.unstick, r.awaitQuiet, r.revokeOthers, r.refuseNew, r.revokeCurrent, r.refuseUnlisted, r.takeLabelsOff, r.takeTagsOff,
	} {
		err := ctx.Err()
		if err == nil {
			err = step(ctx)
		}
		if err != nil {
			return r.partly(err)
		}
	}
	return nil
}

// partly adds to an error in which state the secret is, and how to go on, where it does not say that itself.
func (r *retirement) partly(err error) error {
	again := "quilt-rotate retire " + r.secret.Name
	state := "the secret is retired in part, and nothing is lost"
	if r.paused != nil {
		state += "; its sweeps are paused until " + wording.Clock(*r.paused)
	}
	err = awsclient.Explain(err)
	next := hint.Of(err)
	switch {
	case next == "" || errors.Is(err, context.Canceled):
		return hint.With(err, state+"; go on with: "+again)
	case strings.Contains(next, again) || strings.Contains(next, "run this again"):
		return hint.With(err, next+"; "+state)
	}
	return hint.With(err, next+"; "+state+"; go on with: "+again)
}

// nothingLeft tells whether the secret has nothing of ours any more.
func (r *retirement) nothingLeft() bool {
	for _, v := range r.secret.Versions {
		if len(v.Keys)+len(v.Marks)+len(v.Pauses)+len(v.Unknown) > 0 {
			return false
		}
	}
	return !r.secret.Rotation.Enabled && len(ourTags(r.secret)) == 0
}

func ourTags(s *managed.Secret) []string {
	var names []string
	for name := range s.Tags {
		if strings.HasPrefix(name, settings.TagPrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
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
	operator := *r.Operator
	operator.Confirm = func(context.Context, string, string) error { return nil } // it was given
	unstuck, err := operator.Unstick(ctx, r.secret, UnstickOptions{Registry: r.options.Registry, Now: r.options.Force})
	if err == nil && unstuck.Finished { // there is another current key now, which was not asked about
		return hint.With(errors.New("a rotation has just ended by itself, so the secret has another current key"), "run this again: quilt-rotate retire "+r.secret.Name)
	}
	return err
}

// refuseUnlisted keeps labels and tags where keys that no version holds may live: without them nobody would look for those any more.
func (r *retirement) refuseUnlisted(context.Context) error {
	if !r.unlisted {
		return nil
	}
	next := fmt.Sprintf("log in as the keys' user: quilt-rotate retire %s --login", r.secret.Name)
	if r.options.Force {
		next += " --force"
	}
	if r.stranger != "" {
		next += fmt.Sprintf("; if they are %[2]s's: aws secretsmanager tag-resource --secret-id %[1]s --tags Key=%[3]s,Value=%[2]s", r.secret.Name, r.stranger, settings.TagOwner)
	}
	return hint.With(errors.New("the current key is dead, so keys that no version holds cannot be listed: labels and tags stay"), next)
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
			if err := r.takeOff(ctx, r.secret.ARN, label, v.ID); err != nil {
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

// takeOff removes a label of a version.
func (d *Operator) takeOff(ctx context.Context, secretARN, label, versionID string) error {
	return finish(ctx, func(ctx context.Context) error { return d.Cloud.Vault.Detach(ctx, secretARN, label, versionID) })
}

// takeTagsOff ends the care for the secret, where nothing of ours is left alive.
func (r *retirement) takeTagsOff(ctx context.Context) error {
	for _, k := range r.result.Keys {
		if k.Fate == FateToDie || k.Fate == FateLeft && k.KeptBy == "" {
			return hint.With(fmt.Errorf("the key %s is left: it is not provably this secret's own, so its label and the tags stay", k.Fingerprint),
				"see whose it is, revoke it if nobody needs it, then run this again: quilt-rotate keys get "+k.KeyID)
		}
	}
	for _, v := range r.secret.Sorted() {
		for _, until := range v.Pauses {
			if err := r.takeOff(ctx, r.secret.ARN, vault.PauseLabel(until), v.ID); err != nil {
				return err
			}
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
