package quiltregistry_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/quiltregistry"
)

func TestCreateAnswersAsQuilt3Expects(t *testing.T) {
	// Protects the wire form: quilt3's captured request body, byte for byte, and the documented
	// answer to it.
	s := start(t)
	_, secret := s.MintKey(bob, "first", 90)
	got := s.send("POST", "/graphql",
		`{"query":"mutation apiKeyCreate($input: APIKeyCreateInput!){apiKeyCreate(input:$input){__typename ...on APIKeyCreated{apiKey{id name fingerprint createdAt expiresAt lastUsedAt status userEmail} secret} ...on InvalidInput{errors{path message name context}}}}","operationName":"apiKeyCreate","variables":{"input":{"name":"prod-pipeline","expiresInDays":90}}}`,
		"Authorization", "Bearer "+secret, "Content-Type", "application/json", "Accept", "application/json",
		"User-Agent", "quilt-python/8.0.0 (Linux 6.1) CPython/3.11.7")
	const date = `"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"`
	want := regexp.MustCompile(
		`^\{"data":\{"apiKeyCreate":\{"__typename":"APIKeyCreated","apiKey":\{"id":"([0-9a-f-]{36})","name":"prod-pipeline",` +
			`"fingerprint":"qk_(\w{3})\.\.\.(\w{3})","createdAt":` + date + `,"expiresAt":` + date +
			`,"lastUsedAt":null,"status":"ACTIVE","userEmail":"bob@example.com"\},"secret":"qk_(\w{52})"\}\}\}$`)
	parts := want.FindStringSubmatch(got.body)
	if got.status != 200 || parts == nil {
		t.Fatalf("create answers %d %s", got.status, got.body)
	}
	if random := parts[4]; random[:3] != parts[2] || random[49:] != parts[3] {
		t.Errorf("fingerprint %s...%s does not fit its secret", parts[2], parts[3])
	}
	s.loggedIn("qk_"+parts[4], bob)
}

func TestCreatedKeyLastsAsLongAsAsked(t *testing.T) {
	// Protects expiry: the lifetime asked for, 90 days when none is, to the instant and by the
	// registry's clock.
	s := start(t)
	token := s.login("bob")
	for _, days := range []int{1, 365} {
		k := s.create(token, "k", days)
		if life := k.APIKey.ExpiresAt.Sub(k.APIKey.CreatedAt); life != time.Duration(days)*24*time.Hour {
			t.Errorf("asked for %d days, got %v", days, life)
		}
		if off := s.clock.Now().Sub(k.APIKey.CreatedAt); off < 0 || off > time.Minute {
			t.Errorf("createdAt is %v off the clock", off)
		}
	}
	s.ask(token, "", `mutation{apiKeyCreate(input:{name:"unsaid"}){__typename}}`, nil)
	unsaid := s.list(token, map[string]any{"name": "unsaid"})
	if len(unsaid) != 1 || unsaid[0].ExpiresAt.Sub(unsaid[0].CreatedAt) != 90*24*time.Hour {
		t.Errorf("a key without a lifetime asked for is %+v", unsaid)
	}
}

func TestCreateRefusesBadInputTyped(t *testing.T) {
	// Protects callers that must read a refusal out of status 200; nothing may have been made.
	s := start(t)
	token := s.login("bob")
	for _, c := range []struct {
		name, path string
		days       int
	}{
		{"k", "input.expiresInDays", 0},
		{"k", "input.expiresInDays", 366},
		{"k", "input.expiresInDays", -1},
		{"", "input.name", 90},
		{"  ", "input.name", 90},
	} {
		got := s.create(token, c.name, c.days)
		if got.Typename != "InvalidInput" || got.Secret != "" || len(got.Errors) != 1 || *got.Errors[0].Path != c.path {
			t.Errorf("create(%q, %d) answers %s %v", c.name, c.days, got.Typename, got.Errors)
		}
	}
	if n := len(s.Keys()); n != 0 {
		t.Errorf("%d keys were made", n)
	}
}

