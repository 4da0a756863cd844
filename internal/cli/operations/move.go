package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// A move makes an older version current again if its key logs in. Rollback and recover use it. It
// has these steps:
//
//  1. Remove the superseded marks of the version. Without marks, its grace period starts again at the
//     next sweep. A sweep that has already planned to revoke the key reads the labels again first.
//  2. Log in with the key of the version. From now on, no sweep revokes this key, except a sweep
//     whose request was already sent.
//  3. Remove AWSPENDING from the version that is current, and move AWSCURRENT with a compare-and-swap
//     from it: see [Operator.cutOver]. If a rotation or another command was faster, AWSCURRENT does
//     not move.
//  4. Remove the marks that a sweep wrote during steps 1 to 3.
//
// The marks are removed first, because a crash after the move would otherwise leave a current
// version with a mark. If that version were superseded again before a sweep removed the mark, its
// grace period would count from a time in the past.
//
// After a crash before step 3, the current version is unchanged, and the grace period of the older
// version starts again. After a crash between steps 3 and 4, the current version has at most a
// mark, which the next sweep or rotation removes.
type move struct {
	*Operator
	secret    *managed.Secret
	registry  *quilt.Client
	from      vault.Version // version that is current
	target    vault.Version // version that becomes current
	raw       redact.Text
	value     apikey.Value
	proven    proof
	moved     bool     // AWSCURRENT is on the target
	replaced  string   // fingerprint of the key that was current; "": the version had none
	different []string // names of other fields that differ; none if a value has no fields
}

// newMove logs in with the key of the target. It refuses a version whose key cannot be used.
func (d *Operator) newMove(ctx context.Context, s *managed.Secret, registry *quilt.Client, from,
	target vault.Version) (*move, error) {
	m := &move{Operator: d, secret: s, registry: registry, from: from, target: target}
	d.Progress.Doing("logging in with the key of the version " + short(target.ID))
	var err error
	if m.raw, err = s.Raw(ctx, target.ID); err == nil {
		m.value, err = apikey.ParseValue(m.raw, s.Tags[apikey.FieldTag])
	}
	if holdsNoKey(err) || errors.Is(err, vault.ErrNoValue) {
		return nil, terminal.WithHint(fmt.Errorf("the version %s of %s holds no key that can be used: %w", target.ID,
			s.Name, err), m.another())
	}
	if err == nil {
		err = m.logIn(ctx)
	}
	return m, err
}

// another returns the hint for a target that cannot be used.
func (m *move) another() string {
	return fmt.Sprintf("name another version with --to; see: quilt-rotate status %[1]s; if no key works: "+
		"quilt-rotate recover %[1]s", m.secret.Name)
}

func (m *move) logIn(ctx context.Context) error {
	p, err := logIn(ctx, m.registry, m.value.Key(), m.target.Key())
	if quilt.RefusesLogin(err) {
		return terminal.WithHint(fmt.Errorf("the registry refuses the key %s of the version %s: it has expired or "+
			"was revoked, or its user is deactivated; AWSCURRENT was not moved",
			m.value.Key(), m.target.ID), m.another())
	}
	if err == nil && m.proven.Email != "" && !quilt.SameUser(p.Email, m.proven.Email) {
		return fmt.Errorf("the key of the version %s now belongs to %s; AWSCURRENT was not moved", m.target.ID, p.Email)
	}
	if err == nil {
		m.proven = p
	}
	return err
}

// created returns when the key was created, or zero if that is not known.
func (m *move) created() time.Time {
	if m.proven.row == nil {
		return time.Time{}
	}
	return m.proven.row.CreatedAt
}

// shortLife is the remaining lifetime of a key below which a warning is shown.
const shortLife = 14 * 24 * time.Hour

