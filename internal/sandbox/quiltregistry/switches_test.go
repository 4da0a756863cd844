package quiltregistry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/quiltregistry"
)

func TestNullMe(t *testing.T) {
	// With this switch, the status does not show that a key is not valid.
	s := start(t)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.NullMe = true })
	id, secret := s.MintKey(bob, "k", 90)
	s.loggedIn(secret, bob)
	s.Expire(id)
	s.expect(s.me(secret), 200, `{"data":{"me":null}}`)
	s.expect(s.me("qk_unknown"), 200, `{"data":{"me":null}}`)
	s.expect(s.post(secret, "apiKeysList", listQuery, nil), 200, `{"data":{"me":null}}`)
}

func TestKeysMayNotManage(t *testing.T) {
	// The switch refuses keys only. An interactive login can still manage keys.
	create := map[string]any{"input": map[string]any{"name": "k", "expiresInDays": 1}}
	const message = "API keys cannot be managed with an API key."
	for form, want := range map[string]struct {
		status       int
		create, list string
	}{
		quiltregistry.RefuseForbidden: {403,
			`{"errors":[{"message":"` + message + `"}]}`,
			`{"errors":[{"message":"` + message + `"}]}`},
		quiltregistry.RefuseGraphQLError: {200,
			`{"errors":[{"message":"` + message + `","path":["apiKeyCreate"]}],"data":null}`,
			`{"errors":[{"message":"` + message + `","path":["me","apiKeys"]}],"data":{"me":null}}`},
		quiltregistry.RefuseInvalidInput: {200,
			`{"data":{"apiKeyCreate":{"__typename":"InvalidInput","errors":[{"path":null,"message":"` + message +
				`","name":"Forbidden","context":null}]}}}`,
			`{"data":{"me":{"apiKeys":[]}}}`},
	} {
		s := start(t)
		id, secret := s.MintKey(bob, "used", 90)
		s.SetSwitches(func(w *quiltregistry.Switches) { w.KeysMayNotManage = form })
		s.expect(s.post(secret, "apiKeyCreate", createQuery, create), want.status, want.create)
		s.expect(s.post(secret, "apiKeysList", listQuery, map[string]any{"name": "none"}), want.status, want.list)
		for operation, got := range map[string]reply{
			"apiKeyRevoke": s.post(secret, "apiKeyRevoke", revokeQuery, map[string]any{"id": id}),
			"apiKeyGet":    s.post(secret, "apiKeyGet", getQuery, map[string]any{"id": id}),
		} {
			passes := form == quiltregistry.RefuseInvalidInput && operation == "apiKeyGet"
			if got.status != want.status || strings.Contains(got.body, message) == passes {
				t.Errorf("%s: %s: got the answer %d %s", form, operation, got.status, got.body)
			}
		}
		s.loggedIn(secret, bob)
		if len(s.Keys()) != 1 {
			t.Errorf("%s: a refused request changed the keys", form)
		}
		if got := s.create(s.login("bob"), "k", 1); got.Typename != "APIKeyCreated" {
			t.Errorf("%s: a session of an interactive login is refused: %v", form, got.Errors)
		}
	}
}

func TestUseNotRecorded(t *testing.T) {
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.UseNotRecorded = true })
	s.loggedIn(secret, bob)
	if got := s.get(secret, id).LastUsedAt; got != nil {
		t.Errorf("lastUsedAt is %v, want null", got)
	}
}

func TestUseGranularity(t *testing.T) {
	// With this switch, lastUsedAt is earlier than the use.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.UseGranularity = 24 * time.Hour })
	s.loggedIn(secret, bob)
	got := s.get(secret, id).LastUsedAt
	if got == nil || !got.Equal(got.Truncate(24*time.Hour)) {
		t.Errorf("lastUsedAt is %v, want midnight", got)
	}
}

func TestFingerprintForm(t *testing.T) {
	// The platform does not guarantee the documented form.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	shown := map[string]bool{s.get(secret, id).Fingerprint: true}
	for _, form := range []string{quiltregistry.FingerprintStart, quiltregistry.FingerprintMasked,
		quiltregistry.FingerprintHash} {
		s.SetSwitches(func(w *quiltregistry.Switches) { w.FingerprintForm = form })
		got := s.get(secret, id).Fingerprint
		if listed := s.list(secret, nil); len(listed) != 1 || listed[0].Fingerprint != got {
			t.Errorf("%s: list shows %v, but get shows %q", form, listed, got)
		}
		shown[got] = true
	}
	if len(shown) != 4 {
		t.Errorf("got the fingerprints %v, want 4 different ones", shown)
	}
}

