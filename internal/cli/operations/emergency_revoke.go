package operations

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// revoke revokes the leaked key and no other key, and verifies that the registry refuses it. A
// sweep cannot do this, because it waits until the grace period is over and does not read other
// secrets. The key is revoked by its text, with a login of the current key, or of the leaked key,
// or of the issuing credential. The labels are removed after the verification.
//
// Right before each attempt, everything that protects a key is checked again, because time has
// passed since the first check. After a crash, the same command checks the state of the key.
func (e *emergency) revoke(ctx context.Context) error {
	for _, v := range e.superseded() {
		if v.ID != e.result.Leaked.VersionID {
			e.Progress.Report(terminal.Noted,
				"the key of the version "+short(v.ID)+" stays until its grace period is over", v.Key())
		}
	}
	known, err := e.evidence(ctx)
	if err != nil {
		return err
	}
	checked, err := checkKey(ctx, e.options.Registry, e.leaked, known)
	if err == nil && checked.State == KeyUnknown && e.options.Admin {
		checked, err = e.askAdmin(ctx, &known)
	}
	if err != nil {
		return err
	}
	if checked.State != KeyRefused {
		e.Progress.Doing("waiting until the other managed secrets have been read")
		others, err := e.scan.result(ctx)
		if err != nil && !e.options.Anyway {
			return terminal.WithHint(fmt.Errorf("it is not known whether another secret holds the leaked key, so it "+
				"is not revoked: %w", awsclient.Explain(err)), anyway)
		}
		e.Progress.Doing("revoking the leaked key")
		err = e.RevokeKey(ctx, KeyRevocation{
			Evidence: known, Registry: e.options.Registry, Key: e.leaked,
			Before: func(ctx context.Context) error { return e.mayRevoke(ctx, others) },
		})
		if err != nil {
			e.Progress.Report(terminal.Failed, "IT IS NOT VERIFIED THAT THE REGISTRY REFUSES THE LEAKED KEY", "")
			return err
		}
		e.Progress.Report(terminal.Done, "revoked "+e.leaked.Fingerprint(), "")
	}
	e.result.LeakedRefused = true
	e.Progress.Report(terminal.Done, "verified: the registry refuses the leaked key", "")
	ctx, cancel := ending(ctx)
	defer cancel()
	e.unlabel(ctx)
	return nil
}

const anyway = "to revoke it anyway, add --anyway"

// mayRevoke requires that AWSCURRENT holds another key that logs in, and that neither AWSPENDING
// nor another secret holds the leaked key.
func (e *emergency) mayRevoke(ctx context.Context, others *managed.Holders) error {
	if err := e.heldElsewhere(ctx, others); err != nil {
		return err
	}
	if err := e.secret.Look(ctx); err != nil {
		return err
	}
	protected, err := e.isProtected(ctx)
	if err != nil {
		return err
	}
	if protected {
		return errors.New("the leaked key is current or pending again, so it is not revoked: somebody changed the " +
			"secret while this command ran")
	}
	session, err := e.asCurrent(ctx)
	if err == nil {
		_, err = session.Me(ctx)
	}
	if err != nil && (!quilt.Refused(err) || quilt.RefusesLogin(err)) {
		return terminal.WithHint(fmt.Errorf("the current key does not log in, so the leaked key is not revoked: %w",
			err),
			fmt.Sprintf("if its user was deactivated, activate the user; otherwise store a key that works: "+
				"quilt-rotate "+
				"recover %[1]s\n"+
				"if its user stays deactivated, revoke the key as an administrator, and then verify it: quilt-rotate "+
				"keys revoke --admin --anyway %[2]s; quilt-rotate emergency %[1]s --version %[3]s --admin",
				e.secret.Name, cmp.Or(e.result.Leaked.KeyID, "ID"), e.result.Leaked.VersionID))
	}
	return nil
}

// heldElsewhere returns an error if the current or pending value of another managed secret contains
// the leaked key or cannot be read. It reads again only the secrets that may hold the key, because
// there is no time to read all of them. A superseded version of another secret does not protect the
// key, because otherwise two secrets that hold one key would wait for each other.
func (e *emergency) heldElsewhere(ctx context.Context, scanned *managed.Holders) error {
	if e.options.Anyway {
		return nil
	}
	now, err := scanned.Refresh(ctx, e.leaked)
	if err != nil {
		return terminal.WithHint(fmt.Errorf("it is not known whether another secret holds the leaked key, so it is "+
			"not revoked: %w", awsclient.Explain(err)), anyway)
	}
	others := now.Without(e.secret.ARN)
	for _, h := range others.OfKey(e.leaked) {
		if h.Stage != "" {
			first := fmt.Sprintf("first: quilt-rotate emergency %s --registry %s", h.Secret, e.options.Registry.URL())
			switch {
			case h.Issuer:
				first = "first store another issuing credential there: aws secretsmanager " +
					"put-secret-value --secret-id " + h.Secret
			case h.Beside: // an emergency for that secret would revoke its own key, which has not leaked
				first = "first remove it from the value, or put another key there: aws secretsmanager " +
					"put-secret-value --secret-id " + h.Secret
			}
			return terminal.WithHint(fmt.Errorf("the secret %s also holds the leaked key, so it is not revoked yet",
				h.Secret), first+"\n"+anyway)
		}
	}
	for _, h := range others.Of(quilt.APIKey{ID: e.result.Leaked.KeyID}) {
		if h.Deleted {
			return terminal.WithHint(fmt.Errorf("the secret %s, which is marked for deletion and can be restored, "+
				"also holds the leaked key, so it is not revoked yet", h.Secret),
				"to restore it: "+managed.RestoreCommand(h.Secret)+"; if nobody needs it, add --anyway")
		}
	}
	for _, u := range others.Unread {
		return terminal.WithHint(fmt.Errorf("the secret %s cannot be read and may also hold the leaked key, so the "+
			"key is not revoked: %w", u.Secret, awsclient.Explain(u.Err)),
			"use credentials that may read all managed secrets; "+anyway)
	}
	return nil
}

