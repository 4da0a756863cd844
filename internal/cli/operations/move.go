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

// A move makes a version current again whose key logs in. Rollback and recover share it.
//
// The order: the version's marks are removed, then its key logs in, then AWSCURRENT moves, and a
// mark that a sweep wrote meanwhile is removed. Without its marks, the version's grace period
// starts again at the next sweep, and a sweep that had planned to revoke its key reads the labels
// again first. So after the login, no sweep revokes that key, except one whose request was already
// under way. The marks come first because a crash after the move would otherwise leave a current
// version with a mark: if it were superseded again before a sweep saw that, its grace period would
// count from a time that is long past.
//
// A crash before the move leaves the current version as it was, and a version whose grace period
// starts again; a crash after it leaves at most a mark on the current version, which the next sweep
// or rotation removes. AWSCURRENT moves only from the version that was shown, by a
// compare-and-swap: if a rotation or another command was faster, nothing moves.
type move struct {
	*Operator
	secret    *managed.Secret
	registry  *quilt.Client
	from      vault.Version // that is current
	target    vault.Version
	raw       redact.Text
	value     apikey.Value
	proven    proof
	moved     bool     // AWSCURRENT is on the target
	replaced  string   // fingerprint of the key that was current; "": the version had none
	different []string // fields that differ, besides the key's; none if a value has no fields
}

// newMove refuses a version whose key cannot be used.
func (d *Operator) newMove(ctx context.Context, s *managed.Secret, registry *quilt.Client, from,
	target vault.Version) (*move, error) {
	m := &move{Operator: d, secret: s, registry: registry, from: from, target: target}
	d.Tell.Doing("logging in with the key of the version " + short(target.ID))
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

// another is the hint if the target cannot be used.
func (m *move) another() string {
	return fmt.Sprintf("name another version with --to; see: quilt-rotate status %[1]s; if no key works: "+
		"quilt-rotate recover %[1]s", m.secret.Name)
}

func (m *move) logIn(ctx context.Context) error {
	p, err := logIn(ctx, m.registry, m.value.Key(), m.target.Key())
	if quilt.RefusesLogin(err) {
		return terminal.WithHint(fmt.Errorf("the registry refuses the key %s of the version %s: it has expired or "+
			"was revoked, or its user is deactivated; nothing current was changed",
			m.value.Key(), m.target.ID), m.another())
	}
	if err == nil && m.proven.Email != "" && !quilt.SameUser(p.Email, m.proven.Email) {
		return fmt.Errorf("the key of the version %s now belongs to %s; nothing was moved", m.target.ID, p.Email)
	}
	if err == nil {
		m.proven = p
	}
	return err
}

// created is when the key was created; zero: not known.
func (m *move) created() time.Time {
	if m.proven.row == nil {
		return time.Time{}
	}
	return m.proven.row.CreatedAt
}

// shortLife is the rest of a key's lifetime that deserves a warning.
const shortLife = 14 * 24 * time.Hour

// show reports what would change: which key, and the names of the fields that differ besides it.
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
	m.Tell.Tell(terminal.Noted, "from "+short(m.from.ID), now)
	m.Tell.Tell(terminal.Done, "to   "+short(m.target.ID), "key "+m.value.Key().Fingerprint()+", logs in as "+
		m.proven.Email)
	if differs {
		fields, _ := managed.DifferentFields(raw, m.raw)
		m.different = slices.DeleteFunc(fields, func(name string) bool { return name == m.value.Field() })
		m.Tell.Tell(terminal.Warned, "the values differ in more than the key", strings.Join(m.different, ", "))
	}
	if k := m.proven.row; k != nil && k.ExpiresAt.Sub(m.proven.RegistryTime) < shortLife {
		m.Tell.Tell(terminal.Warned, "that key expires in "+terminal.About(k.ExpiresAt.Sub(m.proven.RegistryTime)),
			"rotate soon: quilt-rotate rotate "+m.secret.Name)
	}
	return nil
}

// ask confirms the move.
func (m *move) ask(ctx context.Context) error {
	return m.Confirm(ctx, "AWSCURRENT of "+m.secret.Name+" moves back to the version "+short(m.target.ID),
		m.secret.Name)
}

// carryOut moves AWSCURRENT. allowed decides right before that, with the secret as it is then.
func (m *move) carryOut(ctx context.Context, allowed func(*managed.Secret) error) error {
	m.Tell.Doing("removing its marks")
	err := m.removeMarks(ctx)
	if err == nil {
		m.Tell.Doing("logging in with its key again")
		err = m.logIn(ctx)
	}
	if err == nil {
		err = m.secret.Look(ctx)
	}
	if err == nil {
		err = allowed(m.secret)
	}
	if err == nil {
		m.Tell.Doing("moving AWSCURRENT")
		m.moved, err = m.cutOver(ctx, m.secret, m.target.ID, m.from.ID)
	}
	if err == nil && !m.moved {
		err = movedError(m.secret)
	}
	if err != nil {
		return left(err, "AWSCURRENT was not moved; to see what is current: quilt-rotate status "+m.secret.Name)
	}
	m.Tell.Tell(terminal.Done, "moved AWSCURRENT to the version "+short(m.target.ID), "")
	ctx, cancel := ending(ctx)
	defer cancel()
	if err := m.removeMarks(ctx); err != nil { // if not, the next sweep does it
		m.Tell.Tell(terminal.Noted, "a mark stays on the version until the next sweep", "")
	}
	return seeCurrent(ctx, m.registry, m.secret, m.value.Key())
}

// removeMarks removes the marks that the target has now. Another command may remove one first.
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

// errMoved says that another command or a rotation was faster.
var errMoved = errors.New("was moved meanwhile, so nothing was changed")

func movedError(s *managed.Secret) error {
	return terminal.WithHint(fmt.Errorf("AWSCURRENT of %s %w", s.Name, errMoved),
		"see what is current: quilt-rotate status "+s.Name)
}

// stillCurrent demands that AWSCURRENT is where it was when a person was asked.
func stillCurrent(s *managed.Secret, version string) error {
	if current, _ := s.Holder(vault.Current); current.ID != version {
		return movedError(s)
	}
	return nil
}
