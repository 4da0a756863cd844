package rotation

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// The maker is the first credential of the owner that logs in and may make a key: the current key, the previous version's key, the
// issuer. A registry makes keys for the caller only, so the maker decides whose key it will be: the owner is known, and compared,
// before anything is made.

// candidate is a credential that may become the maker.
type candidate struct {
	name string
	open func(context.Context) (issuer.Session, error)
}

// maker is a candidate that logged in, and is the key's owner.
type maker struct {
	session *quilt.Session
	account quilt.Account
}

func (r *run) candidates(current apikey.Value) []candidate {
	list := []candidate{{"the current key", func(context.Context) (issuer.Session, error) {
		return issuer.Session{Session: r.Registry.WithKey(current.Key()), Listed: true}, nil
	}}}
	if previous, ok := r.secret.Holder(vault.Previous); ok {
		list = append(list, candidate{"the previous key", func(ctx context.Context) (issuer.Session, error) { return r.openVersion(ctx, previous.ID) }})
	}
	if r.settings.Issuer != "" {
		list = append(list, candidate{"the issuer", r.openIssuer})
	}
	return list
}

// errNoKey says that a version holds no key to log in with.
var errNoKey = errors.New("its version holds no key")

func (r *run) openVersion(ctx context.Context, versionID string) (issuer.Session, error) {
	raw, err := r.Vault.ReadIfAny(ctx, r.secret.ARN, versionID)
	if errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) {
		return issuer.Session{}, errNoKey
	}
	if err != nil {
		return issuer.Session{}, err
	}
	value, err := apikey.ParseValue(raw, r.settings.Field)
	if err != nil {
		return issuer.Session{}, errNoKey
	}
	return issuer.Session{Session: r.Registry.WithKey(value.Key()), Listed: true}, nil
}

// openIssuer logs in with the issuing credential that the secret's tag names.
func (r *run) openIssuer(ctx context.Context) (issuer.Session, error) {
	value, err := r.Vault.ReadCurrent(ctx, r.settings.Issuer)
	if err != nil {
		return issuer.Session{}, fault.New[fault.BadIssuer]("the issuer of %s cannot be read: %w", r.secret.ARN, err)
	}
	return issuer.LogIn(ctx, r.Registry, r.settings.Issuer, value, r.secret)
}

// withMaker uses the first candidate that is the owner's and is not refused. Another makes room for the next; anything else that goes
// wrong ends the step, since what was asked may have been done.
func (r *run) withMaker(ctx context.Context, current apikey.Value, use func(context.Context, maker) error) error {
	var refusals []string
	var notOwner error
	owner := ""
	for i, c := range r.candidates(current) {
		m, err := r.open(ctx, c, i == 0, current, &owner)
		if isNotOwner(err) {
			notOwner = cmp.Or(notOwner, err)
			continue
		}
		if err == nil {
			err = use(ctx, m)
		}
		if err == nil || !quilt.Refused(err) && !errors.Is(err, errNoKey) {
			return err
		}
		refusals = append(refusals, c.name+": "+err.Error())
	}
	if notOwner != nil {
		return notOwner
	}
	return fault.New[fault.NoMaker]("no credential of %s may make a key (%s); configure an issuer (tag quilt-rotate:issuer), or run: quilt-rotate recover %s",
		r.secret.ARN, strings.Join(refusals, "; "), r.secret.Name)
}

func isNotOwner(err error) bool {
	_, changed := errors.AsType[*fault.OwnerChanged](err)
	_, unknown := errors.AsType[*fault.OwnerUnknown](err)
	return changed || unknown
}

func (r *run) open(ctx context.Context, c candidate, isCurrent bool, current apikey.Value, owner *string) (maker, error) {
	session, err := c.open(ctx)
	if err != nil {
		return maker{}, err
	}
	account, err := session.Account(ctx)
	switch {
	case err != nil && isCurrent:
		*owner = r.ownerOfLimited(ctx, session.Session, err)
		return maker{}, err
	case err != nil:
		return maker{}, err
	case isCurrent:
		*owner = account.Email
	}
	return maker{session.Session, account}, r.checkOwner(c.name, account, current, *owner, session.Listed)
}

// ownerOfLimited asks a key that may not list keys whose it is: it may still be good for everything else.
func (r *run) ownerOfLimited(ctx context.Context, session *quilt.Session, refusal error) string {
	if !quilt.Refused(refusal) || quilt.RefusesLogin(refusal) {
		return ""
	}
	me, err := session.Me(ctx)
	if err != nil {
		return ""
	}
	return me.Email
}

// checkOwner refuses a maker that is another user than the key's owner: consumers would wake up with other permissions. The owner is the
// current key's user, where it still logs in; else the user whose list holds that key (expired keys stay listed); else the tag's,
// unless the credential does not list the secret: whoever set the tag may have set it to reach somebody else's credential.
func (r *run) checkOwner(who string, account quilt.Account, current apikey.Value, owner string, listed bool) error {
	if owner == "" && r.lists(account, current.Key(), listed) {
		owner = account.Email
	}
	if owner == "" && !listed {
		return fault.New[fault.OwnerUnknown]("no key of %s shows that %s (%s) may serve it, and a tag alone does not: nothing was created; "+
			`add to the credential's value: "serves": ["%s"]`, r.secret.ARN, who, account.Email, r.secret.Name)
	}
	if owner == "" {
		owner = r.settings.Owner
	}
	if owner == "" {
		return fault.New[fault.OwnerUnknown]("nothing tells which registry user the key of %s belongs to: the current key is refused and not in %s's list (%s); "+
			"set the tag quilt-rotate:owner to the user's e-mail address", r.secret.ARN, who, account.Email)
	}
	if !quilt.SameUser(account.Email, owner) {
		return fault.New[fault.OwnerChanged]("the key of %s belongs to %s, but %s is %s's; nothing was made: use a credential of %s, or see the runbook page on moving to another user",
			r.secret.ARN, owner, who, account.Email, owner)
	}
	r.report.Owner = owner
	return nil
}

// lists reports whether the account's list holds the current key: by the id in its label, or by its fingerprint. Whoever owns the secret can set
// labels, too, so for a credential that does not list the secret the fingerprint must fit as well.
func (r *run) lists(account quilt.Account, key apikey.Key, listed bool) bool {
	for _, k := range account.Keys {
		labelled := k.ID == r.current.Key()
		if labelled && listed || (labelled || r.current.Key() == "") && key.Fits(k.Fingerprint) {
			return true
		}
	}
	return false
}
