package operations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Recovery is how a secret gets a key that works.
type Recovery struct {
	Secret   *managed.Secret
	Registry *quilt.Client
	NewOwner bool // the new key may belong to another registry user
	Replace  bool // store a new key although the current one logs in
	LogIn    Login

	confirmed  bool   // that the current key is replaced
	knownOwner string // whose the current key is, by a login with it; "": not known
}

// Recover gives a secret a key that works if the registry refuses the current one: one that an
// older version holds, else a new one that the issuing credential creates, else a new one that
// whoever logs in creates. Every other field of the current value is unchanged. If somebody
// overwrote the value, so that it holds no key, AWSCURRENT moves back to the last version whose key
// logs in.
//
// What a crash leaves is described at [installation] and [move]. Running it again continues from
// there, because what is left is an older version whose key logs in. A rotation that is under way
// ends if a version is stored, because Secrets Manager abandons it then. If AWSCURRENT only moves,
// that rotation continues: both moves are compare-and-swaps, and whichever comes last has logged in
// with its key right before.
func (d *Operator) Recover(ctx context.Context, r Recovery) (KeyIn, error) {
	s := r.Secret
	rules, err := rotationSettings(ctx, s, s.Tags)
	if err != nil {
		return KeyIn{}, err
	}
	former, again := s.Tags[settings.TagOwner], "quilt-rotate recover "+s.Name
	for _, option := range []struct {
		given bool
		text  string
	}{{r.Replace, " --replace"}, {r.NewOwner, " --new-owner"}, {!s.RegistryTagged(), " --registry " +
		r.Registry.URL()}} {
		if option.given {
			again += option.text
		}
	}
	in := &installation{Operator: d, secret: s, registry: r.Registry, settings: rules, owner: rules.Owner, again: again}
	v := &recovery{installation: in, Recovery: r}
	in.put, in.needless = v.intoCurrent, v.works
	done, ended, err := v.diagnose(ctx)
	if ended || err != nil {
		return done, left(err, "nothing was changed")
	}
	if r.Replace && v.value != nil {
		done, err = v.replace(ctx)
	} else if done, ended, err = v.older(ctx); !ended && err == nil {
		done, err = v.new(ctx)
	}
	faster := done.Outcome == Works && !quilt.SameUser(done.Key.Owner, v.owner) || errors.Is(err, errMoved)
	if faster && s.Tags[settings.TagOwner] != former {
		err = errors.Join(err, v.takeBack(ctx, s, former))
	}
	if err != nil {
		return done, err
	}
	return v.warned(ctx, done)
}

// recovery is a recovery under way.
type recovery struct {
	*installation
	Recovery
	current    vault.Version
	value      *apikey.Value // the current one; nil: it holds no key
	reason     error         // why it holds none
	handedOver bool          // the current key may be a former owner's
}

// intoCurrent is the current value with the key in place of its own.
func (v *recovery) intoCurrent(raw redact.Text, key apikey.Key) (redact.Text, error) {
	value, err := apikey.ParseValue(raw, v.settings.Field)
	if isBlank(err) {
		return managed.PutFirstKey(raw, v.settings.Field, key)
	}
	if err != nil {
		return redact.Text{}, err
	}
	return value.WithKey(key)
}

// works reports whether the current value holds a key that logs in: another command or a rotation
// may have stored one meanwhile. The key that is to be replaced does not count.
func (v *recovery) works(ctx context.Context, raw redact.Text) (bool, error) {
	value, err := apikey.ParseValue(raw, v.settings.Field)
	if err != nil || v.Replace && v.value != nil && value.Key().Equal(v.value.Key()) {
		return false, nil
	}
	_, err = v.registry.WithKey(value.Key()).Me(ctx)
	if quilt.RefusesLogin(err) {
		return false, nil
	}
	return err == nil, err
}

