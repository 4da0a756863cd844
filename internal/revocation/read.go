package revocation

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// read fills the snapshot in as few requests as possible: it reads the values that must be
// compared, and sends one query that logs in and asks for keys. If the current key does not log in,
// it fails, and nothing is revoked. After an error, the snapshot contains what was read before it.
func (s *sweep) read(ctx context.Context) error {
	s.Snapshot = Snapshot{SecretARN: s.secret.ARN, Now: s.secret.Now, Answers: map[string]KeyAnswer{}}
	marked := false
	for _, version := range s.secret.Sorted() {
		s.Versions = append(s.Versions, Version{Version: version})
		marked = marked || len(version.Marks) > 0
	}
	s.Lagging = slices.DeleteFunc(slices.Clone(s.secret.Replicas),
		func(r vault.Replica) bool { return r.Status == vault.InSync })
	if err := s.readValues(ctx, func(x Version) bool {
		return x.Has(vault.Current) || x.Has(vault.Pending) || len(x.Keys) > 0 ||
			x.Has(vault.Previous) && marked // see [Snapshot.successor]
	}); err != nil {
		return err
	}
	if err := s.checkCurrent(); err != nil {
		return err
	}
	if err := s.readKeys(ctx); err != nil {
		return err
	}
	if len(s.candidates()) > 0 {
		if err := s.readValues(ctx, func(x Version) bool { return len(x.Keys) == 0 }); err != nil {
			return err
		}
	}
	return s.askMissing(ctx)
}

// readValues reads the values of the versions that asked selects, if they are not known yet.
func (s *sweep) readValues(ctx context.Context, asked func(Version) bool) error {
	for i, version := range s.Versions {
		if version.Holds.State != Unread || !asked(version) {
			continue
		}
		holding, err := s.readValue(ctx, version.ID)
		// Without the current and the pending value, nothing may be revoked.
		if vault.Unreadable(err) && !version.Has(vault.Current) && !version.Has(vault.Pending) {
			refusal, _ := errors.AsType[*vault.Error](err)
			holding, err = Holding{State: Locked, Code: refusal.Code}, nil
		}
		if err != nil {
			return err
		}
		s.Versions[i].Holds = holding
	}
	return nil
}

func (s *sweep) readValue(ctx context.Context, versionID string) (Holding, error) {
	value, err := vault.ReadValue(ctx, s.Vault.ReadIfAny, s.secret.ARN, versionID, s.policy.Field)
	holding := Holding{State: Holds, Value: value, Key: value.Key()}
	_, blank := errors.AsType[*apikey.BlankValueError](err)
	switch {
	case errors.Is(err, vault.ErrNoValue):
		holding.State = NoValue
	case blank:
		holding.State = Blank
	case vault.HoldsNoKey(err):
		holding.State = Unreadable
	default:
		return holding, err
	}
	return holding, nil
}

// errNotBootstrapped says that there is nothing to sweep yet.
var errNotBootstrapped = errors.New("the secret waits for its first key")

// checkCurrent fails if the current value holds no key. If the secret has key labels, somebody
// overwrote the key. Otherwise the value has no key in the configured field, or the secret waits
// for its first key.
func (s *sweep) checkCurrent() error {
	current, _ := s.find(vault.Current)
	switch {
	case current.Holds.State == Holds:
		return nil
	case len(s.labelled()) > 0:
		return fault.New[fault.Overwritten]("the AWSCURRENT value of %s holds no key that can be read, although keys "+
			"of it are valid: somebody overwrote it, or changed the tag %s; "+
			"correct the tag, or move AWSCURRENT back with: quilt-rotate rollback %s", s.secret.ARN, apikey.FieldTag,
			s.secret.Name)
	case current.Holds.State == Unreadable:
		return fault.New[fault.BadValue]("the AWSCURRENT value of %s holds no key that can be read; nothing is "+
			"revoked: correct the value, or the tag %s", s.secret.ARN, apikey.FieldTag)
	}
	return errNotBootstrapped
}

// readKeys logs in and asks for the keys that labels name. It asks by id, so the cost of a sweep
// does not depend on how many keys the user has. It fetches the list of all keys only to search for
// orphans, or if a key that the plan needs is not found by its id.
func (s *sweep) readKeys(ctx context.Context) error {
	byID := func(ids []string) query {
		return func(session *quilt.Session) (quilt.Identity, error) {
			account, err := session.AccountKeys(ctx, ids)
			for _, k := range account.Keys {
				s.Answers[k.ID] = KeyAnswer{Key: &k}
			}
			return account.Identity, err
		}
	}
	list := func(session *quilt.Session) (quilt.Identity, error) {
		account, err := session.Account(ctx)
		if s.List, s.Listed = account.Keys, err == nil; !s.listCounts() {
			s.List = nil
		}
		return account.Identity, err
	}
	first, second := byID(slices.Sorted(maps.Keys(s.labelled()))), query(list)
	if s.searches() {
		first, second = list, func(session *quilt.Session) (quilt.Identity, error) { return byID(s.missing())(session) }
	}
	if err := s.logIn(ctx, first); err != nil || len(s.missing()) == 0 {
		return err
	}
	_, err := second(s.session)
	return err
}

// query asks the registry for the user of a session and for keys of that user. It stores the keys
// in the snapshot.
type query func(*quilt.Session) (quilt.Identity, error)

