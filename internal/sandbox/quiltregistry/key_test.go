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
	// The request body is exactly that of quilt3. The answer is the documented one.
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
		t.Fatalf("got the answer %d %s", got.status, got.body)
	}
	if random := parts[4]; random[:3] != parts[2] || random[49:] != parts[3] {
		t.Errorf("the fingerprint %s...%s does not match the secret", parts[2], parts[3])
	}
	s.loggedIn("qk_"+parts[4], bob)
}

func TestCreatedKeyHasTheRequestedLifetime(t *testing.T) {
	s := start(t)
	token := s.login("bob")
	for _, days := range []int{1, 365} {
		k := s.create(token, "k", days)
		if life := k.APIKey.ExpiresAt.Sub(k.APIKey.CreatedAt); life != time.Duration(days)*24*time.Hour {
			t.Errorf("got the lifetime %v, want %d days", life, days)
		}
		if off := s.clock.Now().Sub(k.APIKey.CreatedAt); off < 0 || off > time.Minute {
			t.Errorf("createdAt is %v before the time of the clock", off)
		}
	}
	s.post(token, "", `mutation{apiKeyCreate(input:{name:"default"}){__typename}}`, nil)
	listed := s.list(token, map[string]any{"name": "default"})
	if len(listed) != 1 || listed[0].ExpiresAt.Sub(listed[0].CreatedAt) != 90*24*time.Hour {
		t.Errorf("got %+v, want a key with the default lifetime of 90 days", listed)
	}
}

func TestCreateRefusesInvalidInputWithATypedError(t *testing.T) {
	// The status of a typed error is 200.
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
			t.Errorf("create(%q, %d): got %s %v", c.name, c.days, got.Typename, got.Errors)
		}
	}
	if n := len(s.Keys()); n != 0 {
		t.Errorf("%d keys were created, want 0", n)
	}
}

func TestTwoKeysCanHaveTheSameName(t *testing.T) {
	// A repeated create request creates a second key with the same name, which can become an
	// orphan.
	s := start(t)
	token := s.login("bob")
	one, two := s.create(token, "same", 90), s.create(token, "same", 90)
	if one.APIKey.ID == two.APIKey.ID || one.Secret == two.Secret {
		t.Error("two create requests created only one key")
	}
	if got := s.list(token, map[string]any{"name": "same"}); len(got) != 2 {
		t.Errorf("got %d keys with the name, want 2", len(got))
	}
}

func TestExpiredKeyIsRefusedButListed(t *testing.T) {
	s := start(t)
	id, secret := s.MintKey(bob, "old", 1)
	token := s.login("bob")
	s.clock.Advance(24*time.Hour - time.Minute)
	s.loggedIn(secret, bob)
	s.clock.Advance(time.Minute)
	s.refused(secret)
	s.refused(token)
	if s.Valid(secret) {
		t.Error("an expired key is valid")
	}
	token = s.login("bob")
	if got := s.get(token, id); got == nil || got.Status != "EXPIRED" {
		t.Errorf("got the key %+v, want an expired key", got)
	}
	if got := s.list(token, map[string]any{"status": "EXPIRED"}); names(got) != "old" {
		t.Errorf("the list of expired keys is %q, want old", names(got))
	}
	if got := s.list(token, map[string]any{"status": "ACTIVE"}); len(got) != 0 {
		t.Errorf("the list of active keys is %q, want none", names(got))
	}
	if got := s.revoke(token, id, nil); got.Typename != "Ok" {
		t.Errorf("an expired key cannot be revoked: %v", got.Errors)
	}
}

func TestRevokedKeyIsRefusedAtOnce(t *testing.T) {
	// A key can be revoked by its id or by its secret, and it can revoke itself.
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
			t.Fatalf("revocation by %s: got %s %v", by, got.Typename, got.Errors)
		}
		s.refused(k.Secret)
		if s.get(token, k.APIKey.ID) != nil || len(s.list(token, nil)) != 0 || s.Valid(k.Secret) {
			t.Errorf("the key still exists after the revocation by %s", by)
		}
		if again := s.revoke(token, k.APIKey.ID, nil); again.Typename != "InvalidInput" ||
			again.Errors[0].Name != "NotFound" {
			t.Errorf("the second revocation: got %s %v, want NotFound", again.Typename, again.Errors)
		}
	}
}

