package revocation_test

import (
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

func TestASweepRefusesASecretThatIsServedElsewhere(t *testing.T) {
	// Protects keys from being sent to, or revoked at, the wrong registry, and replicas from being swept. The sweep
	// refuses before it asks the registry anything, and changes nothing.
	for _, c := range []struct {
		name    string
		prepare func(*sandboxtest.Secret)
		fault   string
		says    string
	}{
		{"a replica", func(s *sandboxtest.Secret) { _ = s.Secrets.SetPrimaryRegion(s.ARN, "eu-west-1") }, "Replica", "eu-west-1"},
		{"the tag names another registry", func(s *sandboxtest.Secret) { s.Tag(settings.TagRegistry, "https://staging.example.com") }, "WrongRegistry", "https://staging.example.com"},
		{"the tag names another port", func(s *sandboxtest.Secret) { s.Tag(settings.TagRegistry, "http://127.0.0.1:1") }, "WrongRegistry", "http://127.0.0.1:1"},
		{"the tag names no registry", func(s *sandboxtest.Secret) { s.Tag(settings.TagRegistry, "staging") }, "BadTags", settings.TagRegistry},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			s.MustRotate()
			s.MustSweep()
			s.Clock.Advance(60 * time.Hour) // the superseded key would be revoked now
			c.prepare(s)
			before, keys := s.Labels(), len(r.Registry.Keys())
			r.Intercept(sandboxtest.OnService("registry", func(c *wire.Call, next func()) {
				t.Errorf("the registry was asked: %s", c.Operation)
				next()
			}))
			_, err := s.Sweep()
			if err == nil || fault.TypeName(err) != c.fault || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the sweep fails with %v, want %s that says %s", err, c.fault, c.says)
			}
			if after := s.Labels(); after != before || len(r.Registry.Keys()) != keys {
				t.Errorf("the secret or its keys changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func TestASweepDoesNotUseTheCredentialOfOthers(t *testing.T) {
	// Protects an issuing credential from a secret whose tag names it and which it does not list: it is not used, and
	// nothing is revoked. One without a list serves, because the login with the current key proves the owner.
	for list, want := range map[string]string{`,"serves":["team-b/*"]`: "IssuerNotAllowed", `,"serves":"quilt/*"`: "BadIssuer", `,"serves":["quilt/*"]`: "", ``: ""} {
		t.Run(want+list, func(t *testing.T) {
			r := sandboxtest.New(t)
			issuer := r.BareSecret("quilt/issuer", `{"username":"`+sandbox.UserName+`","password":"`+sandbox.UserPassword+`"`+list+`}`)
			s := r.Secret("quilt/pipeline", settings.TagIssuer, issuer.ARN)
			s.MustRotate()
			s.MustSweep()
			s.Clock.Advance(60 * time.Hour)
			r.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.KeysMayNotManage = quiltregistry.RefuseForbidden })
			keys, logins := len(r.Registry.Keys()), 0
			r.Intercept(sandboxtest.On(func(_ *wire.Call, next func()) { logins++; next() }, "POST /api/login"))
			_, err := s.Sweep()
			if want == "" {
				if err != nil || len(r.Registry.Keys()) != keys-1 {
					t.Errorf("the superseded key is not revoked: %v", err)
				}
				return
			}
			if err == nil || fault.TypeName(err) != want || logins != 0 || len(r.Registry.Keys()) != keys {
				t.Errorf("the sweep fails with %v after %d logins with the credential, want %s; there are %d keys, want %d", err, logins, want, len(r.Registry.Keys()), keys)
			}
		})
	}
}
