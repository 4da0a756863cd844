package rotation_test

import (
	"testing"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// A whole rotation replaces the key in the value and nothing else, and the old key stays valid.
func TestRotation(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	old := s.CurrentKey()

	s.MustRotate()

	fresh := s.CurrentKey()
	if fresh.Equal(old) || !s.Valid(fresh) || !s.Valid(old) {
		t.Fatalf("after a rotation the current key must be a new one that logs in, and the old one must still log "+
			"in\n%s\n%s", s.Labels(), r.Output)
	}
	if got, want := s.Holder(vault.Current).Value, sandboxtest.ValueWith(fresh.Reveal()); got != want {
		t.Errorf("the rotation changed more than the key")
	}
	if n := len(s.Ours()); n != 2 {
		t.Errorf("%d keys of this secret at the registry, want the old and the new one", n)
	}
}

// A previous key of another user (the secret was moved to a new one) must not keep the right issuer
// from being asked.
func TestPreviousKeyOfAnotherUserIsSkipped(t *testing.T) {
	r := sandboxtest.New(t)
	issuer := r.BareSecret("quilt/issuer", `{"username":"`+sandbox.UserName+`","password":"`+sandbox.UserPassword+`"}`)
	s := r.BareSecret("quilt/pipeline", "{}", settings.TagIssuer, issuer.ARN)
	s.Bootstrap(sandbox.AdminEmail)
	s.Bootstrap(sandbox.UserEmail)
	r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.KeysMayNotManage = quiltregistry.RefuseInvalidInput })

	s.MustRotate()

	if key, ok := r.Registry.KeyBySecret(s.CurrentKey().Reveal()); !ok || key.Owner != sandbox.UserEmail {
		t.Fatalf("the new key must be the current user's, made by the issuer\n%s", r.Output)
	}
}
