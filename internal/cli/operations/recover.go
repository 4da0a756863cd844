package operations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// Recover gives a secret a key that works if the registry refuses the current one: one that an older version holds, else a new one that the issuing
// credential creates, else a new one that whoever logs in creates. Every other field of the current value is unchanged. If somebody overwrote the value, so
// that it holds no key, AWSCURRENT moves back to the last version whose key logs in.
//
// What a crash leaves is described at [installation] and [Operator.Rollback]. Running it again continues from there, because what is left is an older version
// whose key logs in. A rotation that is under way ends if a version is stored, because Secrets Manager abandons it then. If AWSCURRENT only
// moves, that rotation continues: both moves are compare-and-swaps, and whichever comes last has logged in with its key right before.
func (d *Operator) Recover(ctx context.Context, r Recovery) (KeyIn, error) {
	s := r.Secret
	rules, err := rotationSettings(ctx, s, s.Tags)
	if err != nil {
		return KeyIn{}, err
	}
	again := "quilt-rotate recover " + s.Name
	if r.Replace {
		again += " --replace"
	}
	in := &installation{Operator: d, secret: s, registry: r.Registry, settings: rules, again: again}
	v := &recovery{installation: in, Recovery: r}
	in.put, in.needless = v.intoCurrent, v.works
	done, ended, err := v.diagnose(ctx)
	if ended || err != nil {
		return done, left(err, "nothing was done")
	}
	if r.Replace && v.value != nil { // a superseded key would be no better
		return v.replace(ctx)
	}
	if done, ended, err := v.older(ctx); ended || err != nil {
		return done, err
	}
	return v.new(ctx)
}

// replace stores another key than the current one: one that an interrupted run stored and that never was current, else a new one.
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
	if err != nil {
		return done, err
	}
	return v.warned(ctx, done)
}

// recovery is a recovery under way.
type recovery struct {
	*installation
	Recovery
	current vault.Version
	value   *apikey.Value // the current one; nil: it holds no key
	reason  error         // why it holds none
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

// works reports whether the current value holds a key that logs in: somebody may have stored one meanwhile.
func (v *recovery) works(ctx context.Context, raw redact.Text) (bool, error) {
	value, err := apikey.ParseValue(raw, v.settings.Field)
	if err != nil {
		return false, nil
	}
	if v.Replace && v.value != nil && value.Key().Equal(v.value.Key()) { // the one to replace
		return false, nil
	}
	_, err = v.registry.WithKey(value.Key()).Me(ctx)
	if quilt.RefusesLogin(err) {
		return false, nil
	}
	return err == nil, err
}

// diagnose finds out what is wrong. ended says that nothing is.
func (v *recovery) diagnose(ctx context.Context) (KeyIn, bool, error) {
	s := v.secret
	current, ok := s.Holder(vault.Current)
	if !ok {
		return KeyIn{}, false, terminal.WithHint(fmt.Errorf("the secret %s never had a value", s.Name), "run: quilt-rotate bootstrap "+s.Name)
	}
	v.current = current
	value, err := v.installation.value(ctx, current.ID)
	if isBlank(err) || isBad(err) || errors.Is(err, vault.ErrBinary) {
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
	if quilt.RefusesLogin(err) {
		v.Tell.Tell(terminal.Failed, "the registry refuses the current key", value.Key().Fingerprint())
		return KeyIn{}, false, nil
	}
	if err != nil {
		return KeyIn{}, false, err
	}
	v.knownOwner = p.Email
	if v.Replace && v.confirmed {
		return KeyIn{}, false, nil
	}
	if v.Replace {
		return KeyIn{}, false, v.Confirm(ctx, "the current key of "+s.Name+" logs in, and a new one replaces it", s.Name)
	}
	v.Tell.Tell(terminal.Done, "the current key logs in: nothing was done", p.Email)
	return keyIn(s, Works, current.ID, value.Key(), p), true, nil
}

// older looks for a version whose key logs in, and makes that key current: of several, the newest key; if the current value is lost, the one in
// the version that was current last.
func (v *recovery) older(ctx context.Context) (KeyIn, bool, error) {
	var best *move
	for _, target := range v.candidates() {
		m, err := v.newMove(ctx, v.secret, v.registry, target)
		if skips(err) {
			v.Tell.Tell(terminal.Noted, "the version "+short(target.ID)+" has no key that logs in", "")
			continue
		}
		if err != nil {
			return KeyIn{}, false, err
		}
		if owner := v.settings.Owner; owner != "" && !quilt.SameUser(owner, m.proven.Email) {
			v.Tell.Tell(terminal.Noted, "the key of the version "+short(target.ID)+" is another user's, and is left", m.proven.Email)
			continue
		}
		if best == nil || v.value != nil && m.madeAt().After(best.madeAt()) {
			best = m
		}
	}
	if best == nil {
		return KeyIn{}, false, nil
	}
	done, err := v.use(ctx, best)
	return done, true, err
}

// skips reports whether an error says that a version's key is of no use, and not only that this is not known.
func skips(err error) bool {
	var down *quilt.UnavailableError
	var garbled *quilt.ProtocolError
	var aws *vault.Error
	unknown := errors.As(err, &down) || errors.As(err, &garbled) || errors.As(err, &aws) || errors.Is(err, context.Canceled)
	return err != nil && !unknown
}

// candidates are the versions that may hold a key that works: the one that was current last, then the others, the one that was superseded last first.
// The pending one belongs to the rotation. What an interrupted run stored is among them.
func (v *recovery) candidates() []vault.Version {
	var list []vault.Version
	for _, x := range v.secret.Sorted() {
		if x.ID != v.current.ID && !x.Has(vault.Pending) {
			list = append(list, x)
		}
	}
	last := func(x vault.Version) int {
		if x.Has(vault.Previous) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b vault.Version) int {
		return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(since(b), since(a)))
	})
	return list
}

