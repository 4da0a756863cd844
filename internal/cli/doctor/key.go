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
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/settings/schedule"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// holdsKey finds the key in the current value in the same way as the functions.
func (p *examined) holdsKey(ctx context.Context) finding {
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

// sharing searches for another secret that holds the same key. When one of the secrets is rotated,
// its sweeps revoke the key.
func (p *examined) sharing(context.Context) finding {
	if p.scanErr != nil {
		return broken(p.scanErr, "")
	}
	others := p.holders.Without(p.secret.ARN)
	if holders := append(others.OfKey(p.value.Key()), others.Of(quilt.APIKey{ID: p.current.Key()})...); len(
		holders) > 0 {
		h := holders[0]
		here := p.newKey(p.name, p.secret.Rotation.Function)
		if h.Stage == "" || h.Deleted {
			return failure(here, "a version of %s that is not current holds the same key, and the sweeps of that "+
				"secret revoke it", h.Secret)
		}
		function := ""
		for _, l := range others.Secrets {
			if l.ARN == h.ARN {
				function = l.Function
			}
		}
		return failure("before the grace period is over: "+p.newKey(h.Secret, function)+", then: "+here,
			"%s holds the same key: when one of the two secrets is rotated, the key is revoked for both", h.Secret)
	}
	if len(others.Unread) > 0 {
		return warning("use AWS credentials that may read it", "no other secret that was read holds the key; %s "+
			"could not be read, and may hold it", others.Unread[0].Secret)
	}
	return ok("no other managed secret holds the key")
}

// newKey returns the command that stores a new key in a secret.
func (p *examined) newKey(secret, function string) string {
	switch {
	case function != "":
		return "quilt-rotate rotate " + secret
	case p.url == "":
		return "quilt-rotate recover " + secret + " --replace --registry URL"
	}
	return "quilt-rotate recover " + secret + " --replace --registry " + p.url
}

// logsIn reads the owner of the key, and all keys of the owner if the key has permission to list
// them.
func (p *examined) logsIn(ctx context.Context) finding {
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
		return failure("quilt-rotate recover "+p.name, "%s refuses the current key: it has expired or was revoked",
			r.host)
	case err != nil:
		return broken(err, "")
	case p.rotation.Owner != "" && !quilt.SameUser(p.rotation.Owner, p.me.Email):
		return failure("to store a key of that user: quilt-rotate recover "+p.name+" --replace --new-owner; to "+
			"correct the tag: aws secretsmanager tag-resource --secret-id "+p.name+
			" --tags Key="+settings.TagOwner+",Value="+p.me.Email, "the key belongs to %s, but the tag %s names %s",
			p.me.Email, settings.TagOwner, p.rotation.Owner)
	}
	return ok("as %s", p.me.Email)
}

// noFunction reports whether no function can be read that names the registry.
func (p *examined) noFunction() bool {
	_, unseen := errors.AsType[*managed.UnseenFunctionError](p.functionErr)
	return unseen || p.secret.Rotation.Function == ""
}

func (p *examined) noRegistry() string {
	if p.noFunction() {
		return "no registry is known; give --registry or --catalog"
	}
	return "the function does not name the registry"
}

// issuerWorks logs in with the issuing credential and checks that it belongs to the owner of the
// key, because keys of another user have other permissions.
func (p *examined) issuerWorks(ctx context.Context) finding {
	name := p.rotation.Issuer
	if name == "" {
		return skip("no issuing credential is configured")
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
		return failure("create it, or correct the tag "+settings.TagIssuer, "its secret %s does not exist", name)
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
		return broken(err, "correct the value of the secret "+name+`: {"username": …, "password": …, "serves": ["`+
			p.name+`"]}, or with "api_key" instead of the first two`)
	case owner != "" && !quilt.SameUser(me.Email, owner):
		return failure("store a credential of "+owner+" in "+name, "the issuing credential belongs to %s, but the "+
			"key belongs to %s", me.Email, owner)
	}
	p.issuer = session.Session
	if !session.Listed {
		return warning(`add to the value of the secret `+name+`: "serves": ["`+p.name+`"]`,
			"logs in as %s, but its value does not list the secrets that it serves; then it serves this secret only "+
				"while a key of the secret shows that both belong to the same user", me.Email)
	}
	return ok("logs in as %s", me.Email)
}

