package operations_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

func TestConcurrentBootstrapsMakeOneKeyCurrent(t *testing.T) {
	// Both runs must report the same key. Sweeps revoke the other one.
	t.Parallel()
	for range 10 {
		r := sandboxtest.New(t)
		s := r.BareSecret("prod/pipeline", "{}")
		var both sync.WaitGroup
		results := make([]operations.KeyIn, 2)
		for i := range results {
			both.Go(func() {
				p := newOperator(t, r)
				var err error
				if results[i], err = p.bootstrap(s.Name); err != nil {
					t.Errorf("%v\n%s", err, p.output)
				}
			})
		}
		both.Wait()
		if results[0].Key.KeyID != results[1].Key.KeyID || !s.Valid(s.CurrentKey()) {
			t.Fatalf("got %+v, want the same working key twice\n%s", results, s.Labels())
		}
		for range 4 {
			r.Clock.Advance(26 * time.Hour)
			s.MustSweep()
		}
		if ours := s.Ours(); len(ours) != 1 {
			t.Fatalf("%d keys are left, want 1\n%s", len(ours), s.Labels())
		}
	}
}

func TestBootstrapDoesNotRevokeAnotherKeyAfterALostAnswer(t *testing.T) {
	// A key that appears while an answer is lost may belong to a colleague's run, even if it has
	// the expected name and is the only one.
	t.Parallel()
	for _, landed := range []bool{true, false} {
		bootstrapWithLostAnswer(t, landed)
	}
}

func bootstrapWithLostAnswer(t *testing.T, landed bool) {
	t.Helper()
	r := sandboxtest.New(t)
	s := r.BareSecret("prod/pipeline", "{}")
	var colleagues atomic.Pointer[string]
	want := 2
	if landed {
		want = 3
	}
	lost := func(c *wire.Call, next func()) {
		if landed || colleagues.Load() != nil {
			next()
		}
		if colleagues.Load() == nil {
			c.Cut()
			_, secret := r.Registry.MintKey(sandbox.UserEmail, apikey.Name(s.Name, r.Clock.Now(), s.ARN), 90)
			colleagues.Store(&secret)
		}
	}
	defer r.Intercept(sandboxtest.On(lost, "apiKeyCreate"))()

	p := newOperator(t, r)
	if _, err := p.bootstrap(s.Name); err != nil {
		t.Fatalf("%v\n%s", err, p.output)
	}
	if colleagues.Load() == nil || !r.Registry.Valid(*colleagues.Load()) || len(s.Ours()) != want {
		t.Errorf("got %d keys, want %d; the colleague's key must be valid\n%s", len(s.Ours()), want, p.output)
	}
}

func TestANewKeyThatIsRefusedIsNotMadeCurrent(t *testing.T) {
	// A key must log in before it becomes current. The next run uses the stored key when the
	// registry accepts it.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.BareSecret("prod/pipeline", "{}")
	r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 8 })
	p := newOperator(t, r)
	_, err := p.bootstrap(s.Name)
	if err == nil || !strings.Contains(err.Error(), "refuses the new key") || terminal.Hint(err) == "" {
		t.Fatalf("got %v", err)
	}
	if s.Holder(vault.Current).Value != "{}" {
		t.Fatal("the value was changed")
	}
	for n := 0; err != nil && n < 10; n++ {
		_, err = newOperator(t, r).bootstrap(s.Name)
	}
	if err != nil || !s.Valid(s.CurrentKey()) {
		t.Fatalf("%v\n%s", err, s.Labels())
	}
}

func TestBootstrapWaitsUntilTheRegistryAcceptsTheNewKey(t *testing.T) {
	t.Parallel()
	sandboxtest.Timeless(t, func(t *testing.T, r *sandboxtest.Rig) {
		r.NewKeyWait = 5 * time.Second
		s := r.BareSecret("prod/pipeline", "{}")
		r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 2 })
		if _, err := newOperator(t, r).bootstrap(s.Name); err != nil || !s.Valid(s.CurrentKey()) || len(s.Ours()) != 1 {
			t.Fatalf("%v\n%s", err, s.Labels())
		}
	})
}

func TestBootstrapOfASecretWithoutAValue(t *testing.T) {
	// A template can create a secret without a value. Such a secret has no version.
	t.Parallel()
	r := sandboxtest.New(t)
	name := "prod/empty"
	if _, err := r.Hands.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name}); err != nil {
		t.Fatal(err)
	}
	done, err := newOperator(t, r).bootstrap(name)
	if err != nil || done.Outcome != operations.Installed {
		t.Fatalf("got %+v, %v", done, err)
	}
}
