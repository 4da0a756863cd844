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

// Recovery has the parameters of [Operator.Recover].
type Recovery struct {
	Secret   *managed.Secret
	Registry *quilt.Client
	NewOwner bool // the new key may belong to another registry user
	Replace  bool // store a new key even if the current key logs in
	LogIn    Login

	confirmed  bool   // the operator has confirmed that the current key is replaced
	knownOwner string // owner of the current key, from a login with it; "": not known
}

// Recover stores a key that works if the registry refuses the current key: the key of an older
// version, or a new key of the issuing credential, or a new key of the user who logs in. All other
// fields of the current value stay. If somebody overwrote the value so that it holds no key,
// AWSCURRENT moves back to the last version whose key logs in.
//
// [installation] and [move] describe what a crash leaves. If the command runs again, it continues,
// because the crash left an older version whose key logs in. If a new version is stored, Secrets
// Manager abandons a rotation that is under way. If only AWSCURRENT moves, that rotation continues.
// Then both moves are compare-and-swaps, and each one is made right after a login with its key.
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

// recovery is the state of [Operator.Recover].
type recovery struct {
	*installation
	Recovery
	current    vault.Version
	value      *apikey.Value // current value; nil: it holds no key
	reason     error         // why the current value holds no key
	handedOver bool          // the current key may belong to a former owner
}

// intoCurrent returns the current value with the given key instead of its own key.
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

// works reports whether the current value holds a key that logs in, because another command or a
// rotation may have stored one. The key that --replace replaces does not count.
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

// diagnose checks the current key. ended is true if the key works, so that nothing is to do.
func (v *recovery) diagnose(ctx context.Context) (_ KeyIn, ended bool, err error) {
	s := v.secret
	current, ok := s.Holder(vault.Current)
	if !ok {
		return KeyIn{}, false, terminal.WithHint(fmt.Errorf("the secret %s has never had a value", s.Name),
			"run: quilt-rotate bootstrap "+s.Name)
	}
	v.current = current
	value, err := v.installation.value(ctx, current.ID)
	if holdsNoKey(err) {
		v.reason = err
		v.Progress.Report(terminal.Failed, "the current value holds no key", err.Error())
		return KeyIn{}, false, nil
	}
	if err != nil {
		return KeyIn{}, false, err
	}
	v.value = &value
	v.Progress.Doing("logging in with the current key")
	p, err := logIn(ctx, v.registry, value.Key(), current.Key())
	switch {
	case quilt.RefusesLogin(err):
		v.Progress.Report(terminal.Failed, "the registry refuses the current key", value.Key().Fingerprint())
		v.handedOver, err = v.Operator.handedOver(ctx, s, current.ID)
		return KeyIn{}, false, err
	case err != nil:
		return KeyIn{}, false, err
	case !v.Replace:
		v.Progress.Report(terminal.Done, "the current key logs in: nothing was changed", p.Email)
		return keyIn(s, Works, current.ID, value.Key(), p), true, nil
	}
	if v.knownOwner = p.Email; v.confirmed {
		return KeyIn{}, false, nil
	}
	return KeyIn{}, false, v.Confirm(ctx, "the current key of "+s.Name+" logs in; a new key replaces it", s.Name)
}

// replace stores another key than the current one: the key that an interrupted run stored and that
// was never current, or a new key. It does not use superseded keys, because they may have leaked
// too.
func (v *recovery) replace(ctx context.Context) (KeyIn, error) {
	k, ok, err := v.leftover(ctx)
	if err != nil {
		return KeyIn{}, v.left(err)
	}
	if !ok || k.secret.Equal(v.value.Key()) {
		return v.new(ctx)
	}
	v.Progress.Report(terminal.Noted, "continuing with the key that an interrupted run stored", k.id)
	p, err := v.install(ctx, &k)
	done, _, err := v.ended(ctx, Resumed, &k, p, err)
	return done, err
}

