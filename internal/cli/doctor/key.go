package doctor

import (
	"context"
	"errors"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/schedule"
	"quilt-rotate/internal/vault"
)

// holdsKey takes the current value apart as the functions do.
func (p *patient) holdsKey(ctx context.Context) finding {
	bootstrap := "quilt-rotate bootstrap " + p.name
	current, there := p.secret.Holder(vault.Current)
	if !there {
		return failure(bootstrap, "the secret has no current version")
	}
	p.current = current
	raw, err := p.secret.Raw(ctx, current.ID)
	if errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) {
		return failure(bootstrap, "%s", err)
	}
	if err != nil {
		return broken(err, "")
	}
	p.value, err = apikey.ParseValue(raw, p.rotation.Field)
	if blank, ok := errors.AsType[*apikey.BlankValueError](err); ok {
		return failure(bootstrap, "%s", blank)
	}
	if err != nil {
		return failure("correct the value, or the tag "+apikey.FieldTag, "%s", err)
	}
	if p.value.Field() == "" {
		return ok("the key alone: %s", p.value.Key())
	}
	return ok("JSON, field %s: %s", p.value.Field(), p.value.Key())
}

// sharing looks for another secret that holds the same key: a rotation of the one would have the other's key revoked.
func (p *patient) sharing(context.Context) finding {
	if p.scanErr != nil {
		return broken(p.scanErr, "")
	}
	others := p.holders.Without(p.secret.ARN)
	for _, h := range append(others.OfKey(p.value.Key()), others.Of(quilt.APIKey{ID: p.current.Key()})...) {
		return failure("give each secret its own key: quilt-rotate bootstrap "+h.Secret, "%s holds the same key: a rotation here has it revoked there", h.Secret)
	}
	if len(others.Unread) > 0 {
		return warning("use AWS credentials that may read it", "no other secret that was read holds the key; %s could not be read", others.Unread[0].Secret)
	}
	return ok("no other managed secret holds the key")
}

// logsIn asks who the key belongs to, and for all keys of that user, if it may list them.
func (p *patient) logsIn(ctx context.Context) finding {
	r, there := p.registries[p.url]
	switch {
	case !there:
		return skip("%s", p.noRegistry())
	case r.down != "":
		return skip("%s", r.down)
	}
	p.session = r.client.WithKey(p.value.Key())
	account, err := p.session.Account(ctx)
	p.me, p.keys = account.Identity, account.Keys
	if err != nil && quilt.Refused(err) && !quilt.RefusesLogin(err) {
		p.manageErr = err
		p.me, err = p.session.Me(ctx)
	}
	switch {
	case quilt.RefusesLogin(err):
		return failure("quilt-rotate recover "+p.name, "%s refuses the current key: it has expired, or was revoked", r.host)
	case err != nil:
		return broken(err, "")
	case p.rotation.Owner != "" && !quilt.SameUser(p.rotation.Owner, p.me.Email):
		return failure("put the right user's key in (quilt-rotate bootstrap "+p.name+"), or correct the tag quilt-rotate:owner",
			"the key is %s's, and the tag says %s", p.me.Email, p.rotation.Owner)
	}
	return ok("as %s", p.me.Email)
}

// noFunction reports that no function can say which registry the secret's keys belong to.
func (p *patient) noFunction() bool {
	_, unseen := errors.AsType[*managed.UnseenFunctionError](p.functionErr)
	return unseen || p.secret.Rotation.Function == ""
}

func (p *patient) noRegistry() string {
	if p.noFunction() {
		return "no registry is known; give --registry or --catalog"
	}
	return "the function does not name the registry"
}

