package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Retired is what became of the keys of a secret that is no longer needed.
type Retired struct {
	Secret      string       `json:"secret"`
	ARN         string       `json:"arn"`
	RotationOff bool         `json:"rotationOff"`
	Keys        []RetiredKey `json:"keys"`
	Complete    bool         `json:"complete"` // no key of the secret is valid, and labels and tags are removed
}

// RetireOptions are how a secret is retired.
type RetireOptions struct {
	Registry *quilt.Client
	LogIn    Login // if neither the current key nor the issuing credential logs in
	Anyway   bool  // although it is not known whether other secrets hold the keys
}

// Retire turns rotation of a secret off, revokes its keys, and removes labels and tags. The secret itself stays.
//
// It revokes the keys that were confirmed, and stops if the secret changes meanwhile. The order: rotation goes off first, so that no key is created meanwhile.
// The current key is revoked last, because it may be what lists and revokes the others. A version's labels are removed when it is proved that its key no longer
// works, marks first; tags last of all, so that an interrupted run still leaves a managed secret. After a crash, the same command continues: it looks
// at each key first. If the current key is revoked by then, the issuing credential or a person must log in. Twice at once: the second one
// finds the keys revoked, or stops because the labels have changed.
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

	session *quilt.Session // that lists and revokes the keys
	account quilt.Account  // its user
	owner   string         // whose the secret's keys are; "": not known
	others  *managed.Holders
	shape   string // of the labels that were shown
}