// owner returns the user of the current key, or the user that the tag names, or "".
func (p *examined) owner() string {
	if p.me.Email != "" {
		return p.me.Email
	}
	return p.rotation.Owner
}

// known finds the current key in the registry's list by its label, or by its fingerprint if it has
// no label.
func (p *examined) known(ctx context.Context) finding {
	if p.manageErr != nil {
		p.keys = nil
		if p.issuer == nil {
			return skip("the key has no permission to read keys")
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
		if id != "" && k.ID == id || id == "" && p.value.Key().Fits(k.Fingerprint) {
			fits = append(fits, k)
		}
	}
	rotate := "quilt-rotate rotate " + p.name
	switch {
	case len(fits) == 0 && id != "":
		return failure(rotate, "the label names the key %s, but %s has no such key", id, p.me.Email)
	case len(fits) == 0:
		return failure(rotate, "the registry does not list the key, so it cannot be revoked when it is replaced")
	case len(fits) > 1:
		return failure(rotate, "%d keys have the fingerprint of the current key, so its id is not known; when the key "+
			"is replaced, it is not revoked and stays valid until it expires", len(fits))
	case p.value.Key().Contradicts(fits[0].Fingerprint):
		return failure(rotate, "the label names the key %s, but the value holds another key", id)
	}
	p.key = fits[0]
	left := p.key.ExpiresAt.Sub(p.key.RegistryTime)
	if id == "" {
		return ok("%s, expires in %s; the next rotation labels it", p.key.ID, days(left))
	}
	return ok("%s, expires in %s", p.key.ID, days(left))
}

// rotatedInTime compares dates of two services. A difference of hours between their clocks does not
// matter.
func (p *examined) rotatedInTime(context.Context) finding {
	next, expires := p.secret.Rotation.Next, p.key.ExpiresAt
	rotate := "quilt-rotate rotate " + p.name
	switch {
	case next.IsZero():
		return failure(deployAgain, "no rotation is scheduled, and the key expires on %s",
			expires.UTC().Format(time.DateOnly))
	case !next.Before(expires):
		return failure(rotate, "the next rotation is on %s, after the key expires on %s",
			next.UTC().Format(time.DateOnly), expires.UTC().Format(time.DateOnly))
	case expires.Sub(next) < schedule.Reserve:
		return warning(rotate, "the next rotation, on %s, is only %s before the key expires",
			next.UTC().Format(time.DateOnly), days(expires.Sub(next)))
	}
	return ok("rotation on %s, %s before the key expires", next.UTC().Format(time.DateOnly), days(expires.Sub(next)))
}

// prompt is the delay within which the registry must show a use, so that it counts as recorded at
// once.
const prompt = 2 * time.Minute

// useIsRecorded logs in and checks whether the registry shows this use, because a sweep holds a
// superseded key while it is used. A registry may record only the day or the hour. Sweeps take this
// into account ([quilt.APIKey.LatestUse]).
func (p *examined) useIsRecorded(ctx context.Context) finding {
	session := p.session
	if p.manageErr != nil {
		if _, err := p.session.Me(ctx); err != nil {
			return broken(err, "")
		}
		session = p.issuer
	}
	login, err := session.Login(ctx, p.key.ID)
	if err != nil {
		return broken(err, "")
	}
	if login.Key == nil || login.Key.LastUsedAt == nil {
		return warning("make the grace period long enough for every consumer to read the secret again (the caches of "+
			"the AWS SDKs keep a secret for an hour)",
			"the registry records no use of keys, so only the grace period decides when a superseded key is revoked")
	}
	if lag := login.RegistryTime.Sub(*login.Key.LatestUse()); lag >= prompt {
		return warning("make the quiet period longer than this delay", "the registry records use late: right after a "+
			"login, the last recorded use is %s old", terminal.About(lag))
	}
	return ok("recorded at once")
}