// diagnose finds out what is wrong. ended reports that nothing is.
func (v *recovery) diagnose(ctx context.Context) (_ KeyIn, ended bool, err error) {
	s := v.secret
	current, ok := s.Holder(vault.Current)
	if !ok {
		return KeyIn{}, false, terminal.WithHint(fmt.Errorf("the secret %s never had a value", s.Name),
			"run: quilt-rotate bootstrap "+s.Name)
	}
	v.current = current
	value, err := v.installation.value(ctx, current.ID)
	if holdsNoKey(err) {
		v.reason = err
		v.Tell.Tell(terminal.Failed, "the current value holds no key", err.Error())
		return KeyIn{}, false, nil
	}
	if err != nil {
		return KeyIn{}, false, err
	}
	v.value = &value
	v.Tell.Doing("logging in with the current key")
	p, err := logIn(ctx, v.registry, value.Key(), current.Key())
	switch {
	case quilt.RefusesLogin(err):
		v.Tell.Tell(terminal.Failed, "the registry refuses the current key", value.Key().Fingerprint())
		v.handedOver, err = v.Operator.handedOver(ctx, s, current.ID)
		return KeyIn{}, false, err
	case err != nil:
		return KeyIn{}, false, err
	case !v.Replace:
		v.Tell.Tell(terminal.Done, "the current key logs in: nothing was changed", p.Email)
		return keyIn(s, Works, current.ID, value.Key(), p), true, nil
	}
	if v.knownOwner = p.Email; v.confirmed {
		return KeyIn{}, false, nil
	}
	return KeyIn{}, false, v.Confirm(ctx, "the current key of "+s.Name+" logs in, and a new one replaces it", s.Name)
}

// replace stores another key than the current one: one that an interrupted run stored and that
// never was current, else a new one. A superseded key would be no better.
func (v *recovery) replace(ctx context.Context) (KeyIn, error) {
	k, ok, err := v.leftover(ctx)
	if err != nil {
		return KeyIn{}, v.left(err)
	}
	if !ok || k.secret.Equal(v.value.Key()) {
		return v.new(ctx)
	}
	v.Tell.Tell(terminal.Noted, "an interrupted run has stored a key: continuing with it", k.id)
	p, err := v.install(ctx, &k)
	done, _, err := v.ended(ctx, Resumed, &k, p, err)
	return done, err
}

// older looks for a version whose key logs in, and makes that key current: of several, the newest
// key; if the current value is lost, the one in the version that was current last.
func (v *recovery) older(ctx context.Context) (_ KeyIn, found bool, err error) {
	var best *move
	for _, target := range v.candidates() {
		m, err := v.newMove(ctx, v.secret, v.registry, v.current, target)
		if isUseless(err) {
			v.Tell.Tell(terminal.Noted, "the version "+short(target.ID)+" has no key that logs in", "")
			continue
		}
		if err != nil {
			return KeyIn{}, false, left(err, "nothing was changed")
		}
		if owner := v.settings.Owner; owner != "" && !quilt.SameUser(owner, m.proven.Email) {
			v.Tell.Tell(terminal.Noted, "the key of the version "+short(target.ID)+" belongs to another user, and is "+
				"not used", m.proven.Email)
			continue
		}
		if best == nil || v.value != nil && m.created().After(best.created()) {
			best = m
		}
	}
	if best == nil {
		return KeyIn{}, false, nil
	}
	done, err := v.use(ctx, best)
	return done, true, err
}

// isUseless reports whether an error says that a version's key cannot be used, and not only that
// this is not known.
func isUseless(err error) bool {
	_, down := errors.AsType[*quilt.UnavailableError](err)
	_, garbled := errors.AsType[*quilt.ProtocolError](err)
	_, aws := errors.AsType[*vault.Error](err)
	return err != nil && !down && !garbled && !aws && !errors.Is(err, context.Canceled)
}

// candidates are the versions that may hold a key that works: the one that was current last, then
// the others, the one that was superseded last first. The pending one belongs to the rotation. What
// an interrupted run stored is among them.
func (v *recovery) candidates() []vault.Version {
	list := slices.DeleteFunc(v.secret.Sorted(), func(x vault.Version) bool {
		return x.ID == v.current.ID ||
			x.Has(vault.Pending)
	})
	superseded := func(x vault.Version) (last int64) {
		if x.Has(vault.Previous) {
			return math.MaxInt64
		}
		for _, m := range x.Marks {
			last = max(last, m.Since.Unix())
		}
		return last
	}
	slices.SortStableFunc(list, func(a, b vault.Version) int { return cmp.Compare(superseded(b), superseded(a)) })
	return list
}

