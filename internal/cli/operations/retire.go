package operations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Retired is the result of [Operator.Retire].
type Retired struct {
	Secret      string       `json:"secret"`
	ARN         string       `json:"arn"`
	RotationOff bool         `json:"rotationOff"`
	Keys        []RetiredKey `json:"keys"`
	Complete    bool         `json:"complete"` // no key of the secret is valid, and labels and tags are removed
}

// RetiredKey is a key of the secret.
type RetiredKey struct {
	revocation.KeyInfo
	Current bool   `json:"current,omitempty"`
	Fate    Fate   `json:"fate"`
	HeldBy  string `json:"heldBy,omitempty"` // another secret that holds the key
	Why     string `json:"why,omitempty"`    // why the key is not revoked

	key apikey.Key // zero: no value contains the key
}

// Fate is what is done with a key.
type Fate string

// The fates.
const (
	FateToRevoke Fate = "to-be-revoked"
	FateRevoked  Fate = "revoked"
	FateInvalid  Fate = "invalid-already"
	FateLeft     Fate = "left"
)

// RetireOptions are the options of [Operator.Retire].
type RetireOptions struct {
	Registry *quilt.Client
	LogIn    Login // used if neither the current key nor the issuing credential logs in
	Anyway   bool  // continue if it is not known whether other secrets hold the keys
}

// Retire turns rotation of a secret off, revokes its keys, and removes labels and tags. The secret
// itself stays. Retire revokes the keys that the operator has confirmed. It stops if the secret or
// its keys change after that.
//
//   - Rotation is turned off first, so that no new key is created.
//   - The current key is revoked last, because it may be needed to list and revoke the other keys.
//   - Labels are removed after it is verified that no key works: marks first, key labels last.
//   - Tags are removed at the end, so that an interrupted run leaves a managed secret.
//
// After a crash, the same command continues, because it checks each key first. If the current key
// is revoked by then, the issuing credential or a person must log in. If two commands run at the
// same time, the second one finds the keys revoked, or stops because the labels have changed.
func (d *Operator) Retire(ctx context.Context, s *managed.Secret, o RetireOptions) (Retired, error) {
	r := &retirement{Operator: d, secret: s, options: o, result: Retired{Secret: s.Name, ARN: s.ARN,
		Keys: []RetiredKey{}}}
	err := r.run(ctx)
	r.result.RotationOff = !s.Rotation.Enabled
	return r.result, err
}

type retirement struct {
	*Operator
	secret  *managed.Secret
	options RetireOptions
	result  Retired

	session *quilt.Session // login that lists and revokes the keys
	user    string         // user of the session
	owner   string         // owner of the secret's keys; "": not known
	admin   bool           // the session belongs to an administrator who is not the owner
	all     *managed.Holders
	current string // version that was current when the keys were shown
}

func (r *retirement) run(ctx context.Context) error {
	if refused, unmanaged := r.unmanaged(ctx); unmanaged && refused == "" {
		r.result.Complete = true
		return nil
	} else if unmanaged {
		return terminal.WithHint(fmt.Errorf("the secret %s has no rotation, label or tag of quilt-rotate, so nothing "+
			"was changed; the registry refuses its key, which does not prove that the key was revoked",
			r.secret.Name), "if quilt-rotate retire has reported that the secret is retired, nothing is left to do\n"+
			"otherwise its user may be deactivated; as an administrator, see whether the key exists: quilt-rotate "+
			"keys list --admin --fingerprint "+refused+" --registry "+r.options.Registry.URL())
	}
	err := r.logIn(ctx)
	if err == nil {
		r.result.Keys, err = r.look(ctx)
		current, _ := r.secret.Holder(vault.Current)
		r.current = current.ID
	}
	if err == nil {
		r.show()
		err = r.Confirm(ctx, r.question(), r.secret.Name)
	}
	if err == nil {
		err = r.confirmed(ctx) // the answer to the question may take hours
	}
	if err != nil {
		return left(err, "nothing was changed")
	}
	for _, step := range []func(context.Context) error{r.stopRotation, r.confirmed, r.revoke, r.release} {
		err := ctx.Err()
		if err == nil {
			err = step(ctx)
		}
		if err != nil {
			err = awsclient.Explain(err)
			return terminal.WithHint(err,
				strings.TrimPrefix(terminal.Hint(err)+
					"\nthe secret is partly retired; to continue: quilt-rotate retire "+r.secret.Name, "\n"))
		}
	}
	return nil
}