func TestNamesNeedNotBeUnique(t *testing.T) {
	// Protects the orphan's case: a retried create makes a second key of the same name.
	s := start(t)
	token := s.login("bob")
	one, two := s.create(token, "same", 90), s.create(token, "same", 90)
	if one.APIKey.ID == two.APIKey.ID || one.Secret == two.Secret {
		t.Error("two creates made one key")
	}
	if got := s.list(token, map[string]any{"name": "same"}); len(got) != 2 {
		t.Errorf("%d keys of the name are listed, want 2", len(got))
	}
}

func TestExpiredKeyStaysListedAndLogsNobodyIn(t *testing.T) {
	// Protects the two faces of expiry: 401 at once, and EXPIRED in every listing.
	s := start(t)
	id, secret := s.MintKey(bob, "old", 1)
	token := s.login("bob")
	s.clock.Advance(24*time.Hour - time.Minute)
	s.loggedIn(secret, bob)
	s.clock.Advance(time.Minute)
	s.refused(secret)
	s.refused(token)
	if s.Valid(secret) {
		t.Error("an expired key is alive")
	}
	token = s.login("bob")
	if got := s.get(token, id); got == nil || got.Status != "EXPIRED" {
		t.Errorf("get shows %+v", got)
	}
	if got := s.list(token, map[string]any{"status": "EXPIRED"}); names(got) != "old" {
		t.Errorf("EXPIRED lists %q", names(got))
	}
	if got := s.list(token, map[string]any{"status": "ACTIVE"}); len(got) != 0 {
		t.Errorf("ACTIVE lists %q", names(got))
	}
	if got := s.revoke(token, id, nil); got.Typename != "Ok" {
		t.Errorf("an expired key cannot be revoked: %v", got.Errors)
	}
}

func TestRevokeDeletesAtOnce(t *testing.T) {
	// Protects "revoked keys fail instantly": by id and by secret, with quilt3's body, also the key
	// that asks.
	s := start(t)
	token := s.login("bob")
	for _, by := range []string{"id", "secret", "itself"} {
		k := s.create(token, "k", 90)
		var got revoked
		switch by {
		case "id":
			got = s.revoke(token, k.APIKey.ID, nil)
		case "secret":
			got = s.revoke(token, nil, k.Secret)
		case "itself":
			got = s.revoke(k.Secret, k.APIKey.ID, nil)
		}
		if got.Typename != "Ok" {
			t.Fatalf("revoke by %s answers %s %v", by, got.Typename, got.Errors)
		}
		s.refused(k.Secret)
		if s.get(token, k.APIKey.ID) != nil || len(s.list(token, nil)) != 0 || s.Valid(k.Secret) {
			t.Errorf("revoked by %s, and still there", by)
		}
		if again := s.revoke(token, k.APIKey.ID, nil); again.Typename != "InvalidInput" ||
			again.Errors[0].Name != "NotFound" {
			t.Errorf("the second revoke answers %s %v", again.Typename, again.Errors)
		}
	}
}

func TestRevokeTakesExactlyOneOfTheCallersOwnKeys(t *testing.T) {
	// Protects other users' keys, and the rule that both or neither of id and secret is a mistake.
	s := start(t)
	token := s.login("bob")
	mine, mySecret := s.MintKey(bob, "mine", 90)
	others, otherSecret := s.MintKey(ann, "others", 90)
	for _, c := range []struct {
		id, secret any
		path       string
	}{
		{nil, nil, ""}, {mine, mySecret, ""}, {others, nil, "id"}, {nil, otherSecret, "secret"}, {"no-such", nil, "id"},
		{"", nil, "id"},
	} {
		got := s.revoke(token, c.id, c.secret)
		if got.Typename != "InvalidInput" {
			t.Fatalf("revoke(%v, secret %t) answers %s", c.id, c.secret != nil, got.Typename)
		}
		if path := got.Errors[0].Path; (path == nil) != (c.path == "") || (path != nil && *path != c.path) {
			t.Errorf("revoke(%v, secret %t) blames %v, want %q", c.id, c.secret != nil, path, c.path)
		}
	}
	if len(s.Keys()) != 2 {
		t.Error("a refused revoke deleted a key")
	}
}

