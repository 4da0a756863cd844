package operations_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// countRequests counts the requests for an operation, by their bodies.
func countRequests(r *sandboxtest.Rig, operation string) func() map[string]int {
	var mu sync.Mutex
	byBody := map[string]int{}
	r.Hooks.Set(func(c *wire.Call, next func()) {
		next()
		mu.Lock()
		defer mu.Unlock()
		if c.Operation == operation {
			byBody[string(c.Body)]++
		}
	})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(byBody)
	}
}

func TestEmergencyReadsEachOfManySecretsOnce(t *testing.T) {
	// An emergency must be fast in an account with many secrets. It reads the values of other
	// secrets once, and again only those that hold the key.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	leaked := s.Holder(vault.Current).ID
	key := s.CurrentKey()
	const others = 1000
	for i := range others {
		r.BareSecret(fmt.Sprintf("prod/other-%d", i), `{"QUILT_API_KEY": "qk_another0123456789abcdef"}`,
			settings.TagGrace, "1h")
	}
	copied := r.BareSecret("prod/copy", sandboxtest.ValueWith(s.CurrentKey().Reveal()), settings.TagGrace, "1h")
	s.MustRotate()
	reads := countRequests(r, "GetSecretValue")
	p := newOperator(t, r)
	opened, err := p.secret(s.Name)
	if err != nil {
		t.Fatal(err)
	}
	found, all, err := p.FindLeaked(context.Background(), key, s.ARN[:len(s.ARN)-len("-abcdef")])
	if err != nil || found.VersionID != leaked {
		t.Fatalf("got %+v, %v, want the version %s", found, err, leaked)
	}
	_, err = p.Emergency(context.Background(), opened, operations.EmergencyOptions{Registry: p.registry,
		Version: leaked, Leaked: key, Scanned: all, LogIn: logIn})
	if err == nil || !strings.Contains(err.Error(), "the secret prod/copy also holds the leaked key") {
		t.Fatalf("got %v\n%s", err, p.output)
	}
	seen := 0
	for body, n := range reads() {
		switch {
		case strings.Contains(body, "prod/other-"):
			if seen++; n != 1 {
				t.Errorf("got %d reads of %s, want 1", n, body)
			}
		case strings.Contains(body, copied.ARN) && n != 2:
			t.Errorf("got %d reads of the secret that holds the key, want 2: one is right before a revocation", n)
		}
	}
	if seen != others {
		t.Errorf("%d other secrets were read, want %d", seen, others)
	}
}

func TestRetireStopsIfAnotherSecretReceivesAKey(t *testing.T) {
	// The other secret is created while retire waits for the answer to its question.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	key := s.CurrentKey()
	p := newOperator(t, r)
	p.Confirm = func(context.Context, string, string) error {
		r.BareSecret("prod/copy", sandboxtest.ValueWith(key.Reveal()), settings.TagGrace, "1h")
		return nil
	}
	opened, err := p.secret(s.Name)
	if err != nil {
		t.Fatal(err)
	}
	retired, err := p.Retire(context.Background(), opened, operations.RetireOptions{Registry: p.registry, LogIn: logIn})
	if err == nil || !strings.Contains(err.Error(), "one of its keys changed after the keys were shown") ||
		retired.Complete {
		t.Errorf("got %v", err)
	}
	if !s.Valid(key) {
		t.Error("the key was revoked")
	}
}

func TestARevokedKeyThatStillLogsIn(t *testing.T) {
	// A registry may accept a revoked key for a moment. If it continues to accept the key, the
	// command must fail.
	for name, run := range map[string]func(p *operator, s *managed.Secret) error{
		"emergency": func(p *operator, s *managed.Secret) error {
			done, err := p.Emergency(p.ctx, s, operations.EmergencyOptions{Registry: p.registry, LogIn: logIn})
			if done.LeakedRefused != (err == nil) {
				t.Errorf("the key is refused: %t, with the error %v", done.LeakedRefused, err)
			}
			return err
		},
		"retire": func(p *operator, s *managed.Secret) error {
			done, err := p.Retire(p.ctx, s, operations.RetireOptions{Registry: p.registry, LogIn: logIn})
			if done.Complete != (err == nil) {
				t.Errorf("complete: %t, with the error %v", done.Complete, err)
			}
			return err
		},
	} {
		for _, lingers := range []int{3, 1000} {
			t.Run(fmt.Sprintf("%s, %d more logins", name, lingers), func(t *testing.T) {
				r := sandboxtest.New(t)
				s := r.Secret("prod/pipeline", settings.TagGrace, "1h", settings.TagOwner, sandbox.UserEmail)
				turnRotationOff(s)
				r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.RevokedKeyLogins = lingers })
				p := newOperator(t, r)
				opened, err := p.secret(s.Name)
				if err != nil {
					t.Fatal(err)
				}
				switch err := run(p, opened); {
				case lingers == 3 && err != nil:
					t.Errorf("got %v, want success\n%s", err, p.output)
				case lingers == 1000 && (err == nil || !strings.Contains(err.Error(), "still logs in") ||
					!strings.Contains(terminal.Hint(err), "quilt-rotate keys revoke --admin --anyway ")):
					t.Errorf("got %v, %q", err, terminal.Hint(err))
				case lingers == 1000 && !managed.Marked(nil, opened.Sorted()):
					t.Error("the labels were removed")
				}
			})
		}
	}
}