// since is when a version was marked last, in seconds; 0: never.
func since(x vault.Version) int64 {
	var last int64
	for _, m := range x.Marks {
		last = max(last, m.Since.Unix())
	}
	return last
}

// use makes a version's key current: it moves AWSCURRENT if the values differ only in the key, or if the current one was overwritten, which must be
// confirmed; else it puts that key into the current value.
func (v *recovery) use(ctx context.Context, m *move) (KeyIn, error) {
	id := m.target.Key()
	if id == "" && m.proven.row != nil {
		id = m.proven.row.ID
	}
	same := v.value != nil && v.value.SameButKey(m.value)
	if v.value != nil && !same && id != "" {
		return v.reuse(ctx, m, id)
	}
	if err := m.show(ctx, v.current); err != nil {
		return KeyIn{}, err
	}
	if !same {
		if err := v.Confirm(ctx, "AWSCURRENT of "+v.secret.Name+" moves back to the version "+short(m.target.ID), v.secret.Name); err != nil {
			return KeyIn{}, err
		}
	}
	if err := m.carryOut(ctx, v.current.ID); err != nil {
		if m.moved {
			return keyIn(v.secret, Moved, m.target.ID, m.value.Key(), m.proven), err
		}
		return KeyIn{}, err
	}
	return v.warned(ctx, keyIn(v.secret, Moved, m.target.ID, m.value.Key(), m.proven))
}

// reuse puts an older key into the current value. Its marks are removed first, as in [Operator.Rollback].
func (v *recovery) reuse(ctx context.Context, m *move, id string) (KeyIn, error) {
	v.Tell.Tell(terminal.Done, "the key of the version "+short(m.target.ID)+" logs in, and goes into the current value", m.value.Key().Fingerprint())
	if err := m.takeMarksOff(ctx); err != nil {
		return KeyIn{}, v.left(err)
	}
	k := aKey{id: id, secret: m.value.Key(), version: m.target.ID}
	p, err := v.install(ctx, &k)
	done, _, err := v.ended(ctx, Reused, &k, p, err)
	if err != nil {
		return done, err
	}
	return v.warned(ctx, done)
}

// new creates a key: with the issuing credential, or with the login of a person.
func (v *recovery) new(ctx context.Context) (KeyIn, error) {
	if isBad(v.reason) || errors.Is(v.reason, vault.ErrBinary) {
		return KeyIn{}, terminal.WithHint(fmt.Errorf("the value of %s cannot take a key: %w", v.secret.Name, v.reason), "correct the value, then run: "+v.again)
	}
	if isBlank(v.reason) && len(v.labelled()) == 0 {
		return KeyIn{}, terminal.WithHint(fmt.Errorf("the secret %s waits for its first key", v.secret.Name), "run: quilt-rotate bootstrap "+v.secret.Name)
	}
	session, by, err := v.creator(ctx)
	if err != nil {
		return KeyIn{}, v.left(err)
	}
	p, k, err := v.fresh(ctx, session)
	done, _, err := v.ended(ctx, Installed, &k, p, err)
	done.MadeBy = by
	if err != nil {
		return done, err
	}
	return v.warned(ctx, done)
}