// unmanaged reports whether the secret has no rotation, label or tag of ours, and the registry
// refuses all its keys. Then an earlier run revoked the keys, or their user is deactivated; the
// secret does not show which. refused is the fingerprint of one of the keys, or "" if the secret
// holds none.
func (r *retirement) unmanaged(ctx context.Context) (refused string, _ bool) {
	if r.secret.Rotation.Enabled || managed.Marked(r.secret.Tags, r.secret.Sorted()) || !r.secret.NamesRegistry() {
		return "", false
	}
	for _, v := range r.secret.Sorted() {
		value, err := r.secret.Value(ctx, v.ID)
		if isBlank(err) || errors.Is(err, vault.ErrNoValue) {
			continue
		}
		if err != nil {
			return "", false
		}
		if state, _, err := tryKey(ctx, r.options.Registry, value.Key()); err != nil || state != KeyRefused {
			return "", false
		}
		if refused == "" || v.Has(vault.Current) {
			refused = value.Key().Fingerprint()
		}
	}
	return refused, true
}

// ourLabels returns the labels of quilt-rotate on a version in reverse alphabetical order, so that
// key labels are last.
func ourLabels(v vault.Version) []string {
	ours := slices.DeleteFunc(slices.Clone(v.Stages),
		func(label string) bool { return !strings.HasPrefix(label, "quilt-") })
	slices.SortFunc(ours, func(a, b string) int { return strings.Compare(b, a) })
	return ours
}

// logIn finds a login that can list the keys: the current key, or the issuing credential, or a
// person, who is the owner of the keys or an administrator.
func (r *retirement) logIn(ctx context.Context) error {
	r.Progress.Doing("logging in")
	e := &emergency{Operator: r.Operator, secret: r.secret, options: EmergencyOptions{Registry: r.options.Registry}}
	var account quilt.Account
	var err error
	for _, by := range []func(context.Context) (*quilt.Session, error){e.asCurrent, e.asIssuer, r.asPerson} {
		if r.session, err = by(ctx); err == nil {
			account, err = r.session.Account(ctx)
		}
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return err
	}
	if r.owner = r.secret.Tags[settings.TagOwner]; r.owner == "" && slices.ContainsFunc(account.Keys, r.isOurs) {
		r.owner = account.Email
	}
	r.user, r.admin = account.Email, account.IsAdmin && !quilt.SameUser(r.owner, account.Email)
	if r.owner != "" && !r.admin && !quilt.SameUser(r.owner, r.user) {
		return terminal.WithHint(fmt.Errorf("the keys of %s belong to %s, but you logged in as %s", r.secret.Name,
			r.owner, r.user),
			"log in as "+r.owner+" or as an administrator, or correct the tag "+settings.TagOwner)
	}
	return nil
}

func (r *retirement) asPerson(ctx context.Context) (*quilt.Session, error) {
	if !r.secret.NamesRegistry() {
		if err := LogsInThere(ctx, r.secret, r.options.Registry); err != nil {
			return nil, err
		}
	}
	r.Progress.Report(terminal.Noted,
		"the current key cannot list the keys, so their user or an administrator must log in", "")
	session, _, err := r.options.LogIn(ctx, r.options.Registry)
	return session, err
}

// isOurs reports whether a key belongs to the secret: a label names it, or its name has the
// secret's mark.
func (r *retirement) isOurs(row quilt.APIKey) bool {
	labelled := slices.ContainsFunc(r.secret.Sorted(),
		func(v vault.Version) bool { return slices.Contains(v.Keys, row.ID) })
	return labelled || r.isMarked(row.Name)
}

// isMarked reports whether the name of a key says that it was created for the secret.
func (r *retirement) isMarked(name string) bool {
	mark, ours := apikey.MarkOf(name)
	return ours && mark == apikey.SecretMark(r.secret.ARN)
}