func (r *retirement) run(ctx context.Context) error {
	const untouched = "nothing was done"
	if nothingOfOurs(r.secret) {
		r.result.Complete = true
		return nil
	}
	r.shape = shapeOf(r.secret)
	for _, look := range []func(context.Context) error{r.refuseUnclear, r.logIn, r.readOthers, r.gather} {
		if err := look(ctx); err != nil {
			return left(err, untouched)
		}
	}
	r.show()
	if err := r.Confirm(ctx, r.question(), r.secret.Name); err != nil {
		return left(err, untouched)
	}
	for _, look := range []func(context.Context) error{r.unchanged, r.readOthers, r.stillUnheld} { // a question may wait for hours
		if err := look(ctx); err != nil {
			return left(err, untouched)
		}
	}
	for _, step := range []func(context.Context) error{r.stopRotation, r.revokeOthers, r.refuseNewKeys, r.revokeCurrent, r.removeLabels, r.removeTags} {
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

// partly adds to an error in which state the secret is, and how to continue.
func (r *retirement) partly(err error) error {
	err = awsclient.Explain(err)
	return terminal.WithHint(err, strings.TrimPrefix(terminal.Hint(err)+"\nthe secret is partly retired; to continue: quilt-rotate retire "+r.secret.Name, "\n"))
}

// nothingOfOurs reports whether the secret has no rotation, label or tag of ours.
func nothingOfOurs(s *managed.Secret) bool {
	for _, v := range s.Versions {
		if len(ourLabels(v)) > 0 {
			return false
		}
	}
	return !s.Rotation.Enabled && len(ourTags(s)) == 0
}

// ourLabels are the version's labels that quilt-rotate wrote, key labels last.
func ourLabels(v vault.Version) []string {
	var keys, rest []string
	for _, label := range v.Stages {
		switch {
		case slices.ContainsFunc(v.Keys, func(id string) bool { return label == vault.KeyLabel(id) }):
			keys = append(keys, label)
		case strings.HasPrefix(label, "quilt-"):
			rest = append(rest, label)
		}
	}
	return append(rest, keys...)
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

// shapeOf is what must not change while a secret is retired: which version is current or pending, and which keys the versions hold.
func shapeOf(s *managed.Secret) string {
	var parts []string
	for _, v := range s.Sorted() {
		if v.Has(vault.Current) || v.Has(vault.Pending) || len(v.Keys) > 0 {
			parts = append(parts, fmt.Sprint(v.ID, v.Has(vault.Current), v.Has(vault.Pending), slices.Sorted(slices.Values(v.Keys))))
		}
	}
	return strings.Join(parts, " ")
}

// unchanged reads the labels again, and stops if they have changed since they were shown.
func (r *retirement) unchanged(ctx context.Context) error {
	if err := r.secret.Look(ctx); err != nil {
		return err
	}
	if shapeOf(r.secret) != r.shape {
		return terminal.WithHint(fmt.Errorf("the secret %s changed after its keys were shown: somebody uses it", r.secret.Name), "see its versions: quilt-rotate status "+r.secret.Name)
	}
	return nil
}

// refuseUnclear refuses a secret whose keys are not all known: while a rotation is under way, or with labels of a newer release.
func (r *retirement) refuseUnclear(context.Context) error {
	for _, v := range r.secret.Sorted() {
		if len(v.Unknown) > 0 {
			return terminal.WithHint(fmt.Errorf("a newer release wrote labels that this one does not know: %s", strings.Join(v.Unknown, ", ")), "use the newest release")
		}
	}
	if _, underWay := waiting(r.secret); underWay {
		return terminal.WithHint(fmt.Errorf("a rotation of %s is under way, or stuck", r.secret.Name), "wait until it has ended, or end it: quilt-rotate unstick "+r.secret.Name)
	}
	return nil
}

// logIn finds a login that lists the keys: of the current key, else of the issuing credential, else of a person.
func (r *retirement) logIn(ctx context.Context) error {
	r.Tell.Doing("logging in")
	r.owner = r.secret.Tags[settings.TagOwner]
	e := &emergency{Operator: r.Operator, secret: r.secret, options: EmergencyOptions{Registry: r.options.Registry}}
	for _, by := range []func(context.Context) (*quilt.Session, error){e.asCurrent, e.asIssuer} {
		session, err := by(ctx)
		if err == nil {
			r.account, err = session.Account(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			r.session = session
			break
		}
	}
	if r.session == nil {
		if !r.secret.NamesRegistry() {
			if err := LogsInThere(ctx, r.secret, r.options.Registry); err != nil {
				return err
			}
		}
		r.Tell.Tell(terminal.Noted, "the current key cannot list the keys, so somebody must log in as their user", "")
		session, _, err := r.options.LogIn(ctx, r.options.Registry)
		if err != nil {
			return err
		}
		if r.account, err = session.Account(ctx); err != nil {
			return err
		}
		r.session = session
	}
	if r.owner != "" && !quilt.SameUser(r.owner, r.account.Email) {
		return terminal.WithHint(fmt.Errorf("the keys of %s belong to %s, and the login is %s", r.secret.Name, r.owner, r.account.Email), "log in as "+r.owner+", or correct the tag "+settings.TagOwner)
	}
	return nil
}

// readOthers reads the other managed secrets: their consumers may use the same keys.
func (r *retirement) readOthers(ctx context.Context) error {
	r.Tell.Doing("reading the other managed secrets")
	all, err := r.startScan(ctx).result(ctx)
	if err == nil {
		r.others = all.Without(r.secret.ARN)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.options.Anyway:
		return nil
	case err != nil:
		return terminal.WithHint(fmt.Errorf("it is not known whether other secrets hold the keys: %w", awsclient.Explain(err)), "use credentials that may read all managed secrets, or add --anyway")
	case len(r.others.Unread) > 0:
		u := r.others.Unread[0]
		return terminal.WithHint(fmt.Errorf("the secret %s cannot be read, and may hold one of the keys: %w", u.Secret, awsclient.Explain(u.Err)), "use credentials that may read all managed secrets, or add --anyway")
	}
	return nil
}

// heldBy names another secret that holds the key; "" if none does.
func (r *retirement) heldBy(k *RetiredKey) string {
	if r.others == nil { // --anyway
		return ""
	}
	if !k.key.IsZero() {
		if found := r.others.OfKey(k.key); len(found) > 0 {
			return found[0].Secret
		}
	}
	return r.others.Secret(quilt.APIKey{ID: k.KeyID, Fingerprint: k.Fingerprint})
}

// stillUnheld stops if another secret has received one of the keys since they were shown.
func (r *retirement) stillUnheld(context.Context) error {
	for i := range r.result.Keys {
		if k := &r.result.Keys[i]; k.Fate == FateToRevoke {
			if name := r.heldBy(k); name != "" {
				return terminal.WithHint(fmt.Errorf("the secret %s holds the key %s now", name, k.Fingerprint), "run this again, to see what would happen: quilt-rotate retire "+r.secret.Name)
			}
		}
	}
	return nil
}

func (r *retirement) question() string {
	var fingerprints []string
	for _, k := range r.result.Keys {
		if k.Fate == FateToRevoke {
			fingerprints = append(fingerprints, k.Fingerprint)
		}
	}
	if len(fingerprints) == 0 {
		return "this turns rotation off and removes labels and tags; it revokes no key"
	}
	return fmt.Sprintf("this turns rotation off and permanently revokes %s: whoever still uses one of these keys stops working", strings.Join(fingerprints, ", "))
}

func (r *retirement) stopRotation(ctx context.Context) error {
	if r.secret.Rotation.Enabled {
		if err := finish(ctx, func(ctx context.Context) error { return r.Cloud.CancelRotation(ctx, r.secret.ARN) }); err != nil {
			return err
		}
		r.Tell.Tell(terminal.Done, "rotation is off", "")
	}
	return r.unchanged(ctx)
}

// removeLabels removes the labels of versions whose keys no longer work, or are another secret's.
func (r *retirement) removeLabels(ctx context.Context) error {
	if err := r.secret.Look(ctx); err != nil {
		return err
	}
	settled := map[string]bool{}
	for _, k := range r.result.Keys {
		for _, version := range k.versions {
			before, seen := settled[version]
			settled[version] = (before || !seen) && (k.Fate == FateRevoked || k.Fate == FateInvalid || k.HeldBy != "")
		}
	}
	removed := 0
	for _, v := range r.secret.Sorted() {
		if done, seen := settled[v.ID]; seen && !done {
			continue
		}
		if err := r.detach(ctx, r.secret, v.ID, ourLabels(v)...); err != nil {
			return err
		}
		removed += len(ourLabels(v))
	}
	if removed > 0 {
		r.Tell.Tell(terminal.Done, fmt.Sprintf("removed labels: %d", removed), "")
	}
	return r.secret.Look(ctx)
}

// detach removes labels from a version, in their order.
func (d *Operator) detach(ctx context.Context, s *managed.Secret, version string, labels ...string) error {
	for _, label := range labels {
		if err := finish(ctx, func(ctx context.Context) error { return d.Cloud.Vault.Detach(ctx, s.ARN, label, version) }); err != nil {
			return err
		}
	}
	return nil
}

// removeTags ends the management of the secret, unless a key of it may still work.
func (r *retirement) removeTags(ctx context.Context) error {
	for _, k := range r.result.Keys {
		if k.Fate == FateLeft && k.HeldBy == "" {
			return terminal.WithHint(fmt.Errorf("the key %s is left, because %s: its labels and the secret's tags stay", k.Fingerprint, k.Why),
				"see the key, and revoke it if nobody needs it: quilt-rotate keys get --admin "+k.KeyID)
		}
	}
	if names := ourTags(r.secret); len(names) > 0 {
		if err := finish(ctx, func(ctx context.Context) error { return r.Cloud.Untag(ctx, r.secret.ARN, names...) }); err != nil {
			return err
		}
		r.Tell.Tell(terminal.Done, fmt.Sprintf("removed tags: %d", len(names)), "")
	}
	r.result.Complete = true
	return r.secret.Look(ctx)
}

// marked reports whether the name of a key says that it was created for the secret.
func (r *retirement) marked(k quilt.APIKey) bool {
	mark, ours := apikey.MarkOf(k.Name)
	return ours && mark == apikey.SecretMark(r.secret.ARN)
}

// errNotRevoked says that it is not proved that a key no longer works.
var errNotRevoked = errors.New("it may still work")