// issuerWorks logs in as the issuer: somebody else's keys would have other permissions.
func (p *patient) issuerWorks(ctx context.Context) finding {
	name := p.rotation.Issuer
	if name == "" {
		return skip("none is configured")
	}
	r, there := p.registries[p.url]
	switch {
	case !there:
		return skip("%s", p.noRegistry())
	case r.down != "":
		return skip("%s", r.down)
	}
	value, err := p.cloud.Vault.ReadCurrent(ctx, name)
	switch {
	case awsclient.NotFound(err):
		return failure("create it, or correct issuer in the stack's configuration", "its secret %s does not exist", name)
	case err != nil:
		return broken(err, "")
	}
	session, err := issuer.LogIn(ctx, r.client, name, value, p.secret.Secret)
	var me quilt.Identity
	if err == nil {
		me, err = session.Me(ctx)
	}
	switch owner := p.owner(); {
	case err != nil:
		return broken(err, "correct the value of the secret "+name+`: {"username": …, "password": …, "serves": ["`+p.name+`"]}, or with "api_key" instead of the first two`)
	case owner != "" && !quilt.SameUser(me.Email, owner):
		return failure("store a credential of "+owner+" in "+name, "the issuer is %s, and the key is %s's", me.Email, owner)
	}
	p.issuer = session.Session
	if !session.Listed {
		return warning(`add to the value of the secret `+name+`: "serves": ["`+p.name+`"]`,
			"logs in as %s, and does not list the secrets that it serves: it serves this one only while a key of the secret proves that both have the same user", me.Email)
	}
	return ok("logs in as %s", me.Email)
}

// owner is the current key's user, or the tag's; "" if neither is known.
func (p *patient) owner() string {
	if p.me.Email != "" {
		return p.me.Email
	}
	return p.rotation.Owner
}

// known finds the current key in the registry's list, by its label, else by its fingerprint.
func (p *patient) known(ctx context.Context) finding {
	if p.manageErr != nil {
		p.keys = nil
		if p.issuer == nil {
			return skip("the key may not look at keys")
		}
		account, err := p.issuer.Account(ctx)
		if err != nil {
			return broken(err, "")
		}
		p.keys = account.Keys
	}
	id := p.current.Key()
	var fits []quilt.APIKey
	for _, k := range p.keys {
		switch {
		case id != "" && k.ID == id && !p.value.Key().Fits(k.Fingerprint):
			return failure("see both: quilt-rotate status "+p.name+"; a rotation sets it right: quilt-rotate rotate "+p.name,
				"the label names the key %s, and the value holds another", id)
		case k.ID == id || id == "" && p.value.Key().Fits(k.Fingerprint):
			fits = append(fits, k)
		}
	}
	switch {
	case len(fits) == 1:
		p.key = fits[0]
	case id != "":
		return failure("quilt-rotate rotate "+p.name, "the label names the key %s, which %s does not have", id, p.me.Email)
	case len(fits) == 0:
		return warning("quilt-rotate rotate "+p.name, "the registry's list does not show the key, so it cannot be revoked when it is replaced")
	default:
		return warning("the key will expire by itself; revoke it by hand once it is replaced: quilt-rotate keys revoke",
			"%d keys have its fingerprint, so it is not known which one to revoke when it is replaced", len(fits))
	}
	left := p.key.ExpiresAt.Sub(p.key.RegistryTime)
	if id == "" {
		return ok("%s, expires in %s; the next rotation labels it", p.key.ID, days(left))
	}
	return ok("%s, expires in %s", p.key.ID, days(left))
}

// rotatedInTime compares two services' dates: hours of difference between their clocks would not matter.
func (p *patient) rotatedInTime(context.Context) finding {
	if p.key.ID == "" {
		return skip("the key is not known at the registry")
	}
	next, expires := p.secret.Rotation.Next, p.key.ExpiresAt
	rotate := "quilt-rotate rotate " + p.name
	switch {
	case next.IsZero():
		return failure(deployAgain, "no rotation is scheduled, and the key expires on %s", expires.UTC().Format(time.DateOnly))
	case !next.Before(expires):
		return failure(rotate, "the next rotation is on %s, after the key expires on %s", next.UTC().Format(time.DateOnly), expires.UTC().Format(time.DateOnly))
	case expires.Sub(next) < schedule.Reserve:
		return warning(rotate, "the next rotation, on %s, comes only %s before the key expires", next.UTC().Format(time.DateOnly), days(expires.Sub(next)))
	}
	return ok("rotation on %s, %s before the key expires", next.UTC().Format(time.DateOnly), days(expires.Sub(next)))
}
