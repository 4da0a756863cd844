package revocation

import (
	"context"
	"errors"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// view is the world as it was looked at, and the session that may act on it.
type view struct {
	World
	secret  vault.Secret
	session *quilt.Session // of the current key, or of the issuer where keys may not manage keys

	byIssuer bool // whose session it is
}

// look reads the world in as few requests as it takes: the values that must be compared, and one query that is login gate and list of
// keys in one. It fails, and nothing is revoked, where the current key does not log in. The view is there as far as it came, also with an error.
func (s *sweep) look(ctx context.Context) (*view, error) {
	v := &view{secret: s.secret, World: World{SecretARN: s.secret.ARN, Now: s.secret.Now, Asked: map[string]Asked{}}}
	for _, version := range s.secret.Sorted() {
		v.Versions = append(v.Versions, Version{Version: version})
	}
	for _, r := range s.secret.Replicas {
		if r.Status != vault.InSync {
			v.Lagging = append(v.Lagging, r.Region)
		}
	}
	if err := s.readValues(ctx, v, func(x Version) bool {
		return x.Has(vault.Current) || x.Has(vault.Pending) || len(x.Keys) > 0 || x.Has(vault.Previous) && v.markedBefore()
	}); err != nil {
		return v, err
	}
	if err := s.checkCurrent(v); err != nil {
		return v, err
	}
	if err := s.logIn(ctx, v); err != nil {
		return v, err
	}
	if !v.listCounts() {
		v.List = nil
	}
	if v.orphanCandidates() {
		if err := s.readValues(ctx, v, func(x Version) bool { return len(x.Keys) == 0 }); err != nil {
			return v, err
		}
	}
	return v, s.askMissing(ctx, v)
}

// readValues reads the values of the versions that are asked for, and not known yet.
func (s *sweep) readValues(ctx context.Context, v *view, asked func(Version) bool) error {
	for i, version := range v.Versions {
		if version.Holds.State != Unread || !asked(version) {
			continue
		}
		holding, err := s.readValue(ctx, version.ID)
		if err != nil {
			return err
		}
		v.Versions[i].Holds = holding
	}
	return nil
}

func (s *sweep) readValue(ctx context.Context, versionID string) (Holding, error) {
	raw, err := s.Vault.ReadIfAny(ctx, s.secret.ARN, versionID)
	switch {
	case errors.Is(err, vault.ErrNoValue):
		return Holding{State: NoValue}, nil
	case errors.Is(err, vault.ErrBinary):
		return Holding{State: Unreadable}, nil
	case err != nil:
		return Holding{}, err
	}
	value, err := apikey.ParseValue(raw, s.policy.Field)
	if _, blank := errors.AsType[*apikey.BlankValueError](err); blank {
		return Holding{State: Blank}, nil
	}
	if err != nil {
		return Holding{State: Unreadable}, nil
	}
	return Holding{State: Holds, Key: value.Key()}, nil
}

// errNotBootstrapped says that there is nothing to sweep yet.
var errNotBootstrapped = errors.New("the secret waits for its first key")

// checkCurrent tells a secret whose key somebody overwrote from one that waits for its first key, and from one that never held a key where
// it is looked for: the first has labels of keys.
func (s *sweep) checkCurrent(v *view) error {
	current, ok := v.find(vault.Current)
	switch {
	case ok && current.Holds.State == Holds:
		return nil
	case ok && current.Holds.State == Unreadable && len(v.labelled()) > 0:
		return fault.New[fault.Overwritten]("the AWSCURRENT value of %s holds no key that can be read, and keys of it live: somebody overwrote it, or changed the tag %s; "+
			"correct the tag, or move AWSCURRENT back with: quilt-rotate rollback %s", s.secret.ARN, apikey.FieldTag, s.secret.Name)
	case ok && current.Holds.State == Unreadable:
		return fault.New[fault.BadValue]("the AWSCURRENT value of %s holds no key that can be read; nothing is revoked: correct the value, or the tag %s", s.secret.ARN, apikey.FieldTag)
	case len(v.labelled()) > 0:
		return fault.New[fault.Overwritten]("the AWSCURRENT value of %s is blank, and keys of it live: somebody overwrote it; "+
			"move AWSCURRENT back with: quilt-rotate rollback %s", s.secret.ARN, s.secret.Name)
	}
	return errNotBootstrapped
}

// logIn is the first gate. Where the current key logs in, but may not manage keys, the issuer's session does what is to be done.
func (s *sweep) logIn(ctx context.Context, v *view) error {
	current, _ := v.find(vault.Current)
	v.session = s.Registry.WithKey(current.Holds.Key)
	account, err := v.session.Account(ctx)
	if err != nil && quilt.Refused(err) && !quilt.RefusesLogin(err) {
		me, loginErr := v.session.Me(ctx)
		if loginErr == nil {
			return s.goOnAsIssuer(ctx, v, me.Email, err)
		}
		err = loginErr
	}
	if quilt.RefusesLogin(err) {
		return fault.New[fault.CurrentKeyRefused]("the key in AWSCURRENT of %s does not log in, so nothing is revoked: %w; run: quilt-rotate recover %s", s.secret.ARN, err, s.secret.Name)
	}
	if err != nil {
		return err
	}
	v.Owner, v.List, v.RegistryNow = account.Email, account.Keys, account.RegistryTime
	return nil
}

// goOnAsIssuer lets the issuer's session do what the current key's may not. The issuer must be the same registry user.
func (s *sweep) goOnAsIssuer(ctx context.Context, v *view, owner string, refusal error) error {
	if s.policy.Issuer == "" {
		return fault.New[fault.RegistryRefused]("the current key of %s may not manage keys: %w; configure an issuer (tag quilt-rotate:issuer)", s.secret.ARN, refusal)
	}
	value, err := s.Vault.ReadCurrent(ctx, s.policy.Issuer)
	if err != nil {
		return fault.New[fault.BadIssuer]("the issuer of %s cannot be read: %w", s.secret.ARN, err)
	}
	session, err := issuer.LogIn(ctx, s.Registry, s.policy.Issuer, value, s.secret)
	if _, refused := errors.AsType[*fault.IssuerNotAllowed](err); refused {
		return err
	}
	if err != nil {
		return s.badIssuer("log in", err)
	}
	account, err := session.Account(ctx)
	if err != nil {
		return s.badIssuer("list keys", err)
	}
	if account.Email != owner {
		return fault.New[fault.OwnerChanged]("the issuer of %s is %s, but its key is %s's; nothing is revoked", s.secret.ARN, account.Email, owner)
	}
	v.session, v.byIssuer = session.Session, true
	v.Owner, v.List, v.RegistryNow = account.Email, account.Keys, account.RegistryTime
	return nil
}

// badIssuer blames the issuer, unless the registry gave no answer.
func (s *sweep) badIssuer(cannot string, err error) error {
	if _, down := errors.AsType[*quilt.UnavailableError](err); down {
		return err
	}
	return fault.New[fault.BadIssuer]("the issuer of %s cannot %s: %w", s.secret.ARN, cannot, err)
}

// askMissing asks for labelled keys that the list lacks by their ids, and, where the registry knows no such id, lets the version's own value
// try to log in. An answer that does not come leaves the key unasked, so that nothing is done to it.
func (s *sweep) askMissing(ctx context.Context, v *view) error {
	for _, version := range v.Versions {
		if version.Has(vault.Current) || version.Has(vault.Pending) || version.Holds.State != Holds {
			continue
		}
		for _, id := range version.Keys {
			if _, listed := v.key(id); listed {
				continue
			}
			answer, err := s.ask(ctx, v.session, id, version.Holds.Key)
			if err != nil {
				s.Log.WarnContext(ctx, "the registry gave no answer about a labelled key", "secret", s.secret.ARN, "keyId", id, "error", err)
				continue
			}
			v.Asked[id] = answer
		}
	}
	return ctx.Err()
}

func (s *sweep) ask(ctx context.Context, session *quilt.Session, id string, key apikey.Key) (Asked, error) {
	l, err := session.Login(ctx, id)
	if err != nil || l.Key != nil {
		return Asked{Key: l.Key}, err
	}
	logsIn, err := s.logsIn(ctx, key)
	return Asked{Logins: logsIn}, err
}

// logsIn tells whether a key logs in; it fails where that is not known.
func (s *sweep) logsIn(ctx context.Context, key apikey.Key) (bool, error) {
	_, err := s.Registry.WithKey(key).Me(ctx)
	if quilt.RefusesLogin(err) {
		return false, nil
	}
	return err == nil || quilt.Refused(err), notRefusal(err)
}

// notRefusal keeps what leaves a question open.
func notRefusal(err error) error {
	if quilt.Refused(err) {
		return nil
	}
	return err
}
