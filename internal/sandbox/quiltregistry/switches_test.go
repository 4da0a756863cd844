package quiltregistry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/quiltregistry"
)

func TestNullMeInPlaceOf401(t *testing.T) {
	// Protects clients that only look at the status: a dead key answers 200 and me is null.
	s := start(t)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.NullMe = true })
	id, secret := s.MintKey(bob, "k", 90)
	s.loggedIn(secret, bob)
	s.Expire(id)
	s.expect(s.me(secret), 200, `{"data":{"me":null}}`)
	s.expect(s.me("qk_unknown"), 200, `{"data":{"me":null}}`)
	s.expect(s.ask(secret, "apiKeysList", listQuery, nil), 200, `{"data":{"me":null}}`)
}

func TestKeysMayNotManage(t *testing.T) {
	// Protects the switch to another credential: each way a registry may turn a key down, and only
	// a key.
	create := map[string]any{"input": map[string]any{"name": "k", "expiresInDays": 1}}
	const message = "API keys cannot be managed with an API key."
	for manner, want := range map[string]struct {
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
		s.SetSwitches(func(w *quiltregistry.Switches) { w.KeysMayNotManage = manner })
		s.expect(s.ask(secret, "apiKeyCreate", createQuery, create), want.status, want.create)
		s.expect(s.ask(secret, "apiKeysList", listQuery, map[string]any{"name": "none"}), want.status, want.list)
		for operation, got := range map[string]reply{
			"apiKeyRevoke": s.ask(secret, "apiKeyRevoke", revokeQuery, map[string]any{"id": id}),
			"apiKeyGet":    s.ask(secret, "apiKeyGet", getQuery, map[string]any{"id": id}),
		} {
			passes := manner == quiltregistry.RefuseInvalidInput && operation == "apiKeyGet"
			if got.status != want.status || strings.Contains(got.body, message) == passes {
				t.Errorf("%s: %s answers %d %s", manner, operation, got.status, got.body)
			}
		}
		s.loggedIn(secret, bob)
		if len(s.Keys()) != 1 {
			t.Errorf("%s: a refused request changed the keys", manner)
		}
		if got := s.create(s.login("bob"), "k", 1); got.Typename != "APIKeyCreated" {
			t.Errorf("%s: an interactive login is refused: %v", manner, got.Errors)
		}
	}
}

func TestUseNotRecorded(t *testing.T) {
	// Protects the case of a registry that never says when a key was used.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.UseNotRecorded = true })
	s.loggedIn(secret, bob)
	if got := s.get(secret, id).LastUsedAt; got != nil {
		t.Errorf("lastUsedAt is %v", got)
	}
}

func TestUseGranularity(t *testing.T) {
	// Protects quiet periods against a lastUsedAt that is older than the use.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.UseGranularity = 24 * time.Hour })
	s.loggedIn(secret, bob)
	got := s.get(secret, id).LastUsedAt
	if got == nil || !got.Equal(got.Truncate(24*time.Hour)) {
		t.Errorf("lastUsedAt is %v, want a midnight", got)
	}
}

func TestFingerprintForm(t *testing.T) {
	// Protects from taking the documented form for a contract: the same key is shown in every other
	// form, too.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	shown := map[string]bool{s.get(secret, id).Fingerprint: true}
	for _, form := range []string{quiltregistry.FingerprintStart, quiltregistry.FingerprintMasked,
		quiltregistry.FingerprintHash} {
		s.SetSwitches(func(w *quiltregistry.Switches) { w.FingerprintForm = form })
		got := s.get(secret, id).Fingerprint
		if listed := s.list(secret, nil); len(listed) != 1 || listed[0].Fingerprint != got {
			t.Errorf("%s: the list shows %v, and the key alone %q", form, listed, got)
		}
		shown[got] = true
	}
	if len(shown) != 4 {
		t.Errorf("the forms are not different: %v", shown)
	}
}

func TestListOmitsAndGetOmits(t *testing.T) {
	// Protects "absence is no evidence": a list may lack a key that is there by id, and the other
	// way round.
	s := start(t)
	id, _ := s.MintKey(bob, "hidden", 90)
	s.MintKey(bob, "shown", 90)
	admin, user := s.login("ann"), s.login("bob")
	hidden := func(k quiltregistry.APIKey) bool { return k.Name == "hidden" }
	s.SetSwitches(func(w *quiltregistry.Switches) { w.ListOmits = hidden })
	if got, all := names(s.list(user, nil)), names(s.adminList(admin, nil)); got != "shown" || all != "shown" {
		t.Errorf("the lists are %q and %q", got, all)
	}
	if s.get(user, id) == nil || s.adminGet(admin, id) == nil || len(s.Keys()) != 2 {
		t.Error("the hidden key cannot be got")
	}
	s.SetSwitches(func(w *quiltregistry.Switches) { w.ListOmits, w.GetOmits = nil, hidden })
	if got := names(s.list(user, nil)); got != "hidden shown" {
		t.Errorf("the list is %q", got)
	}
	if s.get(user, id) != nil || s.adminGet(admin, id) != nil {
		t.Error("the hidden key can be got")
	}
}

func TestSkewMovesStampsAndExpiry(t *testing.T) {
	// Protects comparisons of the registry's dates, which must be made by the registry's own clock.
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
		t.Errorf("the key is %+v, the clock shows %v", got, s.clock.Now())
	}
	s.SetSwitches(func(w *quiltregistry.Switches) { w.Skew = 73 * time.Hour })
	s.refused(k.Secret)
	if keys := s.Keys(); keys[0].Status != "EXPIRED" {
		t.Errorf("the key is %v", keys[0])
	}
}