// older looks for versions whose keys log in and makes one of the keys current: the newest key, or,
// if the current value holds no key, the key of the version that was current last.
func (v *recovery) older(ctx context.Context) (_ KeyIn, found bool, err error) {
	var best *move
	for _, target := range v.candidates() {
		m, err := v.newMove(ctx, v.secret, v.registry, v.current, target)
		if isUseless(err) {
			v.Progress.Report(terminal.Noted, "the version "+short(target.ID)+" has no key that logs in", "")
			continue
		}
		if err != nil {
			return KeyIn{}, false, left(err, "nothing was changed")
		}
		if owner := v.settings.Owner; owner != "" && !quilt.SameUser(owner, m.proven.Email) {
			v.Progress.Report(terminal.Noted,
				"the key of the version "+short(target.ID)+" is not used, because it belongs to another user",
				m.proven.Email)
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

// isUseless reports whether an error means that a version's key cannot be used. It returns false if
// this is not known, for example because the registry did not answer.
func isUseless(err error) bool {
	_, down := errors.AsType[*quilt.UnavailableError](err)
	_, garbled := errors.AsType[*quilt.ProtocolError](err)
	_, aws := errors.AsType[*vault.Error](err)
	return err != nil && !down && !garbled && !aws && !errors.Is(err, context.Canceled)
}

// candidates returns the versions that may hold a key that works: first the version that was
// current last, then the others, the last superseded one first. They include a version that an
// interrupted run stored. The pending version is not included, because it belongs to a rotation.
func (v *recovery) candidates() []vault.Version {
	list := slices.DeleteFunc(v.secret.Sorted(),
		func(x vault.Version) bool { return x.ID == v.current.ID || x.Has(vault.Pending) })
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

// use makes a version's key current. It moves AWSCURRENT if the values differ only in the key. It
// also moves AWSCURRENT, after a confirmation, if the current value was overwritten. Otherwise it
// stores the key in the current value. The marks of the version are removed before its key is used:
// see [move].
func (v *recovery) use(ctx context.Context, m *move) (KeyIn, error) {
	key := m.value.Key()
	session := v.registry.WithKey(key)
	account, err := session.Account(ctx)
	if quilt.Refused(err) && !quilt.RefusesLogin(err) { // the key has no permission to list keys
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
		v.Progress.Report(terminal.Done,
			"the key of the version "+short(m.target.ID)+" logs in: storing it in the current value", key.Fingerprint())
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

// new creates a key with the issuing credential, or with the login of a person.
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

// creator logs in with the issuing credential, or asks a person to log in. It checks who the new
// key will belong to.
func (v *recovery) creator(ctx context.Context) (session *quilt.Session, by string, err error) {
	if v.settings.Issuer != "" {
		session, err := v.byIssuer(ctx)
		if err == nil {
			return session, "issuer", nil
		}
		if ctx.Err() != nil {
			return nil, "", err
		}
		v.Progress.Report(terminal.Warned, "the issuing credential cannot create the key", err.Error())
	}
	session, me, err := v.LogIn(ctx, v.registry)
	if err != nil {
		return nil, "", err
	}
	v.Progress.Report(terminal.Done, "logged in at "+v.registry.Host(), me.Email)
	account, err := session.Account(ctx)
	if err != nil {
		return nil, "", err
	}
	return session, "login", v.agree(ctx, session, account)
}

func (v *recovery) byIssuer(ctx context.Context) (*quilt.Session, error) {
	v.Progress.Doing("logging in with the issuing credential")
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
		return nil, fmt.Errorf("the issuing credential belongs to %s, but the key belongs to %s", account.Email,
			cmp.Or(owner, "an unknown user"))
	}
	if why, err := v.whyUnknown(ctx, session.Session, owner); err != nil || why != "" {
		return nil, cmp.Or(err, errors.New("it is not known whether the current key still works: "+why))
	}
	v.owner = account.Email
	v.Progress.Report(terminal.Done, "logged in with the issuing credential", account.Email)
	return session.Session, nil
}

// formerOwner returns the owner of the current key: the user who has the key in their list (expired
// keys stay listed), or the user that the tag names, or the user that the key logs in as. It
// returns "" if the owner is not known, or if the secret was handed over after the key was stored.
// The owner of the secret can set its tags and labels. So they do not count for an issuing
// credential that does not list the secret: then the fingerprint of the key must match.
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

// whyUnknown returns why it is not known whether the current key, a key of owner, still works. It
// returns "" if it is known that the key was revoked or has expired, or if the key is replaced in
// any case.
func (v *recovery) whyUnknown(ctx context.Context, session *quilt.Session, owner string) (string, error) {
	if v.value == nil || v.Replace {
		return "", nil
	}
	known, err := checkKey(ctx, v.registry, v.value.Key(), Evidence{KeyID: v.current.Key(), Owner: owner,
		Sessions: []*quilt.Session{session}})
	if err == nil && known.State == KeyLogsIn {
		err = terminal.WithHint(fmt.Errorf("the current key of %s logs in again, as %s; nothing was changed",
			v.secret.Name, known.Owner), "to store another key anyway, add --replace")
	}
	if owner == "" { // an administrator can see that the key has expired, but not whose key it was
		known.Why = "it is not known which user it belongs to, and that user may be deactivated"
	}
	return known.Why, err
}

// agree requires that the reason for the refusal of the current key is known, and that the new key
// belongs to the same user, because otherwise consumers would get other permissions. Other cases
// require --new-owner and a confirmation.
func (v *recovery) agree(ctx context.Context, session *quilt.Session, account quilt.Account) error {
	name, email := v.secret.Name, account.Email
	owner := v.formerOwner(account, true)
	same := quilt.SameUser(owner, email)
	v.owner = email
	if owner != "" && !same && !v.NewOwner {
		return terminal.WithHint(fmt.Errorf("the key of %s belongs to %s, but you logged in as %s; no key was created",
			name, owner, email),
			"log in as "+owner+"; to make "+email+" the owner of the keys, add --new-owner")
	}
	why, err := v.whyUnknown(ctx, session, owner)
	switch {
	case err != nil:
		return err
	case same && why == "" && (v.secret.NamesRegistry() || v.knownOwner != ""):
		return nil
	case same && why == "": // a user with the same e-mail address may exist at the wrong registry
		return v.Confirm(ctx, "only an option names "+v.registry.Host()+" as the registry of "+name+
			", and no key of the secret logs in there", name)
	case why != "" && !v.NewOwner:
		return terminal.WithHint(fmt.Errorf("it is not known whether the current key of %s still works: %s; nothing "+
			"was changed", name, why),
			"if its user was deactivated, activate the user; to store a key of "+email+" anyway, add --new-owner")
	}
	what := "it is not known which user the current key of " + name + " belongs to; the new one will belong to " + email
	if same {
		what = "it is not known whether the current key of " + name + " still works; a key of " + email + " replaces it"
	} else if owner != "" {
		what = otherPermissions(name, email, owner)
	}
	return v.handOver(ctx, v.secret, v.current.ID, what, email)
}

// warned warns if a rotation is under way or stuck.
func (v *recovery) warned(ctx context.Context, done KeyIn) (KeyIn, error) {
	ctx, cancel := ending(ctx)
	defer cancel()
	if err := v.secret.Look(ctx); err != nil { // AWSCURRENT was moved all the same
		return done, terminal.WithHint(fmt.Errorf("AWSCURRENT is now on the version %s, but then the secret could not "+
			"be described: %w", done.VersionID, err),
			"to see the result: quilt-rotate status "+v.secret.Name)
	}
	if _, underWay := waiting(v.secret); underWay {
		v.Progress.Report(terminal.Warned, "a rotation is under way or stuck", "if it does not end soon: quilt-rotate "+
			"unstick "+v.secret.Name)
	}
	return done, nil
}
