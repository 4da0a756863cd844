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

func TestAdoptRefusesAKeyNamedForASecretElsewhere(t *testing.T) {
	// The key's name says that a secret of another account or region may hold it.
	t.Parallel()
	r := sandboxtest.New(t)
	_, secret := r.Registry.MintKey(sandbox.UserEmail, apikey.Name("pipeline", r.Clock.Now(),
		"arn:aws:secretsmanager:eu-west-1:1:secret:prod/x"), 90)
	s := r.BareSecret("prod/pipeline", sandboxtest.ValueWith(secret))
	p := newOperator(t, r)
	if _, err := p.adopt(s.Name, nil); err == nil || !strings.Contains(err.Error(), "another account or region") ||
		!strings.Contains(terminal.Hint(err), "--anyway") {
		t.Fatalf("got %v, %s", err, terminal.Hint(err))
	}
	found, err := p.secret(s.Name)
	if err != nil || len(found.Tags) > 0 {
		t.Fatalf("got the error %v and the tags %v, want none", err, found.Tags)
	}
	var question string
	p.Confirm = func(_ context.Context, what, _ string) error {
		question = what
		return nil
	}
	if _, err := p.Adopt(p.ctx, operations.Adoption{Secret: found, Registry: p.registry, Anyway: true}); err != nil ||
		!strings.Contains(question, "that key is revoked there too") {
		t.Fatalf("got %v and the question %q", err, question)
	}
}

// onPutOfKey applies the fault only to requests that store a new key.
func onPutOfKey(fault wire.Hook) wire.Hook {
	return sandboxtest.On(func(c *wire.Call, next func()) {
		if strings.Contains(string(c.Body), vault.KeyLabel("")) {
			fault(c, next)
			return
		}
		next()
	}, "PutSecretValue")
}

func TestBootstrapRevokesANewKeyThatWasNotStored(t *testing.T) {
	// Otherwise each refused run leaves another key at the registry.
	t.Parallel()
	denied := sandboxtest.AWSError(http.StatusBadRequest, "AccessDeniedException", "no")
	created := func(r *sandboxtest.Rig) bool { return len(r.Registry.Keys()) > 0 }
	for name, fault := range map[string]func(r *sandboxtest.Rig) wire.Hook{
		"the put is refused": func(*sandboxtest.Rig) wire.Hook { return onPutOfKey(denied) },
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
				p := newOperator(t, r)
				if _, err := p.bootstrap(s.Name); err == nil {
					t.Fatal("bootstrap succeeded")
				}
				if left := s.Ours(); len(left) > 0 || !strings.Contains(p.output.String(), "was revoked") {
					t.Fatalf("%d keys are left, want 0\n%s", len(left), p.output)
				}
			}
			remove()
			if _, err := newOperator(t, r).bootstrap(s.Name); err != nil || len(s.Ours()) != 1 {
				t.Fatalf("got the error %v and %d keys, want 1 key", err, len(s.Ours()))
			}
		})
	}
}