func TestRevokeRequiresTheIDOrTheSecretOfAnOwnKey(t *testing.T) {
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
			t.Fatalf("revoke(%v, with a secret: %t): got %s, want InvalidInput", c.id, c.secret != nil, got.Typename)
		}
		if path := got.Errors[0].Path; (path == nil) != (c.path == "") || (path != nil && *path != c.path) {
			t.Errorf("revoke(%v, with a secret: %t): got the path %v, want %q", c.id, c.secret != nil, path, c.path)
		}
	}
	if len(s.Keys()) != 2 {
		t.Error("a refused request deleted a key")
	}
}

func TestListShowsOwnKeysThatMatchExactly(t *testing.T) {
	// A filter is not a prefix, and the keys of other users are never shown.
	s := start(t)
	token := s.login("bob")
	id, _ := s.MintKey(bob, "a", 90)
	s.MintKey(bob, "ab", 90)
	s.MintKey(bob, "expired", 0)
	others, _ := s.MintKey(ann, "a", 90)
	print := s.get(token, id).Fingerprint
	for _, c := range []struct {
		variables map[string]any
		want      string
	}{
		{nil, "a ab expired"},
		{map[string]any{"name": nil, "fingerprint": nil, "status": nil}, "a ab expired"},
		{map[string]any{"name": "a"}, "a"},
		{map[string]any{"name": "A"}, ""},
		{map[string]any{"fingerprint": print}, "a"},
		{map[string]any{"fingerprint": print[:9]}, ""},
		{map[string]any{"status": "ACTIVE"}, "a ab"},
		{map[string]any{"status": "EXPIRED", "name": "a"}, ""},
	} {
		if got := names(s.list(token, c.variables)); got != c.want {
			t.Errorf("%v: got the list %q, want %q", c.variables, got, c.want)
		}
	}
	if s.get(token, others) != nil || s.get(token, "no-such") != nil {
		t.Error("get returned a key that does not belong to the caller")
	}
}

func TestOnlyAnAdministratorListsAndRevokesKeysOfOtherUsers(t *testing.T) {
	s := start(t)
	admin, user := s.login("ann"), s.login("bob")
	id, secret := s.MintKey(bob, "of bob", 90)
	s.MintKey(ann, "of ann", 90)
	if got := names(s.adminList(admin, nil)); got != "of ann of bob" {
		t.Errorf("got the administrator's list %q", got)
	}
	if got := names(s.adminList(admin, map[string]any{"email": bob})); got != "of bob" {
		t.Errorf("got the administrator's list by email %q", got)
	}
	if got := names(s.adminList(admin, map[string]any{"email": "x@example.com"})); got != "" {
		t.Errorf("got the keys %q of an unknown user", got)
	}
	if got := s.adminGet(admin, id); got == nil || got.UserEmail != bob {
		t.Errorf("got the key %+v, want a key of %s", got, bob)
	}
	const forbidden = `{"errors":[{"message":"Forbidden."}]}`
	s.expect(s.post(user, "adminApiKeysList", adminList, nil), 403, forbidden)
	s.expect(s.post(user, "adminApiKeyRevoke", adminRevoke, map[string]any{"id": id}), 403, forbidden)
	s.expect(s.post("", "adminApiKeysList", adminList, nil), 401, `{"errors":[{"message":"Not logged in"}]}`)
	revoke := func() string { return s.post(admin, "adminApiKeyRevoke", adminRevoke, map[string]any{"id": id}).body }
	if got := revoke(); got != `{"data":{"admin":{"apiKeys":{"revoke":{"__typename":"Ok"}}}}}` {
		t.Errorf("the administrator's revocation: got %s", got)
	}
	s.refused(secret)
	if got := revoke(); !strings.Contains(got, `"__typename":"InvalidInput"`) {
		t.Errorf("the administrator's second revocation: got %s, want InvalidInput", got)
	}
}