func (v *recovery) labelled() []vault.Version {
	return slices.DeleteFunc(v.secret.Sorted(), func(x vault.Version) bool { return len(x.Keys) == 0 })
}

// creator logs in with the issuing credential, or lets a person log in, and checks whose key it will be.
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
	return session, "login", v.agree(ctx, session)
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
	if owner := v.formerOwner(account, session.Listed); !quilt.SameUser(owner, account.Email) {
		if owner == "" {
			owner = "an unknown user"
		}
		return nil, fmt.Errorf("the issuing credential belongs to %s, and the key to %s", account.Email, owner)
	}
	v.owner = account.Email
	v.Tell.Tell(terminal.Done, "logged in with the issuing credential", account.Email)
	return session.Session, nil
}

// formerOwner is the owner of the current key: the user whose list holds it, because expired keys stay listed, else the one that the tag names. It
// is "" if nothing says so. Whoever owns the secret can set its tags and labels, so neither counts for an issuing credential that does not list
// the secret: then the fingerprint of the key must fit.
func (v *recovery) formerOwner(account quilt.Account, listed bool) string {
	for _, k := range account.Keys {
		labelled := v.current.Key() != "" && k.ID == v.current.Key()
		fits := v.value != nil && v.value.Key().Fits(k.Fingerprint)
		if labelled && listed || (labelled || v.current.Key() == "") && fits {
			return account.Email
		}
	}
	if !listed {
		return v.knownOwner
	}
	return cmp.Or(v.settings.Owner, v.knownOwner)
}

// agree demands that the key stays the same user's, because consumers would get other permissions. Another user must be asked for, and confirmed.
func (v *recovery) agree(ctx context.Context, session *quilt.Session) error {
	account, err := session.Account(ctx)
	if err != nil {
		return err
	}
	v.owner = account.Email
	switch owner := v.formerOwner(account, true); {
	case quilt.SameUser(owner, account.Email) && (v.secret.NamesRegistry() || v.knownOwner != ""):
		return nil
	case quilt.SameUser(owner, account.Email): // and the same e-mail may have an account at the wrong registry
		return v.Confirm(ctx, "only an option says that "+v.registry.Host()+" is the registry of "+v.secret.Name+", and none of its keys logs in there", v.secret.Name)
	case owner != "" && !v.NewOwner:
		return terminal.WithHint(fmt.Errorf("the key of %s belongs to %s, but you logged in as %s; nothing was created", v.secret.Name, owner, account.Email),
			"log in as "+owner+"; to hand the secret over to "+account.Email+", add --new-owner")
	case owner != "":
		err = v.Confirm(ctx, "the key of "+v.secret.Name+" will be "+account.Email+"'s, no longer "+owner+"'s: its consumers get other permissions", account.Email)
	default:
		err = v.Confirm(ctx, "it is not known whose the refused key of "+v.secret.Name+" is; the new one will belong to "+account.Email, account.Email)
	}
	if err != nil || v.secret.Tags[settings.TagOwner] == "" {
		return err
	}
	// The tag comes first: the functions compare it with the owner of the key, and cannot log in with the one that is refused.
	return finish(ctx, func(ctx context.Context) error {
		return v.Cloud.Tag(ctx, v.secret.ARN, map[string]string{settings.TagOwner: account.Email})
	})
}

// warned adds what else the operator should know.
func (v *recovery) warned(ctx context.Context, done KeyIn) (KeyIn, error) {
	ctx, cancel := ending(ctx)
	defer cancel()
	if err := v.secret.Look(ctx); err != nil { // what was done is done
		return done, terminal.WithHint(fmt.Errorf("AWSCURRENT is on the version %s now, and the secret could not be looked at after that: %w", done.VersionID, err),
			"see: quilt-rotate status "+v.secret.Name)
	}
	if pending, ok := v.secret.Holder(vault.Pending); ok && !pending.Has(vault.Current) {
		v.Tell.Tell(terminal.Warned, "a rotation is under way, or stuck", "if it does not end soon: quilt-rotate unstick "+v.secret.Name)
	}
	return done, nil
}
