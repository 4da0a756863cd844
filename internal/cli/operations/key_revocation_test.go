package operations_test

import (
	"testing"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
)

func TestAnAdministratorDoesNotRevokeAKeyThatOnlyALabelNames(t *testing.T) {
	// Somebody may have moved the label, so it may name a key that is in use.
	r := sandboxtest.New(t)
	p := newOperator(t, r)
	inUse, usedSecret := r.Registry.MintKey(sandbox.UserEmail, "in use", 90)
	leakedID, leaked := r.Registry.MintKey(sandbox.UserEmail, "leaked", 90)
	key, err := apikey.Parse(leaked)
	if err != nil {
		t.Fatal(err)
	}
	session, err := p.registry.LoginPassword(t.Context(), sandbox.AdminName, quilt.NewPassword(sandbox.AdminPassword))
	if err != nil {
		t.Fatal(err)
	}
	revoke := func(id string) error {
		k := operations.KeyRevocation{Registry: p.registry, Key: key, Admin: true}
		k.KeyID, k.Sessions = id, []*quilt.Session{session}
		return p.RevokeKey(t.Context(), k)
	}
	if err := revoke(inUse); err == nil || !r.Registry.Valid(usedSecret) || !r.Registry.Valid(leaked) {
		t.Errorf("with the id of another key: got the error %v; the other key is valid: %t", err,
			r.Registry.Valid(usedSecret))
	}
	if err := revoke(leakedID); err != nil || r.Registry.Valid(leaked) {
		t.Errorf("with its own id: got the error %v; the key is valid: %t", err, r.Registry.Valid(leaked))
	}
}