// look finds the keys of the secret and decides the fate of each. The keys are: the keys in the
// values of all versions with a label, the keys of key labels if the value cannot be used, and keys
// that no version holds but whose names have the secret's mark.
func (r *retirement) look(ctx context.Context) ([]RetiredKey, error) {
	r.Progress.Doing("checking the secret's keys")
	if err := r.secret.Look(ctx); err != nil {
		return nil, err
	}
	for _, v := range r.secret.Sorted() {
		if len(v.Unknown) > 0 {
			return nil, terminal.WithHint(
				fmt.Errorf("a newer release wrote labels that this release does not support: "+
					"%s", strings.Join(v.Unknown, ", ")), "use the newest release")
		}
	}
	if _, underWay := waiting(r.secret); underWay {
		return nil, terminal.WithHint(fmt.Errorf("a rotation of %s is under way or stuck", r.secret.Name),
			"wait until it has ended, or end it: quilt-rotate unstick "+r.secret.Name)
	}
	rows, err := r.rows(ctx)
	if err != nil {
		return nil, err
	}
	list := []RetiredKey{}
	add := func(k RetiredKey) {
		for i := range list {
			// two versions have the same key if somebody edited another field
			if same := &list[i]; k.KeyID != "" && same.KeyID == k.KeyID || !k.key.IsZero() && same.key.Equal(k.key) {
				if same.Current = same.Current || k.Current; same.key.IsZero() {
					same.key = k.key
				}
				return
			}
		}
		list = append(list, k)
	}
	for _, v := range r.secret.Sorted() {
		value, err := r.secret.Value(ctx, v.ID)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			add(RetiredKey{KeyInfo: keyInfo(rows, v, value.Key()), Current: v.Has(vault.Current), key: value.Key()})
			continue
		}
		if len(v.Keys) == 0 && !isBlank(err) && !errors.Is(err, vault.ErrNoValue) && !r.options.Anyway {
			return nil, terminal.WithHint(fmt.Errorf("it is not known which key the version %s of %s holds: %w", v.ID,
				r.secret.Name, awsclient.Explain(err)),
				"correct the value, or use credentials that may read it; to leave its key valid, add --anyway")
		}
		for _, id := range v.Keys {
			info := revocation.KeyInfo{KeyID: id}
			if i := slices.IndexFunc(rows, func(row quilt.APIKey) bool { return row.ID == id }); i >= 0 {
				info = infoOf(rows[i])
			}
			add(RetiredKey{KeyInfo: info, Current: v.Has(vault.Current)})
		}
	}
	for _, row := range rows {
		if r.isMarked(row.Name) && row.Status != quilt.Expired {
			add(RetiredKey{KeyInfo: infoOf(row)})
		}
	}
	others, err := r.readOthers(ctx, list)
	if err != nil && !r.options.Anyway && ctx.Err() == nil {
		return nil, terminal.WithHint(fmt.Errorf("it is not known whether other secrets hold the keys: %w",
			awsclient.Explain(err)), "use credentials that may read all managed secrets, or add --anyway")
	}
	for i := range list {
		if err := r.judge(ctx, &list[i], others); err != nil {
			return nil, err
		}
	}
	return list, ctx.Err()
}

// rows returns the keys of the secret's owner.
func (r *retirement) rows(ctx context.Context) ([]quilt.APIKey, error) {
	if r.admin {
		return r.session.AdminListKeys(ctx, quilt.AdminKeyFilter{Email: r.owner})
	}
	return r.session.ListKeys(ctx, quilt.KeyFilter{})
}

// keyInfo returns what the registry knows about the key in a version's value.
func keyInfo(rows []quilt.APIKey, v vault.Version, key apikey.Key) revocation.KeyInfo {
	row, ok := quilt.OnlyFit(rows, key)
	for _, each := range rows {
		if slices.Contains(v.Keys, each.ID) && key.Fits(each.Fingerprint) {
			row, ok = each, true
		}
	}
	if !ok {
		return revocation.KeyInfo{KeyID: v.Key(), Fingerprint: key.Fingerprint()}
	}
	return infoOf(row)
}

func infoOf(k quilt.APIKey) revocation.KeyInfo { return proof{row: &k}.info(apikey.Key{}) }

// readOthers reads the other managed secrets, because their consumers may use the same keys. It
// reads all of them the first time, and after that only the secrets that may hold one of the keys.
func (r *retirement) readOthers(ctx context.Context, list []RetiredKey) (*managed.Holders, error) {
	r.Progress.Doing("reading the other managed secrets")
	var keys []apikey.Key
	for _, k := range list {
		keys = append(keys, k.key)
	}
	var err error
	if r.all == nil {
		r.all, err = r.startScan(ctx).result(ctx)
	} else {
		r.all, err = r.all.Refresh(ctx, keys...)
	}
	if err != nil {
		return nil, err
	}
	others := r.all.Without(r.secret.ARN)
	if len(others.Unread) > 0 {
		u := others.Unread[0]
		err = fmt.Errorf("the secret %s cannot be read: %w", u.Secret, u.Err)
	}
	return others, err
}

