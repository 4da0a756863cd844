package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// The creator is the first credential of the key's owner that logs in and may create a key: the current key, the
// previous version's key, the issuing credential. A registry creates keys for the caller only, so the creator decides
// whose the new key is. Its owner is known and compared before anything is created.

// candidate is a credential that may become the creator.
type candidate struct {
	name string
	open func(context.Context) (issuer.Session, error)
}

// creator is a candidate that logged in, and is the key's owner.
type creator struct {
	session *quilt.Session
	account quilt.Account
}

func (r *run) candidates() []candidate {
	list := []candidate{{"the current key", func(context.Context) (issuer.Session, error) {
		return issuer.Session{Session: r.Registry.WithKey(r.value.Key()), Listed: true}, nil
	}}}
	if previous, ok := r.secret.Holder(vault.Previous); ok {
		list = append(list, candidate{"the previous key", func(ctx context.Context) (issuer.Session, error) {
			return r.openVersion(ctx, previous.ID)
		}})
	}
	if r.settings.Issuer != "" {
		list = append(list, candidate{"the issuing credential", r.openIssuer})
	}
	return list
}

// errUnusable says that a version has nothing to log in with.
var errUnusable = errors.New("its version cannot be used")

// openVersion returns a session with the key that a version holds. A version that cannot be read, because its KMS key
// is disabled, is no reason to fail while there is another credential.
func (r *run) openVersion(ctx context.Context, versionID string) (issuer.Session, error) {
	value, err := vault.ReadValue(ctx, r.Vault.ReadIfAny, r.secret.ARN, versionID, r.settings.Field)
	if err != nil {
		return issuer.Session{}, fmt.Errorf("%w: %w", errUnusable, err)
	}
	return issuer.Session{Session: r.Registry.WithKey(value.Key()), Listed: true}, nil
}

// openIssuer logs in with the issuing credential that the secret's tag names.
func (r *run) openIssuer(ctx context.Context) (issuer.Session, error) {
	value, err := r.Vault.ReadCurrent(ctx, r.settings.Issuer)
	if err != nil {
		return issuer.Session{}, fault.New[fault.BadIssuer]("the issuing credential of %s cannot be read: %w",
			r.secret.ARN, err)
	}
	return issuer.LogIn(ctx, r.Registry, r.settings.Issuer, value, r.secret)
}

// withCreator uses the first candidate that is the owner's and is not refused. If one is refused, the next one is
// tried. Any other failure ends the step, because the registry may have done what it was asked.
func (r *run) withCreator(ctx context.Context, use func(context.Context, creator) error) error {
	var refusals []string
	var notOwner error
	owner := ""
	for i, c := range r.candidates() {
		opened, err := r.open(ctx, c, i == 0, &owner)
		if isNotOwner(err) {
			notOwner = cmp.Or(notOwner, err)
			continue
		}
		if err == nil {
			err = use(ctx, opened)
		}
		if err == nil || !quilt.Refused(err) && !errors.Is(err, errUnusable) {
			return err
		}
		refusals = append(refusals, c.name+": "+err.Error())
	}
	if notOwner != nil {
		return notOwner
	}
	return fault.New[fault.NoCreator]("no credential of %s may create a key (%s); "+
		"configure an issuing credential (tag quilt-rotate:issuer), "+
		"or run: quilt-rotate recover %s", r.secret.ARN, strings.Join(refusals, "; "), r.secret.Name)
}

func isNotOwner(err error) bool {
	_, changed := errors.AsType[*fault.OwnerChanged](err)
	_, unknown := errors.AsType[*fault.OwnerUnknown](err)
	return changed || unknown
}

// open logs in with a candidate. The current key, which is the first one, shows who the owner is. It may do so even if
// it may not list keys.
func (r *run) open(ctx context.Context, c candidate, isCurrent bool, owner *string) (creator, error) {
	session, err := c.open(ctx)
	if err != nil {
		return creator{}, err
	}
	account, err := session.Account(ctx)
	if isCurrent {
		*owner = account.Email
		if quilt.Refused(err) && !quilt.RefusesLogin(err) {
			me, _ := session.Me(ctx) // if this fails, the owner is not known
			*owner = me.Email
		}
	}
	if err != nil {
		return creator{}, err
	}
	return creator{session.Session, account}, r.checkOwner(c.name, account, *owner, session.Listed)
}

// checkOwner refuses a creator that is another user than the key's owner: consumers would have other permissions. The
// owner is the current key's user, if that key still logs in; else the user whose list holds that key (expired keys
// stay listed); else the tag's, unless the credential does not list the secret: whoever set the tag may have set it to
// reach somebody else's credential.
func (r *run) checkOwner(who string, account quilt.Account, owner string, listed bool) error {
	if owner == "" && r.lists(account, r.value.Key(), listed) {
		owner = account.Email
	}
	if owner == "" && !listed {
		return fault.New[fault.OwnerUnknown]("no key of %s shows that %s (%s) may serve it, and a tag alone does not: "+
			"nothing was created; "+
			`add to the credential's value: "serves": ["%s"]`, r.secret.ARN, who, account.Email, r.secret.Name)
	}
	if owner == "" {
		owner = r.settings.Owner
	}
	if owner == "" {
		return fault.New[fault.OwnerUnknown]("it is not known which registry user the key of %s belongs to: "+
			"the current key is refused and not in %s's list (%s); set the tag quilt-rotate:owner to the user's e-mail address",
			r.secret.ARN, who, account.Email)
	}
	if !quilt.SameUser(account.Email, owner) {
		return fault.New[fault.OwnerChanged]("the key of %s belongs to %s, but %s is %s's; "+
			"nothing was created: use a credential of %s, "+
			"or see the runbook page on moving to another user", r.secret.ARN, owner, who, account.Email, owner)
	}
	r.report.Owner = owner
	return nil
}

// lists reports whether the account's list holds the current key: by the id in its label, or by its fingerprint.
// Whoever owns the secret can set labels, too, so for a credential that does not list the secret the fingerprint must
// fit as well.
func (r *run) lists(account quilt.Account, key apikey.Key, listed bool) bool {
	for _, k := range account.Keys {
		labelled := k.ID == r.current.Key()
		if labelled && listed || (labelled || r.current.Key() == "") && key.Fits(k.Fingerprint) {
			return true
		}
	}
	return false
}