// use makes a version's key current: it moves AWSCURRENT if the values differ only in the key, or
// if the current one was overwritten, which must be confirmed; else it puts that key into the
// current value. A version's marks are removed before its key is used: see [move].
func (v *recovery) use(ctx context.Context, m *move) (KeyIn, error) {
	key := m.value.Key()
	session := v.registry.WithKey(key)
	account, err := session.Account(ctx)
	if quilt.Refused(err) && !quilt.RefusesLogin(err) { // it may not list keys
		account, err = quilt.Account{Identity: m.proven.Identity}, nil
	}
	if err == nil {
		err = v.agree(ctx, session, account)
	}
	if err != nil {
		return KeyIn{}, v.left(err)
	}
	id := m.target.Key()
	if id == "" && m.proven.row != nil {
		id = m.proven.row.ID
	}
	same := v.value != nil && v.value.SameButKey(m.value)
	if v.value != nil && !same && id != "" {
		v.Tell.Tell(terminal.Done, "the key of the version "+short(m.target.ID)+" logs in, and goes into the current "+
			"value", key.Fingerprint())
		if err := m.removeMarks(ctx); err != nil {
			return KeyIn{}, v.left(err)
		}
		k := aKey{id: id, secret: key, version: m.target.ID}
		p, err := v.install(ctx, &k)
		done, _, err := v.ended(ctx, Reused, &k, p, err)
		return done, err
	}
	if err = m.show(ctx); err == nil && !same {
		err = m.ask(ctx)
	}
	if err == nil {
		err = m.carryOut(ctx, func(*managed.Secret) error { return nil })
	}
	if !m.moved {
		return KeyIn{}, v.left(err)
	}
	return keyIn(v.secret, Moved, m.target.ID, key, m.proven), err
}

// new creates a key: with the issuing credential, or with the login of a person.
func (v *recovery) new(ctx context.Context) (KeyIn, error) {
	if v.reason != nil && !isBlank(v.reason) {
		return KeyIn{}, terminal.WithHint(fmt.Errorf("the value of %s cannot take a key: %w", v.secret.Name, v.reason),
			"correct the value, then run: "+v.again)
	}
	if v.reason != nil && !slices.ContainsFunc(v.secret.Sorted(),
		func(x vault.Version) bool { return len(x.Keys) > 0 }) {
		return KeyIn{}, terminal.WithHint(fmt.Errorf("the secret %s waits for its first key", v.secret.Name),
			"run: quilt-rotate bootstrap "+v.secret.Name)
	}
	session, by, err := v.creator(ctx)
	if err != nil {
		return KeyIn{}, v.left(err)
	}
	p, k, err := v.fresh(ctx, session)
	done, _, err := v.ended(ctx, Installed, &k, p, err)
	done.MadeBy = by
	return done, err
}

// creator logs in with the issuing credential, or lets a person log in, and checks whose key it
// will be.
func (v *recovery) creator(ctx context.Context) (session *quilt.Session, by string, err error) {
	if v.settings.Issuer != "" {
		session, err := v.byIssuer(ctx)
		if err == nil {
			return session, "issuer", nil
		}
		if ctx.Err() != nil {
			return nil, "", err
		}
		v.Tell.Tell(terminal.Warned, "the issuing credential cannot create the key", err.Error())
	}
	session, me, err := v.LogIn(ctx, v.registry)
	if err != nil {
		return nil, "", err
	}
	v.Tell.Tell(terminal.Done, "logged in at "+v.registry.Host(), me.Email)
	account, err := session.Account(ctx)
	if err != nil {
		return nil, "", err
	}
	return session, "login", v.agree(ctx, session, account)
}

func (v *recovery) byIssuer(ctx context.Context) (*quilt.Session, error) {
	v.Tell.Doing("logging in with the issuing credential")
	value, err := v.Cloud.Vault.ReadCurrent(ctx, v.settings.Issuer)
	if err != nil {
		return nil, err
	}
	session, err := issuer.LogIn(ctx, v.registry, v.settings.Issuer, value, v.secret.Secret)
	if err != nil {
		return nil, err
	}
	account, err := session.Account(ctx)
	if err != nil {
		return nil, err
	}
	owner := v.formerOwner(account, session.Listed)
	if !quilt.SameUser(owner, account.Email) {
		return nil, fmt.Errorf("the issuing credential belongs to %s, and the key to %s", account.Email,
			cmp.Or(owner, "an unknown user"))
	}
	if why, err := v.whyUnknown(ctx, session.Session, owner); err != nil || why != "" {
		return nil, cmp.Or(err, errors.New("it is not known whether the current key still works: "+why))
	}
	v.owner = account.Email
	v.Tell.Tell(terminal.Done, "logged in with the issuing credential", account.Email)
	return session.Session, nil
}