func TestListsAreTheCallersOwnAndFilterExactly(t *testing.T) {
	// Protects matching by name and fingerprint: exact, not by prefix, and never another user's
	// keys.
	s := start(t)
	token := s.login("bob")
	id, _ := s.MintKey(bob, "a", 90)
	s.MintKey(bob, "ab", 90)
	s.MintKey(bob, "gone", 0)
	others, _ := s.MintKey(ann, "a", 90)
	print := s.get(token, id).Fingerprint
	for _, c := range []struct {
		variables map[string]any
		want      string
	}{
		{nil, "a ab gone"},
		{map[string]any{"name": nil, "fingerprint": nil, "status": nil}, "a ab gone"},
		{map[string]any{"name": "a"}, "a"},
		{map[string]any{"name": "A"}, ""},
		{map[string]any{"fingerprint": print}, "a"},
		{map[string]any{"fingerprint": print[:9]}, ""},
		{map[string]any{"status": "ACTIVE"}, "a ab"},
		{map[string]any{"status": "EXPIRED", "name": "a"}, ""},
	} {
		if got := names(s.list(token, c.variables)); got != c.want {
			t.Errorf("%v lists %q, want %q", c.variables, got, c.want)
		}
	}
	if s.get(token, others) != nil || s.get(token, "no-such") != nil {
		t.Error("get shows a key that is not the caller's")
	}
}

func TestAdminSeesAndRevokesEverybodysKeys(t *testing.T) {
	// Protects the admin operations of quilt3, and their 403 for the whole request of anybody else.
	s := start(t)
	admin, user := s.login("ann"), s.login("bob")
	id, secret := s.MintKey(bob, "of bob", 90)
	s.MintKey(ann, "of ann", 90)
	if got := names(s.adminList(admin, nil)); got != "of ann of bob" {
		t.Errorf("the admin list is %q", got)
	}
	if got := names(s.adminList(admin, map[string]any{"email": bob})); got != "of bob" {
		t.Errorf("the admin list by email is %q", got)
	}
	if got := names(s.adminList(admin, map[string]any{"email": "x@example.com"})); got != "" {
		t.Errorf("the admin list of nobody is %q", got)
	}
	if got := s.adminGet(admin, id); got == nil || got.UserEmail != bob {
		t.Errorf("the admin get shows %+v", got)
	}
	const forbidden = `{"errors":[{"message":"Forbidden."}]}`
	s.expect(s.ask(user, "adminApiKeysList", adminList, nil), 403, forbidden)
	s.expect(s.ask(user, "adminApiKeyRevoke", adminRevoke, map[string]any{"id": id}), 403, forbidden)
	s.expect(s.ask("", "adminApiKeysList", adminList, nil), 401, `{"errors":[{"message":"Not logged in"}]}`)
	revoke := func() string { return s.ask(admin, "adminApiKeyRevoke", adminRevoke, map[string]any{"id": id}).body }
	if got := revoke(); got != `{"data":{"admin":{"apiKeys":{"revoke":{"__typename":"Ok"}}}}}` {
		t.Errorf("the admin revoke answers %s", got)
	}
	s.refused(secret)
	if got := revoke(); !strings.Contains(got, `"__typename":"InvalidInput"`) {
		t.Errorf("the second admin revoke answers %s", got)
	}
}

func TestForbiddenRequestHasDoneNothing(t *testing.T) {
	// Protects against half a request: what stands before an admin field must not be carried out
	// either.
	s := start(t)
	for _, query := range []string{
		`mutation{apiKeyCreate(input:{name:"x"}){__typename} admin{apiKeys{revoke(id:"x"){__typename}}}}`,
		`mutation{apiKeyCreate(input:{name:"x"}){__typename} ...F} fragment F on Mutation{a:admin{apiKeys{revoke(id:"x"){__typename}}}}`,
		`mutation{apiKeyCreate(input:{name:"x"}){__typename} ...on Mutation{admin{apiKeys{revoke(id:"x"){__typename}}}}}`,
	} {
		s.expect(s.ask(s.login("bob"), "", query, nil), 403, `{"errors":[{"message":"Forbidden."}]}`)
	}
	if len(s.Keys()) != 0 {
		t.Error("a forbidden request made a key")
	}
}

