package operations

import (
	"cmp"
	"context"
	"errors"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// install replaces the leaked key where no function rotates the secret yet: by a key that the issuer makes, or whoever logs in. What a crash leaves is told
// at [installation]; the same command goes on with a key that an interrupted run has stored.
func (e *emergency) install(ctx context.Context) error {
	e.Tell.Tell(terminal.Noted, "no function rotates the secret yet, so a new key is made here", "")
	rules, err := rotationSettings(ctx, e.secret, e.secret.Tags)
	if err != nil {
		return err
	}
	in := &installation{
		Operator: e.Operator, secret: e.secret, registry: e.options.Registry, settings: rules, owner: cmp.Or(rules.Owner, e.owner),
		again: "quilt-rotate emergency " + e.secret.Name + " --version " + e.result.Leaked.VersionID,
	}
	v := &recovery{installation: in, Recovery: Recovery{Secret: e.secret, Registry: e.options.Registry, LogIn: e.asOwner(in.owner)}}
	in.put, in.needless = v.intoCurrent, e.replacedBy(v)
	done, err := e.putIn(ctx, v)
	if err != nil {
		e.Tell.Tell(terminal.Failed, "the leaked key was not replaced: IT STILL LIVES", "")
		return err
	}
	e.result.NewVersionID, e.result.NewKeyID = done.VersionID, done.Key.KeyID
	e.Tell.Tell(terminal.Done, "replaced: AWSCURRENT is the version "+done.VersionID, "key "+done.Key.Fingerprint)
	return nil
}

// asOwner lets only the user log in whose key has leaked: consumers keep their permissions.
func (e *emergency) asOwner(owner string) Login {
	return func(ctx context.Context, registry *quilt.Client) (*quilt.Session, quilt.Identity, error) {
		session, me, err := e.options.LogIn(ctx, registry)
		if err == nil {
			err = checkOwner(e.secret.Name, owner, me)
		}
		return session, me, err
	}
}

func (e *emergency) putIn(ctx context.Context, v *recovery) (KeyIn, error) {
	current, ok := e.secret.Holder(vault.Current)
	if !ok {
		return KeyIn{}, hint.With(errors.New("no version is current, so there is nothing to replace the leaked key in"), "quilt-rotate status "+e.secret.Name)
	}
	v.current = current
	if value, err := v.installation.value(ctx, current.ID); err == nil {
		v.value = &value
	}
	if k, ok, err := v.leftover(ctx); err != nil {
		return KeyIn{}, err
	} else if ok && !k.secret.Equal(e.leaked) {
		e.Tell.Tell(terminal.Noted, "an interrupted run has stored a key: going on with it", k.id)
		p, err := v.install(ctx, &k)
		done, _, err := v.ended(ctx, Resumed, &k, p, err)
		return done, err
	}
	session, by, err := v.maker(ctx)
	if err != nil {
		return KeyIn{}, err
	}
	p, k, err := v.fresh(ctx, session)
	done, _, err := v.ended(ctx, Installed, &k, p, err)
	done.MadeBy = by
	return done, err
}

// replacedBy tells whether the current value holds another key than the leaked one, which logs in: somebody else was faster.
func (e *emergency) replacedBy(v *recovery) func(context.Context, redact.Text) (bool, error) {
	return func(ctx context.Context, raw redact.Text) (bool, error) {
		value, err := apikey.ParseValue(raw, v.settings.Field)
		if err != nil || value.Key().Equal(e.leaked) {
			return false, nil //nolint:nilerr // a value that holds no key needs one
		}
		_, err = e.options.Registry.WithKey(value.Key()).Me(ctx)
		if quilt.RefusesLogin(err) {
			return false, nil
		}
		return err == nil, err
	}
}