func TestListOmitsAndGetOmits(t *testing.T) {
	// A key that a list omits can still exist, so the functions must not rely on the list alone.
	s := start(t)
	id, _ := s.MintKey(bob, "hidden", 90)
	s.MintKey(bob, "shown", 90)
	admin, user := s.login("ann"), s.login("bob")
	hidden := func(k quiltregistry.APIKey) bool { return k.Name == "hidden" }
	s.SetSwitches(func(w *quiltregistry.Switches) { w.ListOmits = hidden })
	if got, all := names(s.list(user, nil)), names(s.adminList(admin, nil)); got != "shown" || all != "shown" {
		t.Errorf("got the lists %q and %q, want shown in both", got, all)
	}
	if s.get(user, id) == nil || s.adminGet(admin, id) == nil || len(s.Keys()) != 2 {
		t.Error("get did not return the key that only lists omit")
	}
	s.SetSwitches(func(w *quiltregistry.Switches) { w.ListOmits, w.GetOmits = nil, hidden })
	if got := names(s.list(user, nil)); got != "hidden shown" {
		t.Errorf("got the list %q, want all keys", got)
	}
	if s.get(user, id) != nil || s.adminGet(admin, id) != nil {
		t.Error("get returned the key that it must omit")
	}
}

func TestSkewAppliesToTimesAndExpiry(t *testing.T) {
	// A client must compare times of the registry with the registry's clock.
	s := start(t)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.Skew = 48 * time.Hour })
	ahead := func(at time.Time) bool {
		off := at.Sub(s.clock.Now())
		return off > 48*time.Hour-time.Minute && off <= 48*time.Hour
	}
	k := s.create(s.login("bob"), "k", 1)
	s.loggedIn(k.Secret, bob)
	if got := s.get(k.Secret, k.APIKey.ID); !ahead(got.CreatedAt) || !ahead(*got.LastUsedAt) ||
		!ahead(got.ExpiresAt.Add(-24*time.Hour)) {
		t.Errorf("got the key %+v at the time %v", got, s.clock.Now())
	}
	s.SetSwitches(func(w *quiltregistry.Switches) { w.Skew = 73 * time.Hour })
	s.refused(k.Secret)
	if keys := s.Keys(); keys[0].Status != "EXPIRED" {
		t.Errorf("got %v, want an expired key", keys[0])
	}
}

func TestDuplicateFingerprints(t *testing.T) {
	// A fingerprint can match several keys, so it does not identify a key.
	s := start(t)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.DuplicateFingerprints = true })
	id, secret := s.MintKey(bob, "one", 90)
	k := s.create(secret, "two", 90)
	one := s.get(secret, id)
	if one.Fingerprint != k.APIKey.Fingerprint || secret == k.Secret {
		t.Errorf("the fingerprints are %s and %s, want two keys with the same fingerprint", one.Fingerprint,
			k.APIKey.Fingerprint)
	}
	for _, text := range []string{secret, k.Secret} {
		if text[:6]+"..."+text[len(text)-3:] != one.Fingerprint || len(text) != 55 {
			t.Errorf("the fingerprint %s does not match its secret", one.Fingerprint)
		}
	}
}

func TestRefuseNewKeyLogins(t *testing.T) {
	// The switch does not apply to keys that were created before, or with MintKey.
	s := start(t)
	_, old := s.MintKey(bob, "old", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.RefuseNewKeyLogins = 2 })
	one, two := s.create(old, "one", 90), s.create(old, "two", 90)
	_, minted := s.MintKey(bob, "minted", 90)
	for range 3 {
		if s.Valid(one.Secret) {
			t.Fatal("the new key is valid too early, or a call of Valid counts as a login")
		}
	}
	s.refused(one.Secret)
	s.refused(one.Secret)
	s.loggedIn(one.Secret, bob)
	s.refused(two.Secret)
	s.loggedIn(minted, bob)
	s.loggedIn(old, bob)
}

func TestNewKeyDelay(t *testing.T) {
	s := start(t)
	token := s.login("bob")
	s.SetSwitches(func(w *quiltregistry.Switches) { w.NewKeyDelay = 10 * time.Minute })
	k := s.create(token, "k", 90)
	s.refused(k.Secret)
	s.clock.Advance(9 * time.Minute)
	s.refused(k.Secret)
	s.clock.Advance(time.Minute)
	s.loggedIn(k.Secret, bob)
}

