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

// It is not documented whether a key may create, list and revoke keys. So doctor creates a key to
// find out: the probe key. It expires after a day and is revoked within seconds.
//
//   - Only one probe key exists at a time: examination.probing is full until it is revoked.
//   - Its name has the mark of the secret, so if a crash leaves it, a sweep revokes it as an orphan.
//     While it exists, doctor creates no other probe key for the secret.
//   - Ctrl-C does not stop the work between the creation and the revocation: see [examined.probe].
//   - Its secret text is used for two logins and never stored.

// probeLabel begins a probe key's name.
const probeLabel = "doctor-probe"

const askAdministrator = "ask the administrator of the registry"

// probeDays is the shortest lifetime of a key.
const probeDays = 1

// probeTime limits the creation and the checks of the key, and again its revocation.
const probeTime = 30 * time.Second

func (p *examined) manages(ctx context.Context) finding {
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

// byIssuer checks the issuing credential if the current key may not manage keys. A rotation then
// uses the issuing credential too.
func (p *examined) byIssuer(ctx context.Context, refusal error) finding {
	if p.issuer == nil {
		return failure("give the secret an issuing credential, a second credential of "+p.me.Email+
			": docs/runbook/NoCreator.md",
			"the key may not manage keys: %s", refusal)
	}
	f, refusal := p.probe(ctx, p.issuer)
	switch {
	case refusal != nil:
		return failure("store another issuing credential, such as a user name and a password",
			"neither the key nor the issuing credential may manage keys: %s", refusal)
	case f.status == OK:
		return ok("the issuing credential may create, list and revoke keys; the key itself may not")
	}
	return f
}

// probe creates a key as the user of the session, checks the key, and revokes it. refusal is the
// registry's error if it refuses a request that a rotation needs.
func (p *examined) probe(ctx context.Context, s *quilt.Session) (f finding, refusal error) {
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
				"not checked, because the probe key %s of an earlier run still exists", k.ID), nil
		}
	}
	steady, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	key, err := s.CreateKey(steady, apikey.Name(probeLabel, p.now(), p.secret.ARN), probeDays)
	if _, lost := errors.AsType[*quilt.AnswerLostError](err); lost { // the key may exist, but its text is lost
		p.left = "a probe key may be left; the next sweep of " + p.name + " revokes it, and it expires within a day"
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

// refusedOr returns a refusal as an error, so that the issuing credential is tried. It returns the
// finding for any other error.
func refusedOr(err error) (finding, error) {
	if quilt.Refused(err) {
		return finding{}, err
	}
	return broken(err, ""), nil
}

func (p *examined) isProbe(k quilt.APIKey) bool {
	mark, ours := apikey.MarkOf(k.Name)
	return ours && mark == apikey.SecretMark(p.secret.ARN) && strings.HasPrefix(k.Name, probeLabel+"-")
}

// examineProbe checks what a rotation relies on: the registry lists the key, and the key logs in as
// the same user.
func (p *examined) examineProbe(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) (finding, error) {
	keys, err := s.ListKeys(ctx, quilt.KeyFilter{})
	if err != nil {
		return refusedOr(err)
	}
	if !slices.ContainsFunc(keys, func(k quilt.APIKey) bool { return k.ID == key.ID }) {
		return failure(askAdministrator, "the registry created a key but does not list it, and sweeps need the list"),
			nil
	}
	me, err := p.loginSoon(ctx, key.Secret)
	switch {
	case quilt.RefusesLogin(err):
		return failure(askAdministrator, "a new key does not log in"), nil
	case err != nil:
		return broken(err, ""), nil
	case !quilt.SameUser(me.Email, p.owner()):
		return failure("store an issuing credential of "+p.owner(), "a new key belongs to %s, not to %s", me.Email,
			p.owner()), nil
	}
	if len(key.Differs) > 0 {
		return warning(askAdministrator, "a new key differs from the request: %s", strings.Join(key.Differs, "; ")), nil
	}
	return ok("the key may create, list and revoke keys (checked with a probe key)"), nil
}

// defaultKeyWait is how long a registry may take to accept a new key, or to refuse a revoked key.
const defaultKeyWait = 5 * time.Second

func (p *examined) loginSoon(ctx context.Context, key apikey.Key) (quilt.Identity, error) {
	session := p.registries[p.url].client.WithKey(key)
	return backoff.Retry(ctx, func() (quilt.Identity, error) {
		me, err := session.Me(ctx)
		if err != nil && !quilt.RefusesLogin(err) {
			err = backoff.Permanent(err)
		}
		return me, err
	}, backoff.WithMaxElapsedTime(p.keyWait))
}

// revokeProbe revokes the key and verifies the revocation, even after an error or Ctrl-C. If the
// session has no permission to revoke the key, the issuing credential revokes it.
func (p *examined) revokeProbe(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) finding {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	err := p.revokedBy(ctx, s, key)
	if err != nil && p.issuer != nil {
		err = p.revokedBy(ctx, p.issuer, key)
	}
	if err == nil {
		return finding{status: OK}
	}
	p.left = fmt.Sprintf("the probe key %s of %s is left and expires within a day; to revoke it: quilt-rotate keys "+
		"revoke %[1]s --secret %[2]s", key.ID, p.name)
	return failure(p.left, "the probe key was created but could not be revoked: %s", err)
}

// revokedBy revokes the key, and verifies that the registry no longer has it and refuses it. The
// answer to the revocation can be lost, so its error counts only if the registry still has the key.
func (p *examined) revokedBy(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) error {
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
