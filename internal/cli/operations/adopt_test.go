package operations_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

func TestAdoptRefusesAKeyThatIsNamedForASecretElsewhere(t *testing.T) {
	// Protects the consumers of another account or region: the key's name says that a secret there
	// may hold it.
	t.Parallel()
	r := sandboxtest.New(t)
	_, secret := r.Registry.MintKey(sandbox.UserEmail, apikey.Name("pipeline", r.Clock.Now(),
		"arn:aws:secretsmanager:eu-west-1:1:secret:prod/x"), 90)
	s := r.BareSecret("prod/pipeline", sandboxtest.ValueWith(secret))
	p := newPerson(t, r)
	if _, err := p.adopt(s.Name, nil); err == nil || !strings.Contains(err.Error(), "another account or region") ||
		!strings.Contains(terminal.Hint(err), "--anyway") {
		t.Fatalf("got %v, %s", err, terminal.Hint(err))
	}
	found, err := p.secret(s.Name)
	if err != nil || len(found.Tags) > 0 {
		t.Fatalf("got %v, with the tags %v", err, found.Tags)
	}
	var asked string
	p.Confirm = func(_ context.Context, what, _ string) error {
		asked = what
		return nil
	}
	if _, err := p.Adopt(p.ctx, operations.Adoption{Secret: found, Registry: p.registry, Anyway: true}); err != nil ||
		!strings.Contains(asked, "that key is revoked there too") {
		t.Fatalf("got %v; asked %q", err, asked)
	}
}

// putsOfKeys passes only the puts of a new key to the fault.
func putsOfKeys(fault wire.Hook) wire.Hook {
	return sandboxtest.On(func(c *wire.Call, next func()) {
		if strings.Contains(string(c.Body), vault.KeyLabel("")) {
			fault(c, next)
			return
		}
		next()
	}, "PutSecretValue")
}

func TestBootstrapRevokesAKeyThatWasCertainlyNotStored(t *testing.T) {
	// Protects promise 3: a command that is refused does not leave one more key at the registry
	// each time that it runs.
	t.Parallel()
	denied := sandboxtest.AWSError(http.StatusBadRequest, "AccessDeniedException", "no")
	created := func(r *sandboxtest.Rig) bool { return len(r.Registry.Keys()) > 0 }
	for name, fault := range map[string]func(r *sandboxtest.Rig) wire.Hook{
		"the put is refused": func(*sandboxtest.Rig) wire.Hook { return putsOfKeys(denied) },
		"the secret cannot be described after the key was created": func(r *sandboxtest.Rig) wire.Hook {
			return sandboxtest.On(func(c *wire.Call, next func()) {
				if created(r) {
					denied(c, next)
					return
				}
				next()
			}, "DescribeSecret")
		},
		"the value cannot be read after the key was created": func(r *sandboxtest.Rig) wire.Hook {
			return sandboxtest.On(func(c *wire.Call, next func()) {
				if created(r) {
					denied(c, next)
					return
				}
				next()
			}, "GetSecretValue")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.BareSecret("prod/pipeline", "{}")
			remove := r.Intercept(fault(r))
			for range 2 {
				p := newPerson(t, r)
				if _, err := p.bootstrap(s.Name); err == nil {
					t.Fatal("it did not fail")
				}
				if left := s.Ours(); len(left) > 0 || !strings.Contains(p.said.String(), "was revoked") {
					t.Fatalf("%d keys are left\n%s", len(left), p.said)
				}
			}
			remove()
			if _, err := newPerson(t, r).bootstrap(s.Name); err != nil || len(s.Ours()) != 1 {
				t.Fatalf("%v, %d keys", err, len(s.Ours()))
			}
		})
	}
}

func TestBootstrapKeepsAKeyThatMayBeStored(t *testing.T) {
	// Protects promise 1: the answer to the put says that it was refused, but an earlier attempt
	// was carried out. If the value can be read back, the command goes on; if not, the key is kept,
	// and the next run makes it current.
	t.Parallel()
	for _, unreadable := range []bool{false, true} {
		r := sandboxtest.New(t)
		s := r.BareSecret("prod/pipeline", "{}")
		stored := false
		removePut := r.Intercept(putsOfKeys(func(c *wire.Call, next func()) {
			next()
			stored = true
			c.Respond(http.StatusBadRequest, `{"__type":"AccessDeniedException","message":"no"}`)
		}))
		removeRead := r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
			if stored && unreadable {
				c.Respond(http.StatusBadRequest, `{"__type":"AccessDeniedException","message":"no"}`)
				return
			}
			next()
		}, "GetSecretValue"))
		p := newPerson(t, r)
		_, err := p.bootstrap(s.Name)
		if unreadable != (err != nil) || len(s.Ours()) != 1 {
			t.Fatalf("unreadable %t: %v, %d keys\n%s", unreadable, err, len(s.Ours()), p.said)
		}
		if unreadable && !strings.Contains(err.Error(), "it is not known whether the value was stored") {
			t.Fatalf("got %v", err)
		}
		removePut()
		removeRead()
		if _, err := newPerson(t, r).bootstrap(s.Name); err != nil || len(s.Ours()) != 1 || !s.Alive(s.CurrentKey()) {
			t.Fatalf("unreadable %t, the next run: %v, %d keys\n%s", unreadable, err, len(s.Ours()), s.Labels())
		}
	}
}