func TestRevokedKeyLogins(t *testing.T) {
	// The functions check after a revocation that the key is refused. It can still be accepted for
	// a few requests.
	s := start(t)
	token := s.login("bob")
	k := s.create(token, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.RevokedKeyLogins = 2 })
	s.revoke(token, k.APIKey.ID, nil)
	if s.get(token, k.APIKey.ID) != nil || len(s.Keys()) != 0 {
		t.Error("the revoked key still exists")
	}
	if !s.Valid(k.Secret) {
		t.Error("the revoked key is refused at once")
	}
	s.loggedIn(k.Secret, bob)
	s.loggedIn(k.Secret, bob)
	s.refused(k.Secret)
	if s.Valid(k.Secret) {
		t.Error("the revoked key is still valid after two requests")
	}
}

func TestMaxKeysPerUser(t *testing.T) {
	// The refusal is a typed error. After a revocation, a key can be created again.
	s := start(t)
	token := s.login("bob")
	s.SetSwitches(func(w *quiltregistry.Switches) { w.MaxKeysPerUser = 1 })
	s.MintKey(ann, "of another user", 90)
	first := s.create(token, "one", 90)
	if got := s.create(token, "two", 90); got.Typename != "InvalidInput" || got.Errors[0].Name != "TooManyKeys" {
		t.Fatalf("the second create: got %s %v, want TooManyKeys", got.Typename, got.Errors)
	}
	s.revoke(token, first.APIKey.ID, nil)
	if got := s.create(token, "two", 90); got.Typename != "APIKeyCreated" {
		t.Errorf("create after a revocation is refused: %v", got.Errors)
	}
}

func TestSSOOnly(t *testing.T) {
	// The switch refuses passwords only. Keys are still accepted.
	s := start(t)
	_, secret := s.MintKey(bob, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.SSOOnly = true })
	s.expect(s.send("POST", "/api/login", `{"username":"bob","password":"secret of bob"}`), 401,
		`{"error":"SSO login required"}`)
	if got := s.object(s.send("GET", "/config.json", "")); got["passwordAuth"] != "DISABLED" {
		t.Errorf("passwordAuth is %v, want DISABLED", got["passwordAuth"])
	}
	s.loggedIn(secret, bob)
}

func TestRateLimit(t *testing.T) {
	// A request over the limit is answered with 429 and Retry-After. It does not count as a use of
	// the key.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.RateLimit = 5 })
	for second := range 2 {
		passed, limited := 0, 0
		s.clock.Advance(time.Hour)
		for limited == 0 && passed < 100 {
			switch got := s.me(secret); got.status {
			case 200:
				passed++
			case 429:
				limited++
				if got.header.Get("Retry-After") != "1" || got.body != `{"errors":[{"message":"Too many requests."}]}` {
					t.Errorf("got the answer %v %s", got.header, got.body)
				}
			default:
				t.Fatalf("got the status %d", got.status)
			}
		}
		// Another second can begin during the requests, so more requests can pass.
		if limited != 1 || passed < 5 {
			t.Errorf("second %d: %d requests passed and %d were refused", second, passed, limited)
		}
		if got, want := s.Requests(), s.Requests().ByOperation["me"]-second-1; got.ByKey[id] != want {
			t.Errorf("got %d requests of the key, want %d", got.ByKey[id], want)
		}
	}
}

func TestPlatformVersion(t *testing.T) {
	// Operators check the version before they turn rotation on.
	s := start(t)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.PlatformVersion = "1.66.2" })
	if got := s.object(s.send("GET", "/config.json", "")); got["stackVersion"] != "1.66.2" {
		t.Errorf("stackVersion is %v, want 1.66.2", got["stackVersion"])
	}
}

func TestFunctionsInSwitchesMayCallTheRegistry(t *testing.T) {
	// A function in a switch may read the registry and change the switches. This must not deadlock.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	calls := 0
	s.SetSwitches(func(w *quiltregistry.Switches) {
		w.GetOmits = func(k quiltregistry.APIKey) bool {
			calls++
			s.Expire(k.ID)
			s.SetSwitches(func(w *quiltregistry.Switches) { w.PlatformVersion = fmt.Sprint(calls) })
			return false
		}
	})
	if got := s.get(secret, id); got == nil || calls != 1 {
		t.Fatalf("got the key %v after %d calls of the function, want 1 call", got, calls)
	}
	s.refused(secret)
}
