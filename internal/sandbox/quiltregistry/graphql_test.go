package quiltregistry_test

import (
	"net/http/httptest"
	"testing"

	"quilt-rotate/internal/sandbox/quiltregistry"
)

func TestListAndRevokeAnswerAsQuilt3Expects(t *testing.T) {
	// The requests are those of quilt3, with the same null variables.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	post := func(body string) reply {
		return s.send("POST", "/graphql", body, "Authorization", "Bearer "+secret, "Content-Type", "application/json")
	}
	got := post(
		`{"query":"query apiKeysList($name: String, $fingerprint: String, $status: APIKeyStatus){me{apiKeys(name:$name, fingerprint:$fingerprint, status:$status){id name fingerprint createdAt expiresAt lastUsedAt status userEmail}}}","operationName":"apiKeysList","variables":{"name":null,"fingerprint":null,"status":null}}`)
	if listed := decode[struct{ Me struct{ APIKeys []wireKey } }](s, got).Me.APIKeys; len(listed) != 1 ||
		listed[0].ID != id || listed[0].UserEmail != bob {
		t.Errorf("got the list %s", got.body)
	}
	const revoke = `{"query":"mutation apiKeyRevoke($id: ID, $secret: String){apiKeyRevoke(id:$id, secret:$secret){__typename ...on InvalidInput{errors{path message name context}}}}","operationName":"apiKeyRevoke","variables":`
	s.expect(post(revoke+`{"id":"no-such","secret":null}}`), 200,
		`{"data":{"apiKeyRevoke":{"__typename":"InvalidInput","errors":[{"path":"id","message":"There is no such API key.","name":"NotFound","context":null}]}}}`)
	s.expect(post(revoke+`{"id":"`+id+`","secret":null}}`), 200, `{"data":{"apiKeyRevoke":{"__typename":"Ok"}}}`)
}

func TestOkHasAField(t *testing.T) {
	// GraphQL requires that each type has a field, and a client may select it.
	s := start(t)
	id, secret := s.MintKey(bob, "k", 90)
	s.expect(s.post(secret, "", `mutation($id: ID){apiKeyRevoke(id:$id){...on Ok{_}}}`, map[string]any{"id": id}), 200,
		`{"data":{"apiKeyRevoke":{"_":null}}}`)
}

func TestInvalidGraphQLIsRefused(t *testing.T) {
	s := start(t)
	_, secret := s.MintKey(bob, "k", 90)
	s.expect(s.post(secret, "", `{me{nothing}}`, nil), 200,
		`{"errors":[{"message":"Cannot query field \"nothing\" on type \"Me\".","locations":[{"line":1,"column":5}]}]}`)
	for _, body := range []string{"", "no JSON", `{"query":5}`} {
		s.expect(s.send("POST", "/graphql", body), 400,
			`{"errors":[{"message":"The request body is not a GraphQL request in JSON."}]}`)
	}
	if got := s.post(secret, "", `mutation{apiKeyCreate(input:{name:"x",expiresInDays:"90"}){__typename}}`,
		nil); len(s.Keys()) != 1 {
		t.Errorf("a lifetime that is not a number created a key: %s", got.body)
	}
}

func TestOperation(t *testing.T) {
	// Tests inject faults into single operations. Some clients do not send an operationName.
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/graphql", `{"query":"query a{me{name}}","operationName":"apiKeysList"}`, "apiKeysList"},
		{"POST", "/graphql", `{"query":"query a{me{name}}","operationName":null}`, "me"},
		{"POST", "/graphql",
			`{"query":"mutation m($i: APIKeyCreateInput! = {name: \"{x\"}){alias: apiKeyCreate(input:$i){__typename}}"}`, "apiKeyCreate"},
		{"POST", "/graphql", `{"query":"# me {\n{...F} fragment F on Query{admin{apiKeys{list{id}}}}"}`, "admin"},
		{"POST", "/graphql", `{"query":"{...F} fragment F on Query{...F}"}`, "POST /graphql"},
		{"POST", "/graphql", `no JSON`, "POST /graphql"},
		{"POST", "/api/login", `{"operationName":"x"}`, "POST /api/login"},
		{"GET", "/config.json?x=1", ``, "GET /config.json"},
	} {
		request := httptest.NewRequest(c.method, c.path, nil)
		if got := quiltregistry.Operation(request, []byte(c.body)); got != c.want {
			t.Errorf("%s %s %s: got the operation %q, want %q", c.method, c.path, c.body, got, c.want)
		}
	}
}
