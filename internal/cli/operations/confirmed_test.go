package operations_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// race is a command and a change that another process makes during one of the command's requests.
type race struct {
	prepare   func(r *sandboxtest.Rig) *sandboxtest.Secret
	run       func(p *operator, s *sandboxtest.Secret) error
	meanwhile func(t *testing.T, s *sandboxtest.Secret)
}

// rotate ignores the error, because it fails if another rotation is under way.
func rotate(_ *testing.T, s *sandboxtest.Secret) { _ = s.Rotate() }

func recovery(replace, newOwner bool, login operations.Login) func(*operator, *sandboxtest.Secret) error {
	return func(p *operator, s *sandboxtest.Secret) error {
		opened, err := p.secret(s.Name)
		if err != nil {
			return err
		}
		_, err = p.Recover(p.ctx, operations.Recovery{Secret: opened, Registry: p.registry, Replace: replace,
			NewOwner: newOwner, LogIn: login})
		return err
	}
}

// secretWithSuperseded returns a secret with a superseded key that works.
func secretWithSuperseded(r *sandboxtest.Rig) *sandboxtest.Secret {
	s := r.Secret("prod/pipeline", settings.TagOwner, sandbox.UserEmail)
	s.MustRotate()
	return s
}

var races = map[string]race{
	"a rotation during a rollback": {secretWithSuperseded, func(p *operator, s *sandboxtest.Secret) error {
		_, err := p.rollback(s.Name, "")
		return err
	}, rotate},
	"a rotation during a rollback to another user's key": {func(r *sandboxtest.Rig) *sandboxtest.Secret {
		s := r.Secret("prod/pipeline", settings.TagOwner, sandbox.UserEmail)
		key, _ := r.Registry.KeyBySecret(s.CurrentKey().Reveal())
		s.MustRotate()
		r.Registry.TransferKey(key.ID, sandbox.AdminEmail)
		return s
	}, func(p *operator, s *sandboxtest.Secret) error {
		opened, err := p.secret(s.Name)
		if err == nil {
			_, err = p.Rollback(p.ctx, opened, operations.RollbackOptions{Registry: p.registry, NewOwner: true})
		}
		return err
	}, rotate},
	"a rotation while a key is replaced": {secretWithSuperseded, recovery(true, false, logIn), rotate},
	"the same recovery twice, by an older key": {func(r *sandboxtest.Rig) *sandboxtest.Secret {
		s := secretWithSuperseded(r)
		expire(s)
		return s
	}, recovery(false, false, logIn), recoverAgain},
	"the same recovery twice, into an edited value": {func(r *sandboxtest.Rig) *sandboxtest.Secret {
		s := secretWithSuperseded(r)
		s.Put(strings.Replace(s.Holder(vault.Current).Value, "{", `{"new": true, `, 1))
		expire(s)
		return s
	}, recovery(false, false, logIn), recoverAgain},
	"the same recovery twice, by a login": {func(r *sandboxtest.Rig) *sandboxtest.Secret {
		s := r.Secret("prod/pipeline", settings.TagOwner, sandbox.UserEmail)
		expire(s)
		return s
	}, recovery(false, false, logIn), recoverAgain},
	"a recovery by the owner during one by another user": {func(r *sandboxtest.Rig) *sandboxtest.Secret {
		s := r.Secret("prod/pipeline", settings.TagOwner, sandbox.UserEmail)
		expire(s)
		return s
	}, recovery(false, true, logInAsAdmin), recoverAgain},
}

func logInAsAdmin(ctx context.Context, registry *quilt.Client) (*quilt.Session, quilt.Identity, error) {
	session, err := registry.LoginPassword(ctx, sandbox.AdminName, quilt.NewPassword(sandbox.AdminPassword))
	if err != nil {
		return nil, quilt.Identity{}, err
	}
	me, err := session.Me(ctx)
	return session, me, err
}

func recoverAgain(t *testing.T, s *sandboxtest.Secret) {
	// The error is ignored: it fails if the other recovery has changed the owner.
	_ = recovery(false, false, logIn)(newOperator(t, s.Rig), s)
}

func TestACommandReplacesOnlyTheKeyThatItHasShown(t *testing.T) {
	// A rotation or another command may make a key current after this command has read the secret.
	// That key must not be replaced, and the tag must name the owner of the current key. The change
	// happens at each request of the command, in a separate run for each.
	t.Parallel()
	for name, c := range races {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := 1
			for c.at(t, at) {
				at++
			}
			if at < 8 {
				t.Fatalf("got only %d requests, want 7 or more", at-1)
			}
		})
	}
}

// at runs the race with the change at the request with the number. It reports whether the command
// sent that many requests.
func (c race) at(t *testing.T, number int) bool {
	end := &cleanups{T: t}
	defer end.run()
	r := sandboxtest.New(end)
	s := c.prepare(r)
	p := newOperator(t, r)
	var mu sync.Mutex
	var requests int
	var planned, problem string
	defer r.Intercept(func(call *wire.Call, next func()) {
		if sandboxtest.ProcessOf(call) != p.process.ID {
			next()
			return
		}
		mu.Lock()
		requests++
		now := requests == number
		mu.Unlock()
		if now {
			c.meanwhile(t, s)
		}
		before := s.Holder(vault.Current)
		next()
		mu.Lock()
		defer mu.Unlock()
		if call.Operation == "DescribeSecret" && planned == "" {
			planned = s.KeyIn(before).Reveal()
		}
		if moved := s.Holder(vault.Current).ID != before.ID; moved && s.KeyIn(before).Reveal() != planned {
			problem = fmt.Sprintf("%s replaced a key that was not shown", call.Operation)
		}
	})()
	err := c.run(p, s)
	mu.Lock()
	defer mu.Unlock()
	fail := func(what string) {
		t.Fatalf("request %d: %s\n%v\n%s\n%s", number, what, err, p.output, s.Labels())
	}
	if problem != "" {
		fail(problem)
	}
	current := s.CurrentKey()
	if !s.Valid(current) {
		fail("the current key does not log in")
	}
	key, _ := r.Registry.KeyBySecret(current.Reveal())
	described, describeErr := newOperator(t, r).secret(s.Name)
	if describeErr != nil {
		t.Fatal(describeErr)
	}
	if owner := described.Tags[settings.TagOwner]; owner != key.Owner {
		fail("the owner tag is " + owner + ", but the key belongs to " + key.Owner)
	}
	return requests >= number
}

func TestUnstickReportsARotationThatFinishesMeanwhile(t *testing.T) {
	// The last step ends while unstick waits for the answer to its question. Then it removes
	// nothing and succeeds.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	event := s.Begin(sandboxtest.Token(1))
	step := func(steps ...rotation.Step) {
		for _, each := range steps {
			if err := s.Step(event, each); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(rotation.Create, rotation.Set, rotation.Test)
	p := newOperator(t, r)
	p.Confirm = func(context.Context, string, string) error {
		step(rotation.Finish)
		return nil
	}
	opened, err := p.secret(s.Name)
	if err != nil {
		t.Fatal(err)
	}
	unstuck, err := p.Unstick(p.ctx, opened, operations.UnstickOptions{Registry: p.registry, Now: true})
	if err != nil || !unstuck.Finished || unstuck.Detached || s.Holder(vault.Current).ID != unstuck.VersionID {
		t.Errorf("got %+v, %v\n%s", unstuck, err, s.Labels())
	}
}
