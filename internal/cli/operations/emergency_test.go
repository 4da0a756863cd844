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

// requests counts the requests for an operation, by what they send.
func requests(r *sandboxtest.Rig, operation string) func() map[string]int {
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

func TestEmergencyAmongAThousandSecrets(t *testing.T) {
	// Protects the time limit of the revocation if an account has many secrets: the values of the
	// others are read once, also if the leaked key is looked for first, and again only those that
	// matter.
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
	read := requests(r, "GetSecretValue")
	p := newPerson(t, r)
	opened, err := p.secret(s.Name)
	if err != nil {
		t.Fatal(err)
	}
	found, all, err := p.FindLeaked(context.Background(), key, s.ARN[:len(s.ARN)-len("-abcdef")])
	if err != nil || found.VersionID != leaked {
		t.Fatalf("found %+v, %v", found, err)
	}
	_, err = p.Emergency(context.Background(), opened, operations.EmergencyOptions{Registry: p.registry,
		Version: leaked, Leaked: key, Scanned: all, LogIn: logIn})
	if err == nil || !strings.Contains(err.Error(), "the secret prod/copy also holds the leaked key") {
		t.Fatalf("got %v\n%s", err, p.said)
	}
	seen := 0
	for body, n := range read() {
		switch {
		case strings.Contains(body, "prod/other-"):
			if seen++; n != 1 {
				t.Errorf("%d reads of %s", n, body)
			}
		case strings.Contains(body, copied.ARN) && n != 2:
			t.Errorf("%d reads of the secret that holds the key, which must be read again before a revocation", n)
		}
	}
	if seen != others {
		t.Errorf("%d versions of other secrets were read", seen)
	}
}

func TestRetireStopsIfAnotherSecretReceivesAKey(t *testing.T) {
	// Protects the consumers of a secret that is created while the question waits for its answer.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	key := s.CurrentKey()
	p := newPerson(t, r)
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
	if !s.Alive(key) {
		t.Error("the key was revoked")
	}
}

func TestARevokedKeyMayLogInForAMoment(t *testing.T) {
	// Protects from a report of failure about a registry that accepts a revoked key for a moment,
	// and from one of success about a registry that goes on with it.
	for name, run := range map[string]func(p *person, s *managed.Secret) error{
		"emergency": func(p *person, s *managed.Secret) error {
			done, err := p.Emergency(p.ctx, s, operations.EmergencyOptions{Registry: p.registry, LogIn: logIn})
			if done.LeakedRefused != (err == nil) {
				t.Errorf("refused is %t with %v", done.LeakedRefused, err)
			}
			return err
		},
		"retire": func(p *person, s *managed.Secret) error {
			done, err := p.Retire(p.ctx, s, operations.RetireOptions{Registry: p.registry, LogIn: logIn})
			if done.Complete != (err == nil) {
				t.Errorf("complete is %t with %v", done.Complete, err)
			}
			return err
		},
	} {
		for _, lingers := range []int{3, 1000} {
			t.Run(fmt.Sprintf("%s, %d more logins", name, lingers), func(t *testing.T) {
				r := sandboxtest.New(t)
				s := r.Secret("prod/pipeline", settings.TagGrace, "1h", settings.TagOwner, sandbox.UserEmail)
				rotationOff(s)
				r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.RevokeLingers = lingers })
				p := newPerson(t, r)
				opened, err := p.secret(s.Name)
				if err != nil {
					t.Fatal(err)
				}
				switch err := run(p, opened); {
				case lingers == 3 && err != nil:
					t.Errorf("got %v\n%s", err, p.said)
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