// revocation returns the parameters for the revocation of a key.
func (r *retirement) revocation(k *RetiredKey) KeyRevocation {
	sessions := []*quilt.Session{r.session}
	if !k.key.IsZero() {
		sessions = append(sessions, r.options.Registry.WithKey(k.key))
	}
	return KeyRevocation{
		Evidence: Evidence{KeyID: k.KeyID, Owner: r.owner, Sessions: sessions},
		Registry: r.options.Registry, Key: k.key, Admin: r.admin, Before: r.unchanged,
	}
}

// judge decides the fate of a key.
func (r *retirement) judge(ctx context.Context, k *RetiredKey, others *managed.Holders) error {
	how := r.revocation(k)
	holder, _ := r.secret.Holder(vault.KeyLabel(k.KeyID))
	if over, err := r.handedOver(ctx, r.secret, holder.ID); err != nil {
		return err
	} else if over { // a login of the new owner does not explain the refusal of the former owner's key
		how.Owner = ""
	}
	known, err := how.look(ctx)
	if err != nil {
		return err
	}
	k.Fate = FateToRevoke
	switch {
	// its user may be deactivated, but an administrator sees that the key exists
	case known.State == KeyUnknown && r.admin && k.Status == quilt.Active:
	case known.State == KeyUnknown:
		k.Fate, k.Why = FateLeft, "it is not known whether it works: "+known.Why
	case k.key.IsZero() && !r.isMarked(k.KeyName): // somebody may have moved the label
		k.Fate, k.Why = FateLeft, "no value contains it, and its name does not say that it was created for this secret"
	case known.State == KeyRefused:
		k.Fate = FateInvalid
	case known.Owner != "" && !quilt.SameUser(known.Owner, cmp.Or(r.owner, r.user)):
		k.Owner, k.Fate, k.Why = known.Owner, FateLeft, "it belongs to "+known.Owner
	}
	if others == nil || k.Fate == FateInvalid {
		return nil
	}
	if !k.key.IsZero() {
		if found := others.OfKey(k.key); len(found) > 0 {
			k.HeldBy = found[0].Secret
		}
	}
	if k.HeldBy = cmp.Or(k.HeldBy,
		others.Secret(quilt.APIKey{ID: k.KeyID, Fingerprint: k.Fingerprint})); k.HeldBy != "" {
		k.Fate, k.Why = FateLeft, "the secret "+k.HeldBy+" holds it"
	}
	return nil
}

// show reports each key with its last use.
func (r *retirement) show() {
	for _, k := range r.result.Keys {
		used := "no use is recorded"
		switch {
		case k.LastUsedAt != nil:
			used = "last used on " + status.Clock(*k.LastUsedAt)
		case k.CreatedAt.IsZero():
			used = "its last use is not known"
		}
		name := k.name()
		if k.Current {
			name, used = "the current key "+name, used+"; sweeps and this command also use it"
		}
		switch k.Fate {
		case FateLeft:
			r.Progress.Report(terminal.Warned, "will not revoke "+name+": "+k.Why, used)
		case FateInvalid:
			r.Progress.Report(terminal.Noted, name+" no longer works", "")
		default:
			r.Progress.Report(terminal.Later, "will revoke "+name, used)
		}
	}
}

func (k RetiredKey) name() string { return cmp.Or(k.Fingerprint, k.KeyID) }

func (r *retirement) question() string {
	n := 0
	for _, k := range r.result.Keys {
		if k.Fate == FateToRevoke {
			n++
		}
	}
	return fmt.Sprintf("this turns rotation off, removes labels and tags, and permanently revokes keys: %d; every "+
		"program that still uses one of them stops working", n)
}

// confirmed reads the keys again. It fails if the secret or its keys have changed since they were
// shown.
func (r *retirement) confirmed(ctx context.Context) error {
	now, err := r.look(ctx)
	if err == nil && !slices.EqualFunc(now, r.result.Keys, func(a, b RetiredKey) bool {
		return a.KeyID == b.KeyID && a.key.Equal(b.key) && a.Current == b.Current && a.Fate == b.Fate &&
			a.HeldBy == b.HeldBy
	}) {
		err = r.changed()
	}
	if err != nil {
		return err
	}
	return r.unchanged(ctx)
}