func TestBootstrapMovesALabelThatIsOnAnotherVersion(t *testing.T) {
	// Protects promise 3: after a lost answer, the label of the key goes back to the version that
	// holds the key.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.BareSecret("prod/pipeline", "{}")
	moved := false
	defer r.Intercept(putsOfKeys(func(c *wire.Call, next func()) {
		next()
		if moved {
			return
		}
		for _, v := range s.Snapshot().Versions {
			for _, id := range vault.NewVersion(v.ID, v.Stages).Keys {
				if err := s.MoveLabel(vault.KeyLabel(id), s.Holder(vault.Current).ID, v.ID); err != nil {
					t.Error(err)
				}
				moved = true
			}
		}
		c.Respond(http.StatusBadRequest, `{"__type":"InvalidRequestException","message":"no"}`)
	}))()
	if _, err := newPerson(t, r).bootstrap(s.Name); err != nil || !moved {
		t.Fatalf("%v, moved %t\n%s", err, moved, s.Labels())
	}
	key, _ := r.Registry.KeyBySecret(s.CurrentKey().Reveal())
	if current := s.Holder(vault.Current); vault.NewVersion(current.ID, current.Stages).Key() != key.ID {
		t.Errorf("the label is elsewhere\n%s", s.Labels())
	}
}

func TestTwoAdoptionsAtTheSameTimeSwitchRotationOnOnce(t *testing.T) {
	// Protects twins: both report success, and the secret has one label of its key, one rotation
	// and nothing pending, also if the test of the first one's configuration refuses the second
	// one's call, and if an answer is lost.
	t.Parallel()
	for name, fault := range map[string]wire.Hook{
		"nothing is lost": func(_ *wire.Call, next func()) { next() },
		"every answer to RotateSecret is an error": sandboxtest.On(func(c *wire.Call, next func()) {
			next()
			c.Respond(http.StatusBadRequest,
				`{"__type":"InvalidRequestException","Message":"A previous rotation isn't complete. That rotation will be reattempted."}`)
		}, "RotateSecret"),
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			_, secret := r.Registry.MintKey(sandbox.UserEmail, "by-hand", 90)
			s := r.BareSecret("prod/twins", sandboxtest.ValueWith(secret))
			rotationOff(s)
			defer r.Intercept(fault)()
			var group errgroup.Group
			for range 2 {
				group.Go(func() error {
					p := newPerson(t, r)
					found, err := p.secret(s.Name)
					if err == nil {
						_, err = p.Adopt(p.ctx, operations.Adoption{Secret: found, Registry: p.registry,
							Schedule: "rate(30 days)", Function: sandbox.RotateFunction})
					}
					return err
				})
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			_ = r.Secrets.WaitRotation(t.Context(), s.Name) // its error is how the test of the configuration ended
			out, err := r.Hands.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &s.ARN})
			if err != nil || !*out.RotationEnabled || *out.RotationRules.ScheduleExpression != "rate(30 days)" ||
				len(out.VersionIdsToStages) != 1 {
				t.Errorf("%v: %+v", err, out)
			}
		})
	}
}

func TestAdoptRefusesARotationThatItCannotServe(t *testing.T) {
	// Protects an operator from an adoption that reports success although no rotation will succeed:
	// the rotation names a version of the function, or is stuck.
	t.Parallel()
	for name, fault := range map[string]struct {
		prepare func(t *testing.T, r *sandboxtest.Rig, s *sandboxtest.Secret) error
		want    string
	}{
		"a version of the function": {func(t *testing.T, r *sandboxtest.Rig, s *sandboxtest.Secret) error {
			_, err := r.Hands.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
				SecretId: &s.ARN, RotationLambdaARN: aws.String(sandboxtest.FunctionARN(sandbox.RotateFunction) +
					":$LATEST"), RotateImmediately: aws.Bool(false),
				RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")},
			})
			return err
		}, "names a version or an alias"},
		"a rotation that is stuck": {func(_ *testing.T, r *sandboxtest.Rig, s *sandboxtest.Secret) error {
			rotationOff(s)
			_, err := r.Secrets.StartPending(s.Name, uuid.NewString())
			rotationOff(s)
			return err
		}, "another rotation of prod/adopted is under way or stuck"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			_, secret := r.Registry.MintKey(sandbox.UserEmail, "by-hand", 90)
			s := r.BareSecret("prod/adopted", sandboxtest.ValueWith(secret))
			if err := fault.prepare(t, r, s); err != nil {
				t.Fatal(err)
			}
			p := newPerson(t, r)
			found, err := p.secret(s.Name)
			if err == nil {
				_, err = p.Adopt(p.ctx, operations.Adoption{Secret: found, Registry: p.registry,
					Schedule: "rate(30 days)", Function: sandbox.RotateFunction})
			}
			if err == nil || !strings.Contains(err.Error(), fault.want) || terminal.Hint(err) == "" {
				t.Errorf("got %v, hint %q", err, terminal.Hint(err))
			}
		})
	}
}
