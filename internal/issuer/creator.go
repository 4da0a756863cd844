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

// Values reads values of secrets. [vault.Vault] implements it.
type Values interface {
	ReadIfAny(ctx context.Context, secretARN, versionID string) (redact.Text, error)
	ReadCurrent(ctx context.Context, secretID string) (redact.Text, error)
}

// Candidates are the credentials that may create a key for a secret: the current key, the previous
// version's key, and the issuing credential, in this order. The first one that logs in as the
// current key's owner becomes the creator. A registry creates keys only for the caller, so the new
// key belongs to the creator's user. That user is compared with the owner before anything is
// created.
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

// Creator is a candidate that has logged in as the key's owner.
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

// errUnusable says that a version has no key to log in with.
var errUnusable = errors.New("its version cannot be used")

// openVersion returns a session with the key that a version holds. If the version cannot be read,
// for example because its KMS key is disabled, the next candidate is tried.
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

// Use calls use with the first candidate that belongs to the owner and is not refused. If a
// candidate is refused, the next one is tried. Any other error is returned at once, because the
// registry may have carried out the request.
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

// open logs in with a candidate. The login of the current key, the first candidate, shows who the
// owner is, even if that key may not list keys.
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

// checkOwner fails if the candidate's user is not the owner of the current key, because consumers
// would get other permissions. The owner is the first of these that is known:
//
//   - the user of the current key, if the key logs in
//   - the candidate's user, if the current key is in that user's list (expired keys stay listed)
//   - the user that the tag names, if the credential lists the secret. Otherwise somebody may have
//     set the tag to use another team's credential.
func (c Candidates) checkOwner(who string, account quilt.Account, owner string, listed bool) error {
	if owner == "" && c.lists(account, listed) {
		owner = account.Email
	}
	if owner == "" && !listed {
		return fault.New[fault.OwnerUnknown]("no key of %s shows that %s (%s) may serve it, "+
			"and a tag alone does not; nothing was created; "+
			`add to the credential's value: "serves": ["%s"]`, c.Secret.ARN, who, account.Email, c.Secret.Name)
	}
	if owner == "" {
		owner = c.Settings.Owner
	}
	if owner == "" {
		return fault.New[fault.OwnerUnknown]("it is not known which registry user the key of %s belongs to: "+
			"the registry refuses the current key, and the key is not in the list of %s (%s); "+
			"set the tag quilt-rotate:owner to the user's e-mail address", c.Secret.ARN, who, account.Email)
	}
	if !quilt.SameUser(account.Email, owner) {
		return fault.New[fault.OwnerChanged]("the key of %s belongs to %s, but %s belongs to %s; "+
			"nothing was created; use a credential of %s, "+
			"or see the runbook page on moving to another user", c.Secret.ARN, owner, who, account.Email, owner)
	}
	return nil
}

// lists reports whether the account's list contains the current key, by the id in its label or by
// its fingerprint. The secret's owner can also set labels, so the fingerprint must fit, too, if the
// credential does not list the secret.
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