// show reports what would change: the key, and the names of other fields that differ.
func (m *move) show(ctx context.Context) error {
	raw, err := m.secret.Raw(ctx, m.from.ID)
	if err != nil && !errors.Is(err, vault.ErrBinary) {
		return err
	}
	now, differs := "no key", true
	if value, err := apikey.ParseValue(raw, m.secret.Tags[apikey.FieldTag]); err == nil {
		m.replaced = value.Key().Fingerprint()
		if now = "key " + m.replaced; value.Key().Equal(m.value.Key()) {
			now += ", the same"
		}
		differs = !value.SameButKey(m.value)
	}
	m.Progress.Report(terminal.Noted, "from "+short(m.from.ID), now)
	m.Progress.Report(terminal.Done, "to   "+short(m.target.ID), "key "+m.value.Key().Fingerprint()+", logs in as "+
		m.proven.Email)
	if differs {
		fields, _ := managed.DifferentFields(raw, m.raw)
		m.different = slices.DeleteFunc(fields, func(name string) bool { return name == m.value.Field() })
		m.Progress.Report(terminal.Warned, "the values differ in more than the key", strings.Join(m.different, ", "))
	}
	if k := m.proven.row; k != nil && k.ExpiresAt.Sub(m.proven.RegistryTime) < shortLife {
		m.Progress.Report(terminal.Warned,
			"this key expires in "+terminal.About(k.ExpiresAt.Sub(m.proven.RegistryTime)),
			"rotate soon: quilt-rotate rotate "+m.secret.Name)
	}
	return nil
}

// ask asks for confirmation of the move.
func (m *move) ask(ctx context.Context) error {
	return m.Confirm(ctx, "AWSCURRENT of "+m.secret.Name+" moves back to the version "+short(m.target.ID),
		m.secret.Name)
}

// carryOut moves AWSCURRENT. Right before that, it reads the secret again and calls allowed, which
// may refuse the move.
func (m *move) carryOut(ctx context.Context, allowed func(*managed.Secret) error) error {
	m.Progress.Doing("removing its marks")
	err := m.removeMarks(ctx)
	if err == nil {
		m.Progress.Doing("logging in with its key again")
		err = m.logIn(ctx)
	}
	if err == nil {
		err = m.secret.Look(ctx)
	}
	if err == nil {
		err = allowed(m.secret)
	}
	if err == nil {
		m.Progress.Doing("moving AWSCURRENT")
		m.moved, err = m.cutOver(ctx, m.secret, m.target.ID, m.from.ID)
	}
	if err == nil && !m.moved {
		err = movedError(m.secret)
	}
	if err != nil {
		return left(err, "AWSCURRENT was not moved; to see what is current: quilt-rotate status "+m.secret.Name)
	}
	m.Progress.Report(terminal.Done, "moved AWSCURRENT to the version "+short(m.target.ID), "")
	ctx, cancel := ending(ctx)
	defer cancel()
	if err := m.removeMarks(ctx); err != nil { // the next sweep removes them
		m.Progress.Report(terminal.Noted, "a superseded mark stays on the version until the next sweep", "")
	}
	return seeCurrent(ctx, m.registry, m.secret, m.value.Key())
}

// removeMarks removes the marks that the target has now. If another command removes a mark first,
// that is not an error.
func (m *move) removeMarks(ctx context.Context) error {
	return finish(ctx, func(ctx context.Context) error {
		if err := m.secret.Look(ctx); err != nil {
			return err
		}
		for _, mark := range m.secret.Versions[m.target.ID].Marks {
			err := m.Cloud.Vault.Detach(ctx, m.secret.ARN, mark.Label(), m.target.ID)
			if err == nil {
				continue
			}
			removed := func(s vault.Secret) bool { return !s.Versions[m.target.ID].Has(mark.Label()) }
			now, describeErr := m.Cloud.Vault.Await(ctx, m.secret.ARN, removed)
			if describeErr != nil || !removed(now) {
				return errors.Join(err, describeErr)
			}
		}
		return nil
	})
}

// holdsNoKey reports whether an error says that a value holds no key.
func holdsNoKey(err error) bool { return isBlank(err) || isBad(err) || errors.Is(err, vault.ErrBinary) }

// errMoved reports that another command or a rotation was faster.
var errMoved = errors.New("was moved by another command or a rotation, so nothing was changed")

func movedError(s *managed.Secret) error {
	return terminal.WithHint(fmt.Errorf("AWSCURRENT of %s %w", s.Name, errMoved),
		"to see what is current: quilt-rotate status "+s.Name)
}

// stillCurrent returns an error unless the version is still current.
func stillCurrent(s *managed.Secret, version string) error {
	if current, _ := s.Holder(vault.Current); current.ID != version {
		return movedError(s)
	}
	return nil
}