func TestBootstrapKeepsAKeyThatMayBeStored(t *testing.T) {
	// Secrets Manager answers that it refused the value, but an earlier attempt stored it. If the
	// value can be read, the command continues. Otherwise it keeps the key, and the next run makes
	// it current.
	t.Parallel()
	for _, unreadable := range []bool{false, true} {
		r := sandboxtest.New(t)
		s := r.BareSecret("prod/pipeline", "{}")
		stored := false
		removePut := r.Intercept(onPutOfKey(func(c *wire.Call, next func()) {
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
		p := newOperator(t, r)
		_, err := p.bootstrap(s.Name)
		if unreadable != (err != nil) || len(s.Ours()) != 1 {
			t.Fatalf("unreadable %t: got the error %v and %d keys, want 1 key\n%s", unreadable, err, len(s.Ours()),
				p.output)
		}
		if unreadable && !strings.Contains(err.Error(), "it is not known whether the value was stored") {
			t.Fatalf("got %v", err)
		}
		removePut()
		removeRead()
		if _, err := newOperator(t, r).bootstrap(s.Name); err != nil || len(s.Ours()) != 1 || !s.Valid(s.CurrentKey()) {
			t.Fatalf("unreadable %t, next run: got the error %v and %d keys, want 1 key\n%s", unreadable, err,
				len(s.Ours()), s.Labels())
		}
	}
}

func TestBootstrapMovesALabelThatIsOnAnotherVersion(t *testing.T) {
	// After a lost answer, the key's label is on a version that does not hold the key.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.BareSecret("prod/pipeline", "{}")
	moved := false
	defer r.Intercept(onPutOfKey(func(c *wire.Call, next func()) {
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
	if _, err := newOperator(t, r).bootstrap(s.Name); err != nil || !moved {
		t.Fatalf("got the error %v, moved the label: %t\n%s", err, moved, s.Labels())
	}
	key, _ := r.Registry.KeyBySecret(s.CurrentKey().Reveal())
	if current := s.Holder(vault.Current); vault.NewVersion(current.ID, current.Stages).Key() != key.ID {
		t.Errorf("the label is not on the current version\n%s", s.Labels())
	}
}

func TestConcurrentAdoptionsTurnRotationOnOnce(t *testing.T) {
	// Both adoptions must succeed, even if Secrets Manager refuses the second RotateSecret because
	// it still tests the first one, or if an answer is lost.
	t.Parallel()
	for name, fault := range map[string]wire.Hook{
		"no fault": func(_ *wire.Call, next func()) { next() },
		"every answer to RotateSecret is an error": sandboxtest.On(func(c *wire.Call, next func()) {
			next()
			c.Respond(http.StatusBadRequest,
				`{"__type":"InvalidRequestException","Message":"A previous rotation isn't complete. That rotation will be reattempted."}`)
		}, "RotateSecret"),
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			_, secret := r.Registry.MintKey(sandbox.UserEmail, "by-hand", 90)
			s := r.BareSecret("prod/adopted", sandboxtest.ValueWith(secret))
			turnRotationOff(s)
			defer r.Intercept(fault)()
			var group errgroup.Group
			for range 2 {
				group.Go(func() error {
					p := newOperator(t, r)
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
			_ = r.Secrets.WaitRotation(t.Context(), s.Name) // the error tells how the test of the configuration ended
			out, err := r.Hands.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &s.ARN})
			if err != nil || !*out.RotationEnabled || *out.RotationRules.ScheduleExpression != "rate(30 days)" ||
				len(out.VersionIdsToStages) != 1 {
				t.Errorf("%v: %+v", err, out)
			}
		})
	}
}

func TestAdoptRefusesARotationThatCannotSucceed(t *testing.T) {
	// Adopt must not report success if no rotation will succeed.
	t.Parallel()
	for name, fault := range map[string]struct {
		prepare func(t *testing.T, r *sandboxtest.Rig, s *sandboxtest.Secret) error
		want    string
	}{
		"the rotation names a version": {func(t *testing.T, r *sandboxtest.Rig, s *sandboxtest.Secret) error {
			_, err := r.Hands.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
				SecretId: &s.ARN, RotationLambdaARN: aws.String(sandboxtest.FunctionARN(sandbox.RotateFunction) +
					":$LATEST"), RotateImmediately: aws.Bool(false),
				RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")},
			})
			return err
		}, "names a version or an alias"},
		"a rotation is stuck": {func(_ *testing.T, r *sandboxtest.Rig, s *sandboxtest.Secret) error {
			turnRotationOff(s)
			_, err := r.Secrets.StartPending(s.Name, uuid.NewString())
			turnRotationOff(s)
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
			p := newOperator(t, r)
			found, err := p.secret(s.Name)
			if err == nil {
				_, err = p.Adopt(p.ctx, operations.Adoption{Secret: found, Registry: p.registry,
					Schedule: "rate(30 days)", Function: sandbox.RotateFunction})
			}
			if err == nil || !strings.Contains(err.Error(), fault.want) || terminal.Hint(err) == "" {
				t.Errorf("got %v with the hint %q, want %q", err, terminal.Hint(err), fault.want)
			}
		})
	}
}