func (e *emergency) asCurrent(ctx context.Context) (*quilt.Session, error) {
	holder, ok := e.secret.Holder(vault.Current)
	if !ok {
		return nil, errors.New("no version is current")
	}
	value, err := e.secret.Value(ctx, holder.ID)
	if err != nil {
		return nil, err
	}
	return e.options.Registry.WithKey(value.Key()), nil
}

func (e *emergency) asLeaked(context.Context) (*quilt.Session, error) {
	return e.options.Registry.WithKey(e.leaked), nil
}

func (e *emergency) asIssuer(ctx context.Context) (*quilt.Session, error) {
	name := e.secret.Tags[settings.TagIssuer]
	if name == "" {
		return nil, errors.New("there is no issuing credential")
	}
	value, err := e.Cloud.Vault.ReadCurrent(ctx, name)
	if err != nil {
		return nil, err
	}
	session, err := issuer.LogIn(ctx, e.options.Registry, name, value, e.secret.Secret)
	return session.Session, err
}

// askAdmin asks an administrator to log in. An administrator can see whether the key exists even if
// its user is deactivated.
func (e *emergency) askAdmin(ctx context.Context, known *Evidence) (Checked, error) {
	session, me, err := e.options.LogIn(ctx, e.options.Registry)
	if err != nil {
		return Checked{}, err
	}
	if !me.IsAdmin {
		return Checked{}, terminal.WithHint(fmt.Errorf("%s is not an administrator of the registry", me.Email),
			"log in as an administrator, or leave --admin out")
	}
	known.Sessions = append(known.Sessions, session)
	return checkKey(ctx, e.options.Registry, e.leaked, *known)
}

// evidence returns the facts that decide whether a refusal of the leaked key counts. The owner of
// the key is the user that it logged in as, or else the owner of the secret.
func (e *emergency) evidence(ctx context.Context) (Evidence, error) {
	if e.isOwn && e.result.Leaked.KeyID == "" { // the rotation may have labelled it
		e.result.Leaked.KeyID = e.secret.Versions[e.result.Leaked.VersionID].Key()
	}
	known := Evidence{KeyID: e.result.Leaked.KeyID, Owner: cmp.Or(e.owner, e.secret.Tags[settings.TagOwner])}
	for _, by := range []func(context.Context) (*quilt.Session, error){e.asCurrent, e.asLeaked, e.asIssuer} {
		session, err := by(ctx)
		if err != nil {
			continue
		}
		if known.Owner == "" && len(known.Sessions) == 0 { // as the current key
			me, _ := session.Me(ctx)
			known.Owner = me.Email
		}
		known.Sessions = append(known.Sessions, session)
	}
	if e.owner == "" {
		if over, err := e.handedOver(ctx, e.secret, e.result.Leaked.VersionID); over || err != nil {
			known.Owner = ""
		}
	}
	return known, ctx.Err()
}

// unlabel removes the labels of the leaked key's version if a session of its owner does not find
// the key. A sweep cannot always do this: if no sweep has seen the version superseded, the owner of
// the key is not recorded. After a crash or a failure, the next sweep removes or reports the rest.
func (e *emergency) unlabel(ctx context.Context) {
	id := e.result.Leaked.KeyID
	session, err := e.asCurrent(ctx)
	if err != nil || id == "" {
		return
	}
	if l, err := session.Login(ctx, id); err != nil || l.Key != nil || !quilt.SameUser(l.Email, e.owner) {
		return
	}
	err = e.secret.Look(ctx)
	if v := e.secret.Versions[e.result.Leaked.VersionID]; err == nil && !v.Has(vault.Current) && len(v.Keys) == 1 &&
		v.Key() == id {
		labels := []string{vault.KeyLabel(id)}
		for _, mark := range v.Marks {
			labels = append(labels, mark.Label())
		}
		err = e.detach(ctx, e.secret, v.ID, labels...)
	}
	if err != nil {
		e.Progress.Report(terminal.Warned,
			"the labels of the leaked key were not removed", awsclient.Explain(err).Error())
	}
}
