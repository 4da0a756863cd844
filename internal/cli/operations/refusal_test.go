package operations

import (
	"net/http/httptest"
	"testing"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
)

func TestARefusalIsProofOnlyWithEvidence(t *testing.T) {
	// A registry that refuses a key may be the wrong one, and a deactivated user's keys work again
	// later. Neither proves that the key was revoked.
	const user, admin = "svc@example.com", "admin@example.com"
	registry := quiltregistry.New(quiltregistry.Options{})
	registry.AddUser(quiltregistry.User{Name: "svc", Email: user})
	registry.AddUser(quiltregistry.User{Name: "admin", Email: admin, Admin: true})
	registry.AddUser(quiltregistry.User{Name: "other", Email: "other@example.com"})
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)
	client, err := quilt.NewClient(server.URL, quilt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mint := func(email string) (string, apikey.Key) {
		id, secret := registry.MintKey(email, "by-hand", 90)
		key, err := apikey.Parse(secret)
		if err != nil {
			t.Fatal(err)
		}
		return id, key
	}
	login := func(email string) []*quilt.Session {
		_, key := mint(email)
		return []*quilt.Session{client.WithKey(key)}
	}
	revokedID, revoked := mint(user)
	registry.Delete(revokedID)
	expiredID, expired := mint(user)
	registry.Expire(expiredID)
	validID, valid := mint(user)
	none, err := apikey.Parse("qk_ofanotherregistry0123456789")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key         apikey.Key
		known       Evidence
		deactivated bool
		want        KeyState
	}{
		"a key that logs in":      {valid, Evidence{}, false, KeyLogsIn},
		"only a refusal":          {revoked, Evidence{KeyID: revokedID, Owner: user}, false, KeyUnknown},
		"a successful revocation": {revoked, Evidence{Revoked: true}, false, KeyRefused},
		"a login of the same user": {revoked, Evidence{Owner: user, Sessions: login(user)}, false,
			KeyRefused},
		"a login of the same user, for an id": {expired, Evidence{KeyID: expiredID, Owner: user,
			Sessions: login(user)}, false, KeyRefused},
		"a login of another user": {revoked, Evidence{KeyID: revokedID, Owner: user,
			Sessions: login("other@example.com")}, false, KeyUnknown},
		"a login, but the owner is unknown": {revoked, Evidence{KeyID: revokedID, Sessions: login(user)}, false,
			KeyUnknown},
		"an administrator's list without the id": {revoked, Evidence{KeyID: revokedID, Owner: user,
			Sessions: login(admin)}, false, KeyRefused},
		"an administrator, but the id is unknown": {revoked, Evidence{Owner: user, Sessions: login(admin)}, false,
			KeyUnknown},
		"a deactivated user": {valid, Evidence{KeyID: validID, Owner: user, Sessions: login(user)},
			true, KeyUnknown},
		"a deactivated user, and an administrator": {valid, Evidence{KeyID: validID, Owner: user,
			Sessions: login(admin)}, true, KeyUnknown},
		"a deactivated user, and a list without another id": {valid, Evidence{KeyID: revokedID, Owner: user,
			Sessions: login(admin)}, true, KeyUnknown},
		"a deactivated user, and the id of an expired key": {valid, Evidence{KeyID: expiredID, Owner: user,
			Sessions: login(admin)}, true, KeyUnknown},
		"a key of another registry": {none, Evidence{}, false, KeyUnknown},
		"an administrator's list with the key as valid": {none, Evidence{KeyID: validID, Owner: "somebody@example.com",
			Sessions: login(admin)}, false, KeyUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			registry.SetActive(user, !c.deactivated)
			defer registry.SetActive(user, true)
			got, err := checkKey(t.Context(), client, c.key, c.known)
			if err != nil || got.State != c.want || (c.want == KeyUnknown) != (got.Why != "") {
				t.Errorf("got %+v, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestOneWrongRefusalIsNoProof(t *testing.T) {
	// The key is refused once, the other login succeeds, and then the key logs in again.
	r := sandboxtest.New(t)
	client, key := keyAt(t, r)
	_, other := r.Registry.MintKey(sandbox.UserEmail, "by-hand", 90)
	session, err := apikey.Parse(other)
	if err != nil {
		t.Fatal(err)
	}
	refusal := sandboxtest.Answer(401, `{"error":"Token invalid."}`)
	defer r.Intercept(sandboxtest.On(sandboxtest.Nth(1, refusal), "me"))()
	got, err := checkKey(t.Context(), client, key, Evidence{Owner: sandbox.UserEmail,
		Sessions: []*quilt.Session{client.WithKey(session)}})
	if err != nil || got.State != KeyLogsIn {
		t.Errorf("got %+v, %v, want %s", got, err, KeyLogsIn)
	}
}

// keyAt returns a client of the rig's registry and a key of its user.
func keyAt(t *testing.T, r *sandboxtest.Rig) (*quilt.Client, apikey.Key) {
	t.Helper()
	client, err := quilt.NewClient(r.RegistryURL, quilt.Options{Transport: r.NewProcess()})
	if err != nil {
		t.Fatal(err)
	}
	_, secret := r.Registry.MintKey(sandbox.UserEmail, "by-hand", 90)
	key, err := apikey.Parse(secret)
	if err != nil {
		t.Fatal(err)
	}
	return client, key
}
