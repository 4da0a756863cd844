package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
)

// Whether a key may create, list and revoke keys is not documented. Only a key that is created
// shows it: the probe key. It expires after a day, and is revoked within seconds.
//
//   - There is one at a time: visit.probing is held until the key is revoked.
//   - Its name has the mark of this secret, so a sweep revokes it as an orphan if a crash leaves it. While it exists, no other probe key is created.
//   - From the request that creates it until it is revoked, Ctrl-C does not stop the work: see [patient.probe].
//   - Its secret text is used for two logins and never stored.

// probeLabel begins a probe key's name.
const probeLabel = "doctor-probe"

const askAdministrator = "ask the administrator of the registry"

// probeDays is the shortest life of a key.
const probeDays = 1

// probeTime limits the creation and the checks of the key, and again its revocation.
const probeTime = 30 * time.Second

func (p *patient) manages(ctx context.Context) finding {
	if p.NoProbe {
		return skip("--no-probe")
	}
	if p.manageErr != nil {
		return p.byIssuer(ctx, p.manageErr)
	}
	f, refusal := p.probe(ctx, p.session)
	if refusal != nil {
		return p.byIssuer(ctx, refusal)
	}
	return f
}

// byIssuer is for a current key that may not manage keys. Then the issuing credential must, as in a
// rotation.
func (p *patient) byIssuer(ctx context.Context, refusal error) finding {
	if p.issuer == nil {
		return failure("give the secret an issuing credential, a second credential of "+p.me.Email+
			": docs/runbook/NoCreator.md",
			"the key may not manage keys: %s", refusal)
	}
	f, refusal := p.probe(ctx, p.issuer)
	switch {
	case refusal != nil:
		return failure("store another issuing credential, such as a user and password",
			"neither the key nor the issuing credential may manage keys: %s", refusal)
	case f.status == OK:
		return ok("the issuing credential may create, list and revoke keys; the key itself may not")
	}
	return f
}

// probe creates a key as the session's user, checks it, and revokes it. refusal is the registry's
// refusal of what a rotation needs.
func (p *patient) probe(ctx context.Context, s *quilt.Session) (f finding, refusal error) {
	select {
	case p.probing <- struct{}{}:
		defer func() { <-p.probing }()
	case <-ctx.Done():
		return skip("interrupted"), nil
	}
	if ctx.Err() != nil {
		return skip("interrupted"), nil
	}
	before, err := s.ListKeys(ctx, quilt.KeyFilter{})
	if err != nil {
		return refusedOr(err)
	}
	for _, k := range before {
		if p.isProbe(k) && k.Status == quilt.Active {
			return warning("the next sweep revokes it as an orphan; or now: quilt-rotate keys revoke "+k.ID+
				" --secret "+p.name,
				"not tried: the probe key %s of an earlier run is still there", k.ID), nil
		}
	}
	steady, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	key, err := s.CreateKey(steady, apikey.Name(probeLabel, p.now(), p.secret.ARN), probeDays)
	if _, lost := errors.AsType[*quilt.AnswerLostError](err); lost { // it may exist, and nobody has its text
		p.left = "a probe key may be left, which expires within a day; the next sweep of " + p.name + " revokes it"
		return failure(p.left, "%s", err), nil
	}
	if err != nil {
		return refusedOr(err)
	}
	looked, refusal := p.examineProbe(steady, s, key)
	if gone := p.revokeProbe(ctx, s, key); gone.status != OK {
		return gone, nil
	}
	return looked, refusal
}

// refusedOr separates a refusal, for which the issuing credential may be used, from other errors.
func refusedOr(err error) (finding, error) {
	if quilt.Refused(err) {
		return finding{}, err
	}
	return broken(err, ""), nil
}

func (p *patient) isProbe(k quilt.APIKey) bool {
	mark, ours := apikey.MarkOf(k.Name)
	return ours && mark == apikey.SecretMark(p.secret.ARN) && strings.HasPrefix(k.Name, probeLabel+"-")
}

// examineProbe checks what a rotation relies on: the list shows the key, and the key logs in as the
// same user.
func (p *patient) examineProbe(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) (finding, error) {
	keys, err := s.ListKeys(ctx, quilt.KeyFilter{})
	if err != nil {
		return refusedOr(err)
	}
	if !slices.ContainsFunc(keys, func(k quilt.APIKey) bool { return k.ID == key.ID }) {
		return failure(askAdministrator, "the registry created a key and does not list it, and sweeps need the list"),
			nil
	}
	me, err := p.loginSoon(ctx, key.Secret)
	switch {
	case quilt.RefusesLogin(err):
		return failure(askAdministrator, "a new key does not log in"), nil
	case err != nil:
		return broken(err, ""), nil
	case !quilt.SameUser(me.Email, p.owner()):
		return failure("store an issuing credential of "+p.owner(), "a new key belongs to %s, and not to %s", me.Email,
			p.owner()), nil
	}
	if len(key.Differs) > 0 {
		return warning(askAdministrator, "a new key differs from the request: %s", strings.Join(key.Differs, "; ")), nil
	}
	return ok("may create, list and revoke keys, as a probe key showed"), nil
}

// defaultKeyWait is how long a registry may take to know a new key, or a revocation.
const defaultKeyWait = 5 * time.Second

func (p *patient) loginSoon(ctx context.Context, key apikey.Key) (quilt.Identity, error) {
	session := p.registries[p.url].client.WithKey(key)
	return backoff.Retry(ctx, func() (quilt.Identity, error) {
		me, err := session.Me(ctx)
		if err != nil && !quilt.RefusesLogin(err) {
			err = backoff.Permanent(err)
		}
		return me, err
	}, backoff.WithMaxElapsedTime(p.keyWait))
}

// revokeProbe revokes the key and checks that it is revoked, whatever happened before and even
// after Ctrl-C. If the session may not revoke it, the issuing credential may.
func (p *patient) revokeProbe(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) finding {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	err := p.revokedBy(ctx, s, key)
	if err != nil && p.issuer != nil {
		err = p.revokedBy(ctx, p.issuer, key)
	}
	if err == nil {
		return finding{status: OK}
	}
	p.left = fmt.Sprintf("the probe key %s of %s is left, and expires within a day; to revoke it: quilt-rotate keys "+
		"revoke %[1]s --secret %[2]s", key.ID, p.name)
	return failure(p.left, "a key could be created, but not revoked: %s", err)
}

// revokedBy revokes the key, and checks that the registry no longer has it and that it does not log
// in. The answer to the revocation can be lost, so its error counts only if the registry still has
// the key.
func (p *patient) revokedBy(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) error {
	refused := s.RevokeKey(ctx, key.ID)
	still, err := s.GetKey(ctx, key.ID)
	if err != nil || still != nil {
		return errors.Join(refused, err, errStays)
	}
	session := p.registries[p.url].client.WithKey(key.Secret)
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		_, err := session.Me(ctx)
		switch {
		case quilt.RefusesLogin(err):
			return struct{}{}, nil
		case err != nil:
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, errStays
	}, backoff.WithMaxElapsedTime(p.keyWait))
	return err
}

var errStays = errors.New("the registry still accepts or lists it")
