package issuer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Values reads values of secrets; [vault.Vault] implements it.
type Values interface {
	ReadIfAny(ctx context.Context, secretARN, versionID string) (redact.Text, error)
	ReadCurrent(ctx context.Context, secretID string) (redact.Text, error)
}

// Candidates are the credentials that may create a key for a secret: the current key, the previous
// version's key, the issuing credential. The first that logs in as the key's owner is the creator.
// A registry creates keys for the caller only, so the creator decides whose the new key is. Its
// owner is known and compared before anything is created.
type Candidates struct {
	Values   Values
	Registry Registry
	Secret   vault.Secret
	Current  apikey.Key
	Settings settings.Rotation
}

// candidate is a credential that may become the creator.
type candidate struct {
	name string
	open func(context.Context) (Session, error)
}

// Creator is a candidate that logged in, and is the key's owner.
type Creator struct {
	Session *quilt.Session
	Account quilt.Account
}

func (c Candidates) list() []candidate {
	list := []candidate{{"the current key", func(context.Context) (Session, error) {
		return Session{Session: c.Registry.WithKey(c.Current), Listed: true}, nil
	}}}
	if previous, ok := c.Secret.Holder(vault.Previous); ok {
		list = append(list, candidate{"the previous key", func(ctx context.Context) (Session, error) {
			return c.openVersion(ctx, previous.ID)
		}})
	}
	if c.Settings.Issuer != "" {
		list = append(list, candidate{"the issuing credential", c.openIssuer})
	}
	return list
}

// errUnusable says that a version has nothing to log in with.
var errUnusable = errors.New("its version cannot be used")

// openVersion returns a session with the key that a version holds. A version that cannot be read,
// because its KMS key is disabled, is no reason to fail while there is another credential.
func (c Candidates) openVersion(ctx context.Context, versionID string) (Session, error) {
	value, err := vault.ReadValue(ctx, c.Values.ReadIfAny, c.Secret.ARN, versionID, c.Settings.Field)
	if err != nil {
		return Session{}, fmt.Errorf("%w: %w", errUnusable, err)
	}
	return Session{Session: c.Registry.WithKey(value.Key()), Listed: true}, nil
}

// openIssuer logs in with the issuing credential that the secret's tag names.
func (c Candidates) openIssuer(ctx context.Context) (Session, error) {
	value, err := c.Values.ReadCurrent(ctx, c.Settings.Issuer)
	if err != nil {
		return Session{}, fault.New[fault.BadIssuer]("the issuing credential of %s cannot be read: %w",
			c.Secret.ARN, err)
	}
	return LogIn(ctx, c.Registry, c.Settings.Issuer, value, c.Secret)
}

// Use uses the first candidate that is the owner's and is not refused. If one is refused, the next
// one is tried. Any other failure ends the step, because the registry may have done what it was
// asked.
func (c Candidates) Use(ctx context.Context, use func(context.Context, Creator) error) error {
	var refusals []string
	var notOwner error
	owner := ""
	for i, next := range c.list() {
		opened, err := c.open(ctx, next, i == 0, &owner)
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
		refusals = append(refusals, next.name+": "+err.Error())
	}
	if notOwner != nil {
		return notOwner
	}
	return fault.New[fault.NoCreator]("no credential of %s may create a key (%s); "+
		"configure an issuing credential (tag quilt-rotate:issuer), "+
		"or run: quilt-rotate recover %s", c.Secret.ARN, strings.Join(refusals, "; "), c.Secret.Name)
}

func isNotOwner(err error) bool {
	_, changed := errors.AsType[*fault.OwnerChanged](err)
	_, unknown := errors.AsType[*fault.OwnerUnknown](err)
	return changed || unknown
}

// open logs in with a candidate. The current key, which is the first one, shows who the owner is.
// It may do so even if it may not list keys.
func (c Candidates) open(ctx context.Context, next candidate, isCurrent bool, owner *string) (Creator, error) {
	session, err := next.open(ctx)
	if err != nil {
		return Creator{}, err
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
		return Creator{}, err
	}
	return Creator{session.Session, account}, c.checkOwner(next.name, account, *owner, session.Listed)
}

// checkOwner refuses a creator that is another user than the key's owner: consumers would have
// other permissions. The owner is the current key's user, if that key still logs in; else the user
// whose list holds that key (expired keys stay listed); else the tag's, unless the credential does
// not list the secret: whoever set the tag may have set it to reach somebody else's credential.
func (c Candidates) checkOwner(who string, account quilt.Account, owner string, listed bool) error {
	if owner == "" && c.lists(account, listed) {
		owner = account.Email
	}
	if owner == "" && !listed {
		return fault.New[fault.OwnerUnknown]("no key of %s shows that %s (%s) may serve it, and a tag alone does not: "+
			"nothing was created; "+
			`add to the credential's value: "serves": ["%s"]`, c.Secret.ARN, who, account.Email, c.Secret.Name)
	}
	if owner == "" {
		owner = c.Settings.Owner
	}
	if owner == "" {
		return fault.New[fault.OwnerUnknown]("it is not known which registry user the key of %s belongs to: "+
			"the current key is refused and not in %s's list (%s); set the tag quilt-rotate:owner to the user's "+
			"e-mail address",
			c.Secret.ARN, who, account.Email)
	}
	if !quilt.SameUser(account.Email, owner) {
		return fault.New[fault.OwnerChanged]("the key of %s belongs to %s, but %s is %s's; "+
			"nothing was created: use a credential of %s, "+
			"or see the runbook page on moving to another user", c.Secret.ARN, owner, who, account.Email, owner)
	}
	return nil
}

// lists reports whether the account's list holds the current key: by the id in its label, or by its
// fingerprint. Whoever owns the secret can set labels, too, so for a credential that does not list
// the secret the fingerprint must fit as well.
func (c Candidates) lists(account quilt.Account, listed bool) bool {
	current, _ := c.Secret.Holder(vault.Current)
	for _, k := range account.Keys {
		labelled := k.ID == current.Key()
		if labelled && listed || (labelled || current.Key() == "") && c.Current.Fits(k.Fingerprint) {
			return true
		}
	}
	return false
}
