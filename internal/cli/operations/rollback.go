package operations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// RolledBack tells what a rollback did.
type RolledBack struct {
	Secret    string             `json:"secret"`
	ARN       string             `json:"arn"`
	From      string             `json:"fromVersionId"` // version that was current
	To        string             `json:"toVersionId"`   // version that is
	Key       revocation.KeyInfo `json:"key"`
	Replaced  string             `json:"replacedFingerprint,omitempty"` // of the key that was current
	Different []string           `json:"differentFields,omitempty"`     // beside the key
	Moved     bool               `json:"moved"`                         // AWSCURRENT is on the other version now
	Rotation  Rotation           `json:"rotation"`
}

// RollbackOptions say how it is rolled back.
type RollbackOptions struct {
	Registry *quilt.Client
	To       string // version: its id, or how it begins; "": the one that was current last
	NewOwner bool   // its key may be another registry user's
}

// Rollback moves AWSCURRENT back to a version that was current before, AWSPREVIOUS where none is named.
//
// The order: first the version's marks come off, then its key logs in, then AWSCURRENT moves, and a mark that a sweep wrote meanwhile comes off again.
// With its marks off, a version's grace begins anew at the next sweep, and a sweep that had planned to revoke its key sees right before it does
// that the labels have changed: so from the login on, no sweep revokes that key, but one whose request was on its way to the registry before (five
// seconds at the most), and a forced one. The other order would be as good while all goes well; but if this dies after the move, a version
// that is current carries a mark, and were it superseded again before anybody saw that, its grace would count from a time that is long past.
//
// A crash before the move leaves what was current as it was, and a version whose grace begins anew; after it, at the most a mark on the current
// version, which the next sweep or rotation takes off. Two at once: the move is a compare-and-swap, one wins, and the other says so.
func (d *Operator) Rollback(ctx context.Context, s *managed.Secret, o RollbackOptions) (RolledBack, error) {
	registry := o.Registry
	current, ok := s.Holder(vault.Current)
	if !ok {
		return RolledBack{}, terminal.WithHint(fmt.Errorf("the secret %s has no current version", s.Name), "run: quilt-rotate bootstrap "+s.Name)
	}
	if err := nothingPending(s); err != nil {
		return RolledBack{}, err
	}
	target, err := versionOf(s, o.To)
	if err != nil {
		return RolledBack{}, err
	}
	if target.ID == current.ID {
		return RolledBack{}, fmt.Errorf("the version %s of %s is current already", target.ID, s.Name)
	}
	const untouched = "nothing was done"
	b, err := d.newMove(ctx, s, registry, target)
	if err != nil {
		return RolledBack{}, left(err, untouched)
	}
	b.alone = true
	owner, err := b.formerOwner(ctx, current)
	if err != nil {
		return RolledBack{}, left(err, untouched)
	}
	handsOver := owner != "" && !quilt.SameUser(owner, b.proven.Email)
	if handsOver && !o.NewOwner {
		return RolledBack{}, terminal.WithHint(&otherOwnerError{s.Name, target.ID, owner, b.proven.Email}, "to hand the secret over to "+b.proven.Email+", add --new-owner")
	}
	err = b.show(ctx, current)
	if err == nil {
		err = left(d.Confirm(ctx, "AWSCURRENT of "+s.Name+" moves back to the version "+short(target.ID), s.Name), untouched)
	}
	if err == nil && handsOver {
		err = b.handOver(ctx, owner)
	}
	if err == nil {
		err = b.carryOut(ctx, current.ID)
	}
	return b.result(ctx, current.ID, err)
}

// An otherOwnerError says that a version's key would give consumers another user's permissions.
type otherOwnerError struct{ secret, version, owner, email string }

func (e *otherOwnerError) Error() string {
	return fmt.Sprintf("the key of %s belongs to %s, but that of the version %s logs in as %s; nothing was moved", e.secret, e.owner, e.version, e.email)
}

// formerOwner is whose the secret's key must be: the tag's user, or else the one that the current key logs in as. "" where nothing tells.
func (m *move) formerOwner(ctx context.Context, current vault.Version) (string, error) {
	if owner := m.secret.Tags[settings.TagOwner]; owner != "" {
		return owner, nil
	}
	value, err := m.secret.Value(ctx, current.ID)
	if err != nil { // there is no key to ask
		return "", ctx.Err()
	}
	_, owner, err := tryKey(ctx, m.registry, value.Key())
	return owner, err
}

// handOver has a person confirm that another user's key becomes current, and writes it into the tag, where there is one: first, as at recover.
func (m *move) handOver(ctx context.Context, owner string) error {
	email := m.proven.Email
	err := m.Confirm(ctx, "the key of "+m.secret.Name+" will be "+email+"'s, no longer "+owner+"'s: its consumers get other permissions", email)
	if err != nil || m.secret.Tags[settings.TagOwner] == "" {
		return err
	}
	return finish(ctx, func(ctx context.Context) error {
		return m.Cloud.Tag(ctx, m.secret.ARN, map[string]string{settings.TagOwner: email})
	})
}

