package doctor

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/vault"
)

// newExamined returns a secret whose current key has logged in at the sandbox's registry.
func newExamined(t *testing.T, box *sandboxtest.Rig) *examined {
	t.Helper()
	client, err := quilt.NewClient(box.RegistryURL, quilt.Options{MaxAttempts: 1, Transport: box})
	if err != nil {
		t.Fatal(err)
	}
	_, secret := box.Registry.MintKey(sandbox.UserEmail, "first-prod-2026q4", 90)
	key, err := apikey.Parse(secret)
	if err != nil {
		t.Fatal(err)
	}
	p := &examined{
		examination: &examination{registries: map[string]*registry{"r": {client: client}},
			probing: make(chan struct{}, 1),
			keyWait: defaultKeyWait},
		name: "prod/pipeline",
		secret: &managed.Secret{
			Secret: vault.Secret{ARN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/pipeline-AbCdEf",
				Name: "prod/pipeline", Now: time.Now()}},
		url:     "r",
		session: client.WithKey(key),
		me:      quilt.Identity{Email: sandbox.UserEmail},
	}
	return p
}

func probes(box *sandboxtest.Rig) int {
	n := 0
	for _, k := range box.Registry.Keys() {
		if strings.HasPrefix(k.Name, probeLabel) {
			n++
		}
	}
	return n
}

func forbidden(c *wire.Call, _ func()) {
	c.Respond(http.StatusForbidden, `{"message":"No."}`, "Content-Type", "application/json")
}

func lostAnswer(c *wire.Call, next func()) { next(); c.Cut() }

func TestNoProbeKeyIsLeftBehind(t *testing.T) {
	// Whatever fails, doctor revokes the probe key or reports that it is left (promise 3).
	for name, c := range map[string]struct {
		hook     wire.Hook
		switches func(*quiltregistry.Switches)
		status   Status
		refused  bool
		left     int
	}{
		"no fault": {status: OK},
		"the registry accepts a new key late": {switches: func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 2 },
			status: OK},
		"the registry refuses a revoked key late": {
			switches: func(s *quiltregistry.Switches) { s.RevokedKeyLogins = 1 }, status: OK,
		},
		"a new key never logs in": {switches: func(s *quiltregistry.Switches) {
			s.RefuseNewKeyLogins = 1000
		}, status: Failed},
		"the list omits the key": {switches: func(s *quiltregistry.Switches) { s.ListOmits = omitProbes },
			status: Failed},
		"the key's name is shortened": {switches: func(s *quiltregistry.Switches) { s.NameLimit = 20 },
			status: Warning},
		"the answer to apiKeyCreate is lost": {hook: sandboxtest.On(lostAnswer, "apiKeyCreate"), status: Failed,
			left: 1},
		"the answer to apiKeyRevoke is lost": {hook: sandboxtest.On(lostAnswer, "apiKeyRevoke"), status: OK},
		"the key may not create keys":        {hook: sandboxtest.On(forbidden, "apiKeyCreate"), refused: true},
		"the key may not list keys":          {hook: sandboxtest.On(forbidden, "apiKeysList"), refused: true},
		"the second list is refused": {hook: sandboxtest.On(sandboxtest.Nth(1, forbidden), "apiKeysList"),
			refused: true},
		"the key may create, but not revoke": {hook: sandboxtest.On(forbidden, "apiKeyRevoke"), status: Failed,
			left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sandboxtest.Timeless(t, func(t *testing.T, box *sandboxtest.Rig) {
				p := newExamined(t, box)
				if c.switches != nil {
					box.Registry.SetSwitches(c.switches)
				}
				if c.hook != nil {
					box.Hooks.Set(c.hook)
				}
				f, refusal := p.probe(t.Context(), p.session)
				if (refusal != nil) != c.refused || !c.refused && f.status != c.status {
					t.Errorf("got %+v, and the refusal %v; want %q", f, refusal, c.status)
				}
				if n := probes(box); n != c.left {
					t.Errorf("%d probe keys are left, want %d", n, c.left)
				}
				if (p.left != "") != (c.left > 0) {
					t.Errorf("got the message %q about probe keys that are left", p.left)
				}
			})
		})
	}
}

func omitProbes(k quiltregistry.APIKey) bool { return strings.HasPrefix(k.Name, probeLabel) }

func TestTheIssuingCredentialRevokesTheProbeKey(t *testing.T) {
	// The registry may let keys create keys but not revoke them.
	sandboxtest.Timeless(t, func(t *testing.T, box *sandboxtest.Rig) {
		p := newExamined(t, box)
		issuer, err := p.registries["r"].client.LoginPassword(t.Context(), sandbox.UserName,
			quilt.NewPassword(sandbox.UserPassword))
		if err != nil {
			t.Fatal(err)
		}
		p.issuer = issuer
		box.Hooks.Set(sandboxtest.On(sandboxtest.Nth(0, forbidden), "apiKeyRevoke"))
		if f, refusal := p.probe(t.Context(), p.session); f.status != OK || refusal != nil {
			t.Errorf("got %+v, %v", f, refusal)
		}
		if n := probes(box); n != 0 {
			t.Errorf("%d probe keys are left, want 0", n)
		}
	})
}

func TestNoSecondProbeKey(t *testing.T) {
	// No probe key is created if one of a crashed run exists, or after an interruption.
	sandboxtest.Timeless(t, func(t *testing.T, box *sandboxtest.Rig) {
		p := newExamined(t, box)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if f, _ := p.probe(ended, p.session); f.status != Skipped {
			t.Errorf("after an interruption: got %+v", f)
		}
		box.Registry.MintKey(sandbox.UserEmail, apikey.Name(probeLabel, time.Now(), p.secret.ARN), probeDays)
		if f, _ := p.probe(t.Context(), p.session); f.status != Warning {
			t.Errorf("with another probe key: got %+v", f)
		}
		if n := probes(box); n != 1 {
			t.Errorf("got %d probe keys, want 1", n)
		}
	})
}
