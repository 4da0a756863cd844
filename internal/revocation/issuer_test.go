package revocation_test

import (
	"testing"
	"time"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

func TestSweepUsesOnlyACredentialThatServesTheSecret(t *testing.T) {
	// If a secret's tag names an issuing credential whose list does not have the secret, the
	// credential is not used, and nothing is revoked. A credential without a list is used, because
	// the login with the current key proves the owner.
	for list, want := range map[string]string{`,"serves":["team-b/*"]`: "IssuerNotAllowed",
		`,"serves":"quilt/*"`: "BadIssuer", `,"serves":["quilt/*"]`: "", ``: ""} {
		t.Run(want+list, func(t *testing.T) {
			r := sandboxtest.New(t)
			issuer := r.BareSecret("quilt/issuer", `{"username":"`+sandbox.UserName+`","password":"`+
				sandbox.UserPassword+`"`+list+`}`)
			s := r.Secret("quilt/pipeline", settings.TagIssuer, issuer.ARN)
			s.MustRotate()
			s.MustSweep()
			s.Clock.Advance(60 * time.Hour)
			r.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
				sw.KeysMayNotManage = quiltregistry.RefuseForbidden
			})
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
				t.Errorf("the sweep fails with %v after %d logins with the credential, want %s; there are %d keys, "+
					"want %d", err, logins, want, len(r.Registry.Keys()), keys)
			}
		})
	}
}