func TestUseIsRecorded(t *testing.T) {
	// Protects lastUsedAt: null until the first request, then each one's time, and only for the key
	// that was used.
	s := start(t)
	id, secret := s.MintKey(bob, "used", 90)
	token := s.login("bob")
	if got := s.get(token, id).LastUsedAt; got != nil {
		t.Fatalf("lastUsedAt of an unused key is %v", got)
	}
	s.Valid(secret)
	if got := s.get(token, id).LastUsedAt; got != nil {
		t.Fatalf("asking whether it is alive counted as use: %v", got)
	}
	s.loggedIn(secret, bob)
	first := s.get(token, id).LastUsedAt
	s.clock.Advance(time.Hour)
	token = s.login("bob") // the former token has expired
	s.send("GET", "/api/auth/get_credentials", "", "Authorization", "Bearer "+secret)
	second := s.get(token, id).LastUsedAt
	if first == nil || second == nil || second.Sub(*first) < time.Hour {
		t.Errorf("lastUsedAt was %v and an hour later %v", first, second)
	}
}

func TestKeysAreCopies(t *testing.T) {
	// Protects the registry's state from a test's expectations, and secrets from being printed by a
	// failing one.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	keys := s.Keys()
	if len(keys) != 1 || keys[0].ID != id || keys[0].Secret != secret || keys[0].Owner != bob ||
		keys[0].Status != "ACTIVE" || !keys[0].LastUsedAt.IsZero() {
		t.Fatalf("the keys are %v", keys)
	}
	keys[0].Secret = "changed"
	if got, found := s.KeyBySecret(secret); !found || got.ID != id {
		t.Error("a change to the copy changed the registry")
	}
	if _, found := s.KeyBySecret("changed"); found {
		t.Error("a change to the copy changed the registry")
	}
	k, _ := s.KeyBySecret(secret)
	u := quiltregistry.User{Name: "n", Password: "hidden"}
	if text := fmt.Sprintf("%v %+v %#v %s %v %#v", k, k, k, keys, u, u); strings.Contains(text, secret[3:]) ||
		strings.Contains(text, "hidden") {
		t.Errorf("printing shows a secret: %s", text)
	}
}

func TestKeysCanDieOrChangeHandsMeanwhile(t *testing.T) {
	// Protects the tests of what happens behind the service's back.
	s := start(t)
	token := s.login("bob")
	deleted, deletedSecret := s.MintKey(bob, "deleted", 90)
	expired, expiredSecret := s.MintKey(bob, "expired", 90)
	moved, movedSecret := s.MintKey(bob, "moved", 90)
	if !s.Delete(deleted) || !s.Expire(expired) || !s.TransferKey(moved, ann) {
		t.Fatal("a key is not found")
	}
	s.refused(deletedSecret)
	s.refused(expiredSecret)
	s.loggedIn(movedSecret, ann)
	if got := s.list(token, nil); names(got) != "expired" || got[0].Status != "EXPIRED" {
		t.Errorf("the list is %v", got)
	}
	if s.get(token, moved) != nil || s.get(movedSecret, moved) == nil {
		t.Error("the transferred key is not the new owner's")
	}
	if s.Delete(deleted) || s.Expire(deleted) || s.TransferKey(deleted, ann) {
		t.Error("a deleted key is found")
	}
}

func BenchmarkList10000(b *testing.B) {
	// Shows that a list of 10,000 keys stays under 100 ms: the registry alone, without the network.
	s := start(b)
	for i := range 10_000 {
		s.MintKey(bob, fmt.Sprintf("key-%d", i), 90)
	}
	_, secret := s.MintKey(bob, "asks", 90)
	body := fmt.Sprintf(`{"query":%q}`, listQuery)
	for b.Loop() {
		request := httptest.NewRequest("POST", "/graphql", strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+secret)
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, request)
		if answer.Code != 200 || answer.Body.Len() < 1_000_000 {
			b.Fatalf("the list answers %d with %d bytes", answer.Code, answer.Body.Len())
		}
	}
}

func BenchmarkMe(b *testing.B) {
	// Shows the price of one request, of which tests make hundreds of thousands.
	s := start(b)
	_, secret := s.MintKey(bob, "asks", 90)
	for b.Loop() {
		if got := s.me(secret); got.status != 200 {
			b.Fatalf("me answers %d", got.status)
		}
	}
}