func TestForbiddenRequestChangesNothing(t *testing.T) {
	// The fields before the field admin must not be executed either.
	s := start(t)
	for _, query := range []string{
		`mutation{apiKeyCreate(input:{name:"x"}){__typename} admin{apiKeys{revoke(id:"x"){__typename}}}}`,
		`mutation{apiKeyCreate(input:{name:"x"}){__typename} ...F} fragment F on Mutation{a:admin{apiKeys{revoke(id:"x"){__typename}}}}`,
		`mutation{apiKeyCreate(input:{name:"x"}){__typename} ...on Mutation{admin{apiKeys{revoke(id:"x"){__typename}}}}}`,
	} {
		s.expect(s.post(s.login("bob"), "", query, nil), 403, `{"errors":[{"message":"Forbidden."}]}`)
	}
	if len(s.Keys()) != 0 {
		t.Error("a forbidden request created a key")
	}
}

func TestLastUsedAtIsTheTimeOfTheLastRequest(t *testing.T) {
	s := start(t)
	id, secret := s.MintKey(bob, "used", 90)
	token := s.login("bob")
	if got := s.get(token, id).LastUsedAt; got != nil {
		t.Fatalf("lastUsedAt of an unused key is %v, want null", got)
	}
	s.Valid(secret)
	if got := s.get(token, id).LastUsedAt; got != nil {
		t.Fatalf("the call of Valid changed lastUsedAt to %v", got)
	}
	s.loggedIn(secret, bob)
	first := s.get(token, id).LastUsedAt
	s.clock.Advance(time.Hour)
	token = s.login("bob") // the first token has expired
	s.send("GET", "/api/auth/get_credentials", "", "Authorization", "Bearer "+secret)
	second := s.get(token, id).LastUsedAt
	if first == nil || second == nil || second.Sub(*first) < time.Hour {
		t.Errorf("lastUsedAt is %v after the first request, and %v after a request an hour later", first, second)
	}
}

func TestKeysReturnsCopies(t *testing.T) {
	// A test that changes a key must not change the registry. A failed test must not print secrets.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	keys := s.Keys()
	if len(keys) != 1 || keys[0].ID != id || keys[0].Secret != secret || keys[0].Owner != bob ||
		keys[0].Status != "ACTIVE" || !keys[0].LastUsedAt.IsZero() {
		t.Fatalf("got the keys %v", keys)
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
		t.Errorf("the printed text contains a secret: %s", text)
	}
}

func TestDeleteExpireAndTransferKey(t *testing.T) {
	s := start(t)
	token := s.login("bob")
	deleted, deletedSecret := s.MintKey(bob, "deleted", 90)
	expired, expiredSecret := s.MintKey(bob, "expired", 90)
	moved, movedSecret := s.MintKey(bob, "moved", 90)
	if !s.Delete(deleted) || !s.Expire(expired) || !s.TransferKey(moved, ann) {
		t.Fatal("a key was not found")
	}
	s.refused(deletedSecret)
	s.refused(expiredSecret)
	s.loggedIn(movedSecret, ann)
	if got := s.list(token, nil); names(got) != "expired" || got[0].Status != "EXPIRED" {
		t.Errorf("got the list %v, want one expired key", got)
	}
	if s.get(token, moved) != nil || s.get(movedSecret, moved) == nil {
		t.Error("the transferred key does not belong to the new owner")
	}
	if s.Delete(deleted) || s.Expire(deleted) || s.TransferKey(deleted, ann) {
		t.Error("a deleted key was found")
	}
}

func BenchmarkList10000(b *testing.B) {
	// A list of 10,000 keys should take less than 100 ms in the registry, without the network.
	s := start(b)
	for i := range 10_000 {
		s.MintKey(bob, fmt.Sprintf("key-%d", i), 90)
	}
	_, secret := s.MintKey(bob, "caller", 90)
	body := fmt.Sprintf(`{"query":%q}`, listQuery)
	for b.Loop() {
		request := httptest.NewRequest("POST", "/graphql", strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+secret)
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, request)
		if answer.Code != 200 || answer.Body.Len() < 1_000_000 {
			b.Fatalf("got the status %d and %d bytes", answer.Code, answer.Body.Len())
		}
	}
}

func BenchmarkMe(b *testing.B) {
	// The tests send hundreds of thousands of requests.
	s := start(b)
	_, secret := s.MintKey(bob, "caller", 90)
	for b.Loop() {
		if got := s.me(secret); got.status != 200 {
			b.Fatalf("got the status %d, want 200", got.status)
		}
	}
}