// searches reports whether this sweep fetches the list of all keys to search it for orphans. It
// does so once a day, in every sweep within a day of a rotation, and if the current version has no
// label with its key's id. The hour is taken from the time in the event, so a sweep that runs late
// still belongs to its hour. A sweep that no schedule started always searches, because a person
// waits for the result.
func (s *sweep) searches() bool {
	current, _ := s.find(vault.Current)
	recent := func(t time.Time) bool { return s.Now.Sub(t) < 24*time.Hour }
	return s.DryRun || s.Time.IsZero() || s.Time.UTC().Hour() == SearchHour(s.secret.ARN) ||
		len(current.Keys) == 0 || s.underWay() || recent(s.secret.Rotation.Last) ||
		slices.ContainsFunc(s.Versions, func(x Version) bool { return recent(lastMark(x)) })
}

// SearchHour returns the hour of the day, in UTC, whose sweep of a secret searches for orphans. It
// is derived from the ARN, so that the searches of many secrets spread over the day.
func SearchHour(secretARN string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(secretARN))
	return int(h.Sum32() % 24)
}

// logIn is the first gate: the current key must log in. If it logs in but may not manage keys, the
// sweep continues in a session of the issuing credential.
func (s *sweep) logIn(ctx context.Context, ask query) error {
	current, _ := s.find(vault.Current)
	s.session = s.Registry.WithKey(current.Holds.Key)
	who, err := ask(s.session)
	if quilt.Refused(err) && !quilt.RefusesLogin(err) {
		me, loginErr := s.session.Me(ctx)
		if loginErr == nil {
			return s.continueAsIssuer(ctx, me.Email, err, ask)
		}
		err = loginErr
	}
	if quilt.RefusesLogin(err) {
		return fault.New[fault.CurrentKeyRefused]("the key in AWSCURRENT of %s does not log in, so nothing is "+
			"revoked: %w; run: quilt-rotate recover %s", s.secret.ARN, err, s.secret.Name)
	}
	s.Owner, s.RegistryNow = who.Email, who.RegistryTime
	return err
}

// continueAsIssuer continues in a session of the issuing credential, and sends the query there. The
// issuing credential must belong to owner.
func (s *sweep) continueAsIssuer(ctx context.Context, owner string, refusal error, ask query) error {
	if s.policy.Issuer == "" {
		return fault.New[fault.RegistryRefused]("the current key of %s may not manage keys: %w; configure an issuing "+
			"credential (tag quilt-rotate:issuer)", s.secret.ARN, refusal)
	}
	value, err := s.Vault.ReadCurrent(ctx, s.policy.Issuer)
	if err != nil {
		return s.badIssuer("be read", err)
	}
	session, err := issuer.LogIn(ctx, s.Registry, s.policy.Issuer, value, s.secret)
	if err != nil {
		return s.badIssuer("log in", err)
	}
	who, err := ask(session.Session)
	if err != nil {
		return s.badIssuer("list keys", err)
	}
	if !quilt.SameUser(who.Email, owner) {
		return fault.New[fault.OwnerChanged]("the issuing credential of %s belongs to %s, but the current key "+
			"belongs to %s; nothing is revoked", s.secret.ARN, who.Email, owner)
	}
	s.session, s.byIssuer, s.Owner, s.RegistryNow = session.Session, true, who.Email, who.RegistryTime
	return nil
}

// badIssuer returns [*fault.BadIssuer], unless the registry gave no answer or the issuing
// credential does not serve the secret. Then it returns err.
func (s *sweep) badIssuer(cannot string, err error) error {
	_, down := errors.AsType[*quilt.UnavailableError](err)
	if _, refused := errors.AsType[*fault.IssuerNotAllowed](err); down || refused {
		return err
	}
	return fault.New[fault.BadIssuer]("the issuing credential of %s cannot %s: %w", s.secret.ARN, cannot, err)
}

// askMissing asks about each labelled key that the registry showed neither in its list nor by its
// id: it logs in with the key in the version's value. If there is no answer, nothing is done to
// that key.
func (s *sweep) askMissing(ctx context.Context) error {
	for _, id := range s.missing() {
		version, _ := s.find(vault.KeyLabel(id))
		if version.Has(vault.Current) {
			continue
		}
		answer, err := s.ask(ctx, id, version.Holds.Key)
		if err != nil {
			s.Log.WarnContext(ctx, "the registry gave no answer about a labelled key", "secret", s.secret.ARN, "keyId",
				id, "error", err)
			continue
		}
		s.Answers[id] = answer
	}
	return ctx.Err()
}

// ask finds out whether a key exists that the sweep's session did not find. A refusal of the key is
// believed only if the session still works after it, because the registry may refuse everybody at
// that moment. Only an administrator's session finds the keys of all users.
func (s *sweep) ask(ctx context.Context, id string, key apikey.Key) (KeyAnswer, error) {
	if logsIn, err := s.logsIn(ctx, key); err != nil || logsIn {
		return KeyAnswer{Logins: logsIn}, err
	}
	l, err := s.session.Login(ctx, id)
	if err != nil || l.Key != nil || !l.IsAdmin {
		return KeyAnswer{Key: l.Key}, err
	}
	row, err := s.session.AdminGetKey(ctx, id)
	return KeyAnswer{Key: row, Absent: row == nil}, err
}

// logsIn reports whether a key logs in. It fails if the registry gives no answer.
func (s *sweep) logsIn(ctx context.Context, key apikey.Key) (bool, error) {
	_, err := s.Registry.WithKey(key).Me(ctx)
	refused := quilt.RefusesLogin(err)
	if quilt.Refused(err) { // a key without permissions logs in, too
		err = nil
	}
	return err == nil && !refused, err
}
