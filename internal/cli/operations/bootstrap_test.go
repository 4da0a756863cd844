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

func TestTwoAtOncePutOneKeyIn(t *testing.T) {
	// Protects a team of two who bootstrap the same secret in the same second: one key is current
	// and works, both are told so, and sweeps take the other.
	t.Parallel()
	for range 10 {
		r := sandboxtest.New(t)
		s := r.BareSecret("prod/pipeline", "{}")
		var both sync.WaitGroup
		results := make([]operations.KeyIn, 2)
		for i := range results {
			both.Go(func() {
				p := newPerson(t, r)
				var err error
				if results[i], err = p.bootstrap(s.Name); err != nil {
					t.Errorf("%v\n%s", err, p.said)
				}
			})
		}
		both.Wait()
		if results[0].Key.KeyID != results[1].Key.KeyID || !s.Alive(s.CurrentKey()) {
			t.Fatalf("%+v\n%s", results, s.Labels())
		}
		for range 4 {
			r.Clock.Advance(26 * time.Hour)
			s.MustSweep()
		}
		if ours := s.Ours(); len(ours) != 1 {
			t.Fatalf("%d keys are left\n%s", len(ours), s.Labels())
		}
	}
}

func TestAKeyThatAnotherMayHoldIsNotRevokedAfterALostAnswer(t *testing.T) {
	// Protects a colleague's new key: a key of the very name that appears while an answer is lost
	// is not revoked by the command, even if it is the only one.
	t.Parallel()
	for _, landed := range []bool{true, false} {
		lostAnswer(t, landed)
	}
}

func lostAnswer(t *testing.T, landed bool) {
	t.Helper()
	r := sandboxtest.New(t)
	s := r.BareSecret("prod/pipeline", "{}")
	var others atomic.Pointer[string]
	want := 2
	if landed {
		want = 3
	}
	lost := func(c *wire.Call, next func()) {
		if landed || others.Load() != nil {
			next()
		}
		if others.Load() == nil {
			c.Cut()
			_, secret := r.Registry.MintKey(sandbox.UserEmail, apikey.Name(s.Name, r.Clock.Now(), s.ARN), 90)
			others.Store(&secret)
		}
	}
	defer r.Intercept(sandboxtest.On(lost, "apiKeyCreate"))()

	p := newPerson(t, r)
	if _, err := p.bootstrap(s.Name); err != nil {
		t.Fatalf("%v\n%s", err, p.said)
	}
	if others.Load() == nil || !r.Registry.Alive(*others.Load()) || len(s.Ours()) != want {
		t.Errorf("the colleague's key must live, and the lost one is left to the sweep: %d keys\n%s", len(s.Ours()),
			p.said)
	}
}

func TestANewKeyThatIsRefusedIsNotMadeCurrent(t *testing.T) {
	// Protects promise 1: what was never seen to log in does not become current; and the next run
	// takes the stored key, once the registry knows it.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.BareSecret("prod/pipeline", "{}")
	r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 8 })
	p := newPerson(t, r)
	_, err := p.bootstrap(s.Name)
	if err == nil || !strings.Contains(err.Error(), "refuses the new key") || terminal.Hint(err) == "" {
		t.Fatalf("got %v", err)
	}
	if s.Holder(vault.Current).Value != "{}" {
		t.Fatal("the value was changed")
	}
	for n := 0; err != nil && n < 10; n++ {
		_, err = newPerson(t, r).bootstrap(s.Name)
	}
	if err != nil || !s.Alive(s.CurrentKey()) {
		t.Fatalf("%v\n%s", err, s.Labels())
	}
}

func TestARegistryThatKeepsNewKeysWaiting(t *testing.T) {
	// Protects the first key from a registry that takes a moment to know it.
	t.Parallel()
	sandboxtest.Timeless(t, func(t *testing.T, r *sandboxtest.Rig) {
		r.NewKeyWait = 5 * time.Second
		s := r.BareSecret("prod/pipeline", "{}")
		r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 2 })
		if _, err := newPerson(t, r).bootstrap(s.Name); err != nil || !s.Alive(s.CurrentKey()) || len(s.Ours()) != 1 {
			t.Fatalf("%v\n%s", err, s.Labels())
		}
	})
}

func TestASecretWithoutAnyValue(t *testing.T) {
	// Protects secrets that were made by a template without a value: they have no version at all,
	// and count as waiting.
	t.Parallel()
	r := sandboxtest.New(t)
	name := "prod/empty"
	if _, err := r.Hands.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name}); err != nil {
		t.Fatal(err)
	}
	done, err := newPerson(t, r).bootstrap(name)
	if err != nil || done.Outcome != operations.Installed {
		t.Fatalf("%+v, %v", done, err)
	}
}