func (r *retirement) changed() error {
	return terminal.WithHint(fmt.Errorf("the secret %s or one of its keys changed after the keys were shown, so "+
		"somebody may still use it", r.secret.Name),
		"to see its versions: quilt-rotate status "+r.secret.Name)
}

// unchanged reads the labels again: the version that was current when the keys were shown must be
// current, and no rotation may have started.
func (r *retirement) unchanged(ctx context.Context) error {
	if err := r.secret.Look(ctx); err != nil {
		return err
	}
	current, _ := r.secret.Holder(vault.Current)
	if _, underWay := waiting(r.secret); underWay || current.ID != r.current {
		return r.changed()
	}
	return nil
}

// stopRotation turns rotation off. First it writes the owner of the keys into a tag. After the keys
// are revoked, nothing else names the owner, and a run that continues needs it.
func (r *retirement) stopRotation(ctx context.Context) error {
	if r.secret.Tags[settings.TagOwner] == "" && r.owner != "" {
		if err := finish(ctx, func(ctx context.Context) error {
			return r.Cloud.Tag(ctx, r.secret.ARN, map[string]string{settings.TagOwner: r.owner})
		}); err != nil {
			return err
		}
	}
	if !r.secret.Rotation.Enabled {
		return nil
	}
	err := finish(ctx, func(ctx context.Context) error { return r.Cloud.CancelRotation(ctx, r.secret.ARN) })
	if err != nil {
		return err
	}
	r.Progress.Report(terminal.Done, "rotation is off", "")
	return nil
}

// revoke revokes the confirmed keys, the current key last.
func (r *retirement) revoke(ctx context.Context) error {
	for _, current := range []bool{false, true} {
		for i := range r.result.Keys {
			k := &r.result.Keys[i]
			if k.Fate != FateToRevoke || k.Current != current {
				continue
			}
			r.Progress.Doing("revoking " + k.name())
			if err := r.RevokeKey(ctx, r.revocation(k)); err != nil {
				return err
			}
			k.Fate = FateRevoked
			r.Progress.Report(terminal.Done, "revoked "+k.name(), "")
		}
	}
	return nil
}

// release removes the labels and then the tags. It fails if a key that no other secret holds may
// still work.
func (r *retirement) release(ctx context.Context) error {
	for _, k := range r.result.Keys {
		if k.Fate == FateLeft && k.HeldBy == "" && !r.options.Anyway {
			return terminal.WithHint(
				fmt.Errorf("the key %s was not revoked, because %s; so the labels and tags of the "+
					"secret stay", k.name(), k.Why),
				"to see the key: quilt-rotate keys get --admin "+cmp.Or(k.KeyID, "ID")+
					"\nif nobody needs it, revoke it: quilt-rotate keys revoke --admin --anyway "+cmp.Or(k.KeyID, "ID")+
					"\nto leave the key valid, add --anyway")
		}
	}
	if err := r.secret.Look(ctx); err != nil {
		return err
	}
	removed := 0
	for _, v := range r.secret.Sorted() {
		if err := r.detach(ctx, r.secret, v.ID, ourLabels(v)...); err != nil {
			return err
		}
		removed += len(ourLabels(v))
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(r.secret.Tags)),
		func(name string) bool { return !strings.HasPrefix(name, settings.TagPrefix) })
	if len(names) > 0 {
		err := finish(ctx, func(ctx context.Context) error { return r.Cloud.Untag(ctx, r.secret.ARN, names...) })
		if err != nil {
			return err
		}
	}
	r.Progress.Report(terminal.Done, fmt.Sprintf("removed labels: %d; removed tags: %d", removed, len(names)), "")
	r.result.Complete = true
	return r.secret.Look(ctx)
}

// detach removes labels from a version, in their order.
func (d *Operator) detach(ctx context.Context, s *managed.Secret, version string, labels ...string) error {
	for _, label := range labels {
		err := finish(ctx, func(ctx context.Context) error { return d.Cloud.Vault.Detach(ctx, s.ARN, label, version) })
		if err != nil {
			return err
		}
	}
	return nil
}
