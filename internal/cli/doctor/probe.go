package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
)

// Whether a key may create, list and revoke keys is not documented, and only a key that is created shows it: the probe key. It expires after a day, and is
// revoked within seconds.
//
//   - One at a time: visit.probing is held until the key is revoked.
//   - Its name has this secret's mark, so that a sweep takes one that a crash left for what it is, an orphan, and revokes it. While such a one is still
//     there, no other is created.
//   - From the request that creates it until it is revoked, a Ctrl-C does not stop the work: see [patient.probe].
//   - Its secret is used for two logins and forgotten.

// probeLabel begins a probe key's name.
const probeLabel = "doctor-probe"

// probeDays is the shortest life that the registry gives.
const probeDays = 1

// probeTime bounds each of: making the key and looking at it; revoking it.
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

// byIssuer is for a current key that may not manage keys: then the issuer must, as in a rotation.
func (p *patient) byIssuer(ctx context.Context, refusal error) finding {
	if p.issuer == nil {
		return failure("if it is keys that may not, configure an issuer (issuer in the stack's configuration, the tag quilt-rotate:issuer): a second credential of "+p.me.Email,
			"the key may not manage keys: %s", refusal)
	}
	f, refusal := p.probe(ctx, p.issuer)
	switch {
	case refusal != nil:
		return failure("give the issuer a credential that may manage keys: a user and password, say", "neither the key nor the issuer may manage keys: %s", refusal)
	case f.status == OK:
		return ok("the issuing credential may create, list and revoke keys; the key itself may not")
	}
	return f
}

// probe creates a key as the session's user, checks it, and revokes it. refusal is the registry's refusal of what a rotation needs.
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
			return warning("the next sweep revokes it as an orphan; or now: quilt-rotate keys revoke "+k.ID+" --secret "+p.name,
				"not tried: the probe key %s of an earlier run is still there", k.ID), nil
		}
	}
	steady, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	key, err := s.CreateKey(steady, apikey.Name(probeLabel, p.now(), p.secret.ARN), probeDays)
	if lost, ok := errors.AsType[*quilt.AnswerLostError](err); ok {
		return p.lost(ctx, s, lost), nil
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

// lost revokes what a creation without an answer left: no such key was there before, so any that is there now is ours.
func (p *patient) lost(ctx context.Context, s *quilt.Session, cause error) finding {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	keys, err := s.ListKeys(ctx, quilt.KeyFilter{})
	for _, k := range keys {
		if p.isProbe(k) && k.Status == quilt.Active {
			if gone := p.revokeProbe(ctx, s, quilt.CreatedKey{APIKey: k}); gone.status != OK {
				return gone
			}
		}
	}
	if err != nil {
		p.left = "a probe key may be left, which expires within a day: the next sweep of " + p.name + " revokes it"
		return failure(p.left, "%s", cause)
	}
	return broken(cause, "try again; no probe key is there, and one that comes late would be revoked by the next sweep")
}

// examineProbe demands what a rotation relies on: the list shows the key, and it logs in as the same user. A registry may take a moment to know it.
func (p *patient) examineProbe(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) (finding, error) {
	keys, err := s.ListKeys(ctx, quilt.KeyFilter{})
	if err != nil {
		return refusedOr(err)
	}
	listed := false
	for _, k := range keys {
		listed = listed || k.ID == key.ID
	}
	if !listed {
		return failure("ask whoever runs the registry: sweeps cannot rely on such a list", "the registry created a key, and does not list it"), nil
	}
	me, err := p.loginSoon(ctx, key.Secret)
	switch {
	case quilt.RefusesLogin(err):
		return failure("ask whoever runs the registry", "a new key does not log in"), nil
	case err != nil:
		return broken(err, ""), nil
	case !quilt.SameUser(me.Email, p.owner()):
		return failure("use an issuer of "+p.owner(), "a new key is %s's, and not %s's", me.Email, p.owner()), nil
	}
	if len(key.Differs) > 0 {
		return warning("ask whoever runs the registry", "a new key is not as it was asked for: %s", strings.Join(key.Differs, "; ")), nil
	}
	return ok("may create, list and revoke keys: tried with a probe key"), nil
}

// defaultKeyWait is how long a new key, or a revoked one, may take to be known as such.
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

var errLogsIn = errors.New("it still logs in")

// revokeProbe revokes the key and checks it, whatever happened before and however often somebody presses Ctrl-C. If the session may not revoke, the issuing
// credential may.
func (p *patient) revokeProbe(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) finding {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	err := s.RevokeKey(ctx, key.ID)
	gone := p.isGone(ctx, s, key)
	if gone != nil && p.issuer != nil {
		err = errors.Join(err, p.issuer.RevokeKey(ctx, key.ID))
		gone = p.isGone(ctx, p.issuer, key)
	}
	if gone == nil {
		return finding{status: OK}
	}
	if err == nil {
		err = gone
	}
	p.left = fmt.Sprintf("the probe key %s of %s is left, and expires within a day; revoke it: quilt-rotate keys revoke %[1]s", key.ID, p.name)
	return failure(p.left, "a key could be created, but not revoked: %s", err)
}

// isGone checks that the registry no longer lists the key, and that it does not log in.
func (p *patient) isGone(ctx context.Context, s *quilt.Session, key quilt.CreatedKey) error {
	still, err := s.GetKey(ctx, key.ID)
	switch {
	case err != nil:
		return err
	case still != nil:
		return errors.New("the registry still has it")
	case key.Secret.IsZero():
		return nil // nobody has ever seen it
	}
	session := p.registries[p.url].client.WithKey(key.Secret)
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		switch _, err := session.Me(ctx); {
		case quilt.RefusesLogin(err):
			return struct{}{}, nil
		case err != nil:
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, errLogsIn
	}, backoff.WithMaxElapsedTime(p.keyWait))
	return err
}