// formerOwner is the owner of the current key: the user whose list holds it, because expired keys
// stay listed, else the one that the tag names, or that the key logs in as. It is "" if nothing
// says so, or if the secret was handed over after the key was stored. Whoever owns the secret can
// set its tags and labels, so neither counts for an issuing credential that does not list the
// secret: then the fingerprint of the key must fit.
func (v *recovery) formerOwner(account quilt.Account, listed bool) string {
	id := v.current.Key()
	for _, k := range account.Keys {
		labelled := id != "" && k.ID == id
		fits := v.value != nil && v.value.Key().Fits(k.Fingerprint)
		if labelled && listed || (labelled || id == "") && fits {
			return account.Email
		}
	}
	if !listed || v.handedOver {
		return v.knownOwner
	}
	return cmp.Or(v.settings.Owner, v.knownOwner)
}

// whyUnknown is why it is not known that the current key, a key of owner, was revoked or has
// expired; "": it is known, or the key is replaced in any case.
func (v *recovery) whyUnknown(ctx context.Context, session *quilt.Session, owner string) (string, error) {
	if v.value == nil || v.Replace {
		return "", nil
	}
	known, err := checkKey(ctx, v.registry, v.value.Key(), Evidence{KeyID: v.current.Key(), Owner: owner,
		Sessions: []*quilt.Session{session}})
	if err == nil && known.State == KeyLogsIn {
		err = terminal.WithHint(fmt.Errorf("the current key of %s logs in again, as %s; nothing was changed",
			v.secret.Name, known.Owner), "to store another key all the same, add --replace")
	}
	if owner == "" { // an administrator may see that it has expired, and whose it was is still not known
		known.Why = "it is not known which user it belongs to, and that user may be deactivated"
	}
	return known.Why, err
}

// agree demands that the refusal of the current key has a reason, and that the key stays the same
// user's, because consumers would get other permissions. Anything else must be asked for with
// --new-owner, and confirmed.
func (v *recovery) agree(ctx context.Context, session *quilt.Session, account quilt.Account) error {
	name, email := v.secret.Name, account.Email
	owner := v.formerOwner(account, true)
	same := quilt.SameUser(owner, email)
	v.owner = email
	if owner != "" && !same && !v.NewOwner {
		return terminal.WithHint(fmt.Errorf("the key of %s belongs to %s, but you logged in as %s; nothing was created",
			name, owner, email),
			"log in as "+owner+"; to hand the secret over to "+email+", add --new-owner")
	}
	why, err := v.whyUnknown(ctx, session, owner)
	switch {
	case err != nil:
		return err
	case same && why == "" && (v.secret.NamesRegistry() || v.knownOwner != ""):
		return nil
	case same && why == "": // and the same e-mail may have an account at the wrong registry
		return v.Confirm(ctx, "only an option says that "+v.registry.Host()+" is the registry of "+name+
			", and none of its keys logs in there", name)
	case why != "" && !v.NewOwner:
		return terminal.WithHint(fmt.Errorf("it is not known whether the current key of %s still works: %s; nothing "+
			"was changed", name, why),
			"if its user was deactivated, activate it; to store a key of "+email+" all the same, add --new-owner")
	}
	what := "it is not known which user the current key of " + name + " belongs to; the new one will belong to " + email
	if same {
		what = "it is not known whether the current key of " + name + " still works; a key of " + email + " replaces it"
	} else if owner != "" {
		what = otherPermissions(name, email, owner)
	}
	return v.handOver(ctx, v.secret, v.current.ID, what, email)
}

// warned adds what else the operator should know.
func (v *recovery) warned(ctx context.Context, done KeyIn) (KeyIn, error) {
	ctx, cancel := ending(ctx)
	defer cancel()
	if err := v.secret.Look(ctx); err != nil { // what was done is done
		return done, terminal.WithHint(fmt.Errorf("AWSCURRENT is on the version %s now, and then the secret could "+
			"not be described: %w", done.VersionID, err),
			"see: quilt-rotate status "+v.secret.Name)
	}
	if _, underWay := waiting(v.secret); underWay {
		v.Tell.Tell(terminal.Warned, "a rotation is under way, or stuck", "if it does not end soon: quilt-rotate "+
			"unstick "+v.secret.Name)
	}
	return done, nil
}
