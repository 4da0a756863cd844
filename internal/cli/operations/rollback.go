package operations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// RolledBack is the result of [Operator.Rollback].
type RolledBack struct {
	Secret    string             `json:"secret"`
	ARN       string             `json:"arn"`
	From      string             `json:"fromVersionId"` // version that was current
	To        string             `json:"toVersionId"`   // version that is current now
	Key       revocation.KeyInfo `json:"key"`
	Replaced  string             `json:"replacedFingerprint,omitempty"` // of the key that was current
	Different []string           `json:"differentFields,omitempty"`     // besides the key
	Moved     bool               `json:"moved"`                         // AWSCURRENT is on the other version now
	Rotation  Rotation           `json:"rotation"`
}

// RollbackOptions are the options of [Operator.Rollback].
type RollbackOptions struct {
	Registry *quilt.Client
	To       string // version: its id, or the start of its id; "": the version that was current before
	NewOwner bool   // the key may belong to another registry user
}

// Rollback moves AWSCURRENT back to a version that was current before: the given version, or
// AWSPREVIOUS. See [move]. If two commands run at the same time, one moves AWSCURRENT, and the
// other reports that.
func (d *Operator) Rollback(ctx context.Context, s *managed.Secret, o RollbackOptions) (RolledBack, error) {
	current, ok := s.Holder(vault.Current)
	if !ok {
		return RolledBack{}, terminal.WithHint(fmt.Errorf("the secret %s has no current version", s.Name),
			"run: quilt-rotate bootstrap "+s.Name)
	}
	target, err := versionOf(s, o.To)
	if err == nil {
		err = nothingPending(s)
	}
	if err == nil && target.ID == current.ID {
		err = terminal.WithHint(fmt.Errorf("the version %s of %s is already current", target.ID, s.Name),
			"to move back to another version, name it with --to; to see the versions: quilt-rotate status "+s.Name)
	}
	if err != nil {
		return RolledBack{}, err
	}
	m, err := d.newMove(ctx, s, o.Registry, current, target)
	if err != nil {
		return RolledBack{}, left(err, "nothing was changed")
	}
	owner, err := m.formerOwner(ctx)
	if err != nil {
		return RolledBack{}, left(err, "nothing was changed")
	}
	email := m.proven.Email
	handsOver := owner != "" && !quilt.SameUser(owner, email)
	if handsOver && !o.NewOwner {
		return RolledBack{}, terminal.WithHint(fmt.Errorf("the key of %s belongs to %s, but the key of the version %s "+
			"logs in as %s; AWSCURRENT was not moved", s.Name, owner, target.ID, email),
			"to make "+email+" the owner of the keys, add --new-owner")
	}
	if err = m.show(ctx); err == nil {
		err = left(m.ask(ctx), "nothing was changed")
	}
	tagged := s.Tags[settings.TagOwner]
	if err == nil && handsOver {
		err = d.handOver(ctx, s, current.ID, otherPermissions(s.Name, email, owner), email)
	}
	if err == nil {
		err = m.carryOut(ctx, nothingPending)
		if handsOver && errors.Is(err, errMoved) {
			err = errors.Join(err, d.takeBack(ctx, s, tagged))
		}
	}
	return m.result(ctx, err)
}

// otherPermissions returns the question before a secret is handed over to another user.
func otherPermissions(secret, email, owner string) string {
	return fmt.Sprintf("the key of %s will belong to %s and no longer to %s: its consumers get other permissions",
		secret, email, owner)
}

// formerOwner returns the user that the secret's keys belong to: the user that the tag names, or
// the user that the current key logs in as, or the user who has the current key in their list. It
// returns "" if the current version holds no key.
func (m *move) formerOwner(ctx context.Context) (string, error) {
	if owner := m.secret.Tags[settings.TagOwner]; owner != "" {
		return owner, nil
	}
	value, err := m.secret.Value(ctx, m.from.ID)
	if err != nil {
		return "", ctx.Err()
	}
	state, owner, err := tryKey(ctx, m.registry, value.Key())
	if err != nil || state == KeyLogsIn {
		return owner, err
	}
	if row, err := m.registry.WithKey(m.value.Key()).GetKey(ctx, m.from.Key()); err == nil && row != nil &&
		value.Key().Fits(row.Fingerprint) {
		return m.proven.Email, nil
	}
	return "an unknown user", ctx.Err()
}

// nothingPending returns an error if a rotation is under way, because it would make its own key
// current after the move.
func nothingPending(s *managed.Secret) error {
	if _, underWay := waiting(s); !underWay {
		return nil
	}
	return terminal.WithHint(fmt.Errorf("a rotation of %s is under way or stuck: it would make its own key current "+
		"again", s.Name),
		"wait until it has ended, or end it: quilt-rotate unstick "+s.Name)
}

// versionOf finds a version by its id or the start of its id. "" means the version that was current
// before.
func versionOf(s *managed.Secret, id string) (vault.Version, error) {
	see := "to see its versions: quilt-rotate status " + s.Name
	if id == "" || id == vault.Previous {
		v, ok := s.Holder(vault.Previous)
		if !ok {
			return v, terminal.WithHint(fmt.Errorf("no version of %s was current before", s.Name), see)
		}
		return v, nil
	}
	var found []vault.Version
	for _, v := range s.Sorted() {
		if v.ID == id || len(id) >= 4 && strings.HasPrefix(v.ID, id) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return vault.Version{}, terminal.WithHint(fmt.Errorf("the secret %s has no labelled version %s", s.Name,
			redact.Clip(id, 64)), see)
	}
	return vault.Version{}, terminal.WithHint(fmt.Errorf("%d versions of %s start with %s", len(found), s.Name,
		redact.Clip(id, 64)), "give more characters of the id; "+see)
}

// result returns what the rollback did, even if it failed.
func (m *move) result(ctx context.Context, failed error) (RolledBack, error) {
	ctx, cancel := ending(ctx)
	defer cancel()
	s := m.secret
	if err := s.Look(ctx); err != nil && failed == nil { // the rollback itself succeeded
		m.Progress.Report(terminal.Warned, "AWSCURRENT was moved, but then the secret could not be described",
			awsclient.Explain(err).Error())
	}
	current, _ := s.Holder(vault.Current)
	return RolledBack{
		Secret: s.Name, ARN: s.ARN, From: m.from.ID, To: m.target.ID, Key: m.proven.info(m.value.Key()),
		Replaced: m.replaced, Different: m.different,
		Moved: m.moved || current.ID == m.target.ID, Rotation: Rotation{s.Rotation.Enabled, s.Rotation.Next},
	}, failed
}