func TestDuplicateFingerprints(t *testing.T) {
	// Protects identification by fingerprint: one that fits several keys, and each of them truly.
	s := start(t)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.DuplicateFingerprints = true })
	id, secret := s.MintKey(bob, "one", 90)
	k := s.create(secret, "two", 90)
	one := s.get(secret, id)
	if one.Fingerprint != k.APIKey.Fingerprint || secret == k.Secret {
		t.Errorf("fingerprints are %s and %s", one.Fingerprint, k.APIKey.Fingerprint)
	}
	for _, text := range []string{secret, k.Secret} {
		if text[:6]+"..."+text[len(text)-3:] != one.Fingerprint || len(text) != 55 {
			t.Errorf("the fingerprint %s does not fit its secret", one.Fingerprint)
		}
	}
}

func TestNewKeysAreRefusedForSomeLogins(t *testing.T) {
	// Protects the retries of the step that proves a new key. Keys from before, and the other users
	// of it, are not hit.
	s := start(t)
	_, settled := s.MintKey(bob, "settled", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.RefuseNewKeyLogins = 2 })
	one, two := s.create(settled, "one", 90), s.create(settled, "two", 90)
	_, minted := s.MintKey(bob, "minted", 90)
	for range 3 {
		if s.Valid(one.Secret) {
			t.Fatal("the new key is alive; or asking that counts as a login")
		}
	}
	s.refused(one.Secret)
	s.refused(one.Secret)
	s.loggedIn(one.Secret, bob)
	s.refused(two.Secret)
	s.loggedIn(minted, bob)
	s.loggedIn(settled, bob)
}

func TestNewKeysAreRefusedForSomeTime(t *testing.T) {
	// Protects the same retries where only waiting helps.
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

func TestRevokedKeyLingers(t *testing.T) {
	// Protects the look after a revoke: the key is gone from every listing and still logs in, a few
	// times.
	s := start(t)
	token := s.login("bob")
	k := s.create(token, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.RevokeLingers = 2 })
	s.revoke(token, k.APIKey.ID, nil)
	if s.get(token, k.APIKey.ID) != nil || len(s.Keys()) != 0 {
		t.Error("the revoked key is still there")
	}
	if !s.Valid(k.Secret) {
		t.Error("the revoked key is not alive")
	}
	s.loggedIn(k.Secret, bob)
	s.loggedIn(k.Secret, bob)
	s.refused(k.Secret)
	if s.Valid(k.Secret) {
		t.Error("the revoked key is alive")
	}
}

func TestMaxKeysPerUser(t *testing.T) {
	// Protects the case of a registry that limits keys: a typed refusal, and room again after a
	// revoke.
	s := start(t)
	token := s.login("bob")
	s.SetSwitches(func(w *quiltregistry.Switches) { w.MaxKeysPerUser = 1 })
	s.MintKey(ann, "of another user", 90)
	first := s.create(token, "one", 90)
	if got := s.create(token, "two", 90); got.Typename != "InvalidInput" || got.Errors[0].Name != "TooManyKeys" {
		t.Fatalf("the second create answers %s %v", got.Typename, got.Errors)
	}
	s.revoke(token, first.APIKey.ID, nil)
	if got := s.create(token, "two", 90); got.Typename != "APIKeyCreated" {
		t.Errorf("create after a revoke answers %v", got.Errors)
	}
}

func TestSSOOnly(t *testing.T) {
	// Protects an issuer with a password against a registry that takes none; keys work on.
	s := start(t)
	_, secret := s.MintKey(bob, "k", 90)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.SSOOnly = true })
	s.expect(s.send("POST", "/api/login", `{"username":"bob","password":"secret of bob"}`), 401,
		`{"error":"SSO login required"}`)
	if got := s.object(s.send("GET", "/config.json", "")); got["passwordAuth"] != "DISABLED" {
		t.Errorf("passwordAuth is %v", got["passwordAuth"])
	}
	s.loggedIn(secret, bob)
}

func TestRateLimit(t *testing.T) {
	// Protects the back-off: so many requests a second, then 429 with Retry-After, which is no use
	// of the key.
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
					t.Errorf("the limit answers %v %s", got.header, got.body)
				}
			default:
				t.Fatalf("me answers %d", got.status)
			}
		}
		// The second may turn once or more while the requests are made.
		if limited != 1 || passed < 5 {
			t.Errorf("second %d: %d passed and %d were limited", second, passed, limited)
		}
		if got, want := s.Requests(), s.Requests().ByOperation["me"]-second-1; got.ByKey[id] != want {
			t.Errorf("%d requests count for the key, want %d", got.ByKey[id], want)
		}
	}
}

func TestPlatformVersion(t *testing.T) {
	// Protects the check of the platform's version before rotation is switched on.
	s := start(t)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.PlatformVersion = "1.66.2" })
	if got := s.object(s.send("GET", "/config.json", "")); got["stackVersion"] != "1.66.2" {
		t.Errorf("stackVersion is %v", got["stackVersion"])
	}
}

func TestHooksMayCallTheRegistry(t *testing.T) {
	// Protects against a deadlock: a function given to a switch may look at the registry and change
	// the switches.
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
		t.Fatalf("get shows %v after %d calls", got, calls)
	}
	s.refused(secret)
}