// nothingPending refuses while a rotation is under way: it would make its own key current over the one that is moved back to.
func nothingPending(s *managed.Secret) error {
	pending, ok := s.Holder(vault.Pending)
	if !ok || pending.Has(vault.Current) {
		return nil
	}
	return terminal.WithHint(fmt.Errorf("a rotation of %s is under way, or stuck: it would make its own key current again", s.Name),
		"wait until it has ended, or end it: quilt-rotate unstick "+s.Name)
}

// versionOf finds a version by its id, or the beginning of it; "" is the one that was current last.
func versionOf(s *managed.Secret, id string) (vault.Version, error) {
	if id == "" || id == vault.Previous {
		v, ok := s.Holder(vault.Previous)
		if !ok {
			return v, terminal.WithHint(fmt.Errorf("no version of %s was current before", s.Name), "see its versions: quilt-rotate status "+s.Name)
		}
		return v, nil
	}
	if v, ok := s.Versions[id]; ok {
		return v, nil
	}
	var found []vault.Version
	for _, v := range s.Sorted() {
		if len(id) >= 4 && strings.HasPrefix(v.ID, id) {
			found = append(found, v)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return vault.Version{}, fmt.Errorf("%d versions of %s begin with %s: give more of the id", len(found), s.Name, redact.Clip(id, 64))
	}
	return vault.Version{}, terminal.WithHint(fmt.Errorf("the secret %s has no labelled version %s", s.Name, redact.Clip(id, 64)), "see its versions: quilt-rotate status "+s.Name)
}

// A move is one of AWSCURRENT to a version whose key was seen to log in.
type move struct {
	*Operator
	secret    *managed.Secret
	registry  *quilt.Client
	target    vault.Version
	raw       redact.Text
	value     apikey.Value
	proven    proof
	alone     bool     // a rotation under way must not be there
	moved     bool     // AWSCURRENT
	replaced  string   // fingerprint of the key that was current; "": it had none
	differs   bool     // in more than the key
	different []string // the fields, beside the key's; none where a value has no fields
}

// newMove refuses a version whose key cannot be used.
func (d *Operator) newMove(ctx context.Context, s *managed.Secret, registry *quilt.Client, target vault.Version) (*move, error) {
	m := &move{Operator: d, secret: s, registry: registry, target: target}
	d.Tell.Doing("logging in with the key of the version " + short(target.ID))
	var err error
	if m.raw, err = s.Raw(ctx, target.ID); err == nil {
		m.value, err = apikey.ParseValue(m.raw, s.Tags[settings.TagField])
	}
	switch {
	case isBlank(err), isBad(err), errors.Is(err, vault.ErrNoValue), errors.Is(err, vault.ErrBinary):
		return nil, terminal.WithHint(fmt.Errorf("the version %s of %s holds no key that can be used: %w", target.ID, s.Name, err), "name another one with --to; see: quilt-rotate status "+s.Name)
	case err != nil:
		return nil, err
	}
	m.proven, err = logIn(ctx, registry, m.value.Key(), target.Key())
	if err != nil {
		return nil, m.explain(err)
	}
	return m, nil
}

// madeAt is when the key was made; zero: not known.
func (m *move) madeAt() time.Time {
	if m.proven.row == nil {
		return time.Time{}
	}
	return m.proven.row.CreatedAt
}

// explain says of a refused key what to do; other errors say nothing about it.
func (m *move) explain(err error) error {
	if !quilt.RefusesLogin(err) {
		return err
	}
	return terminal.WithHint(fmt.Errorf("the registry refuses the key %s of the version %s: it has expired or was revoked; nothing current was changed", m.value.Key(), m.target.ID),
		"name another version with --to, or, where no key works: quilt-rotate recover "+m.secret.Name)
}

// show tells what would change: which key, and which fields beside it, by their names.
func (m *move) show(ctx context.Context, current vault.Version) error {
	raw, err := m.secret.Raw(ctx, current.ID)
	if err != nil && !errors.Is(err, vault.ErrBinary) {
		return err
	}
	now := "no key"
	if value, err := apikey.ParseValue(raw, m.secret.Tags[settings.TagField]); err == nil {
		m.replaced = value.Key().Fingerprint()
		now = "key " + m.replaced
		if value.Key().Equal(m.value.Key()) {
			now += ", the same"
		}
		m.differs = !value.SameButKey(m.value)
	} else {
		m.differs = true
	}
	if m.differs {
		fields, _ := managed.DifferentFields(raw, m.raw)
		m.different = without(fields, m.value.Field())
	}
	m.Tell.Tell(terminal.Noted, "from "+short(current.ID), now)
	m.Tell.Tell(terminal.Done, "to   "+short(m.target.ID), "key "+m.value.Key().Fingerprint()+", logs in as "+m.proven.Email)
	if m.differs {
		m.Tell.Tell(terminal.Warned, "the values differ in more than the key", strings.Join(m.different, ", "))
	}
	m.warnOfItsEnd()
	return nil
}

func without(list []string, left string) []string {
	var rest []string
	for _, each := range list {
		if each != left {
			rest = append(rest, each)
		}
	}
	return rest
}

// shortLife is when a key's end is near enough for a warning.
const shortLife = 14 * 24 * time.Hour

func (m *move) warnOfItsEnd() {
	k := m.proven.row
	if k == nil {
		return
	}
	rotation := m.secret.Rotation
	rest := k.ExpiresAt.Sub(m.proven.RegistryTime)
	late := rotation.Enabled && !rotation.Next.IsZero() && rotation.Next.Sub(m.secret.Now) > rest
	if rest < shortLife || late {
		m.Tell.Tell(terminal.Warned, "that key expires in "+terminal.About(rest), "rotate soon: quilt-rotate rotate "+m.secret.Name)
	}
}

// carryOut moves AWSCURRENT, in the order that stands at [Operator.Rollback].
func (m *move) carryOut(ctx context.Context, from string) error {
	state := "AWSCURRENT was not moved; to see what is current: quilt-rotate status " + m.secret.Name
	m.Tell.Doing("taking its mark off")
	if err := m.takeMarksOff(ctx); err != nil {
		return left(err, state)
	}
	m.Tell.Doing("logging in with its key once more")
	proven, err := logIn(ctx, m.registry, m.value.Key(), m.target.Key())
	if err != nil {
		return left(m.explain(err), state)
	}
	if !quilt.SameUser(proven.Email, m.proven.Email) {
		return terminal.WithHint(fmt.Errorf("the key of the version %s became %s's meanwhile; nothing was moved", m.target.ID, proven.Email), state)
	}
	m.proven = proven
	if m.alone { // a rotation may have begun since a person was asked
		if err := m.secret.Look(ctx); err != nil {
			return left(err, state)
		}
		if err := nothingPending(m.secret); err != nil {
			return err
		}
	}
	m.Tell.Doing("moving AWSCURRENT")
	moved, err := m.cutOver(ctx, m.secret, m.target.ID, from)
	if err != nil {
		return left(err, state)
	}
	if !moved {
		return terminal.WithHint(fmt.Errorf("somebody else moved AWSCURRENT of %s meanwhile: nothing was done", m.secret.Name), "see what is current: quilt-rotate status "+m.secret.Name)
	}
	m.moved = true
	m.Tell.Tell(terminal.Done, "moved AWSCURRENT to the version "+short(m.target.ID), "")
	ctx, cancel := ending(ctx)
	defer cancel()
	if err := m.takeMarksOff(ctx); err != nil { // the next sweep does it else
		m.Tell.Tell(terminal.Noted, "a mark stays on the version until the next sweep", "")
	}
	return seeCurrent(ctx, m.registry, m.secret, m.value.Key())
}

// takeMarksOff takes off what the version has now, and is content where somebody else did.
func (m *move) takeMarksOff(ctx context.Context) error {
	return finish(ctx, func(ctx context.Context) error {
		if err := m.secret.Look(ctx); err != nil {
			return err
		}
		for _, mark := range m.secret.Versions[m.target.ID].Marks {
			err := m.Cloud.Vault.Detach(ctx, m.secret.ARN, mark.Label(), m.target.ID)
			if err == nil {
				continue
			}
			gone := func(s vault.Secret) bool { return !s.Versions[m.target.ID].Has(mark.Label()) }
			now, describeErr := m.Cloud.Vault.Await(ctx, m.secret.ARN, gone)
			if describeErr != nil || !gone(now) {
				return errors.Join(err, describeErr)
			}
		}
		return nil
	})
}

// result tells how far it came, also where it failed.
func (m *move) result(ctx context.Context, from string, failed error) (RolledBack, error) {
	ctx, cancel := ending(ctx)
	defer cancel()
	if err := m.secret.Look(ctx); err != nil && failed == nil { // what was done is done
		m.Tell.Tell(terminal.Warned, "AWSCURRENT moved, and the secret could not be looked at after that", awsclient.Explain(err).Error())
	}
	return m.told(from), failed
}

func (m *move) told(from string) RolledBack {
	s := m.secret
	current, _ := s.Holder(vault.Current)
	return RolledBack{
		Secret: s.Name, ARN: s.ARN, From: from, To: m.target.ID, Key: m.proven.info(m.value.Key()), Replaced: m.replaced, Different: m.different,
		Moved: m.moved || current.ID == m.target.ID, Rotation: Rotation{s.Rotation.Enabled, s.Rotation.Next},
	}
}
