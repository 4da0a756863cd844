package quiltregistry_test

import (
	"testing"
	"time"
)

func TestMeIsNullWithoutCredentials(t *testing.T) {
	// The status of the answer is 200, so a client must check whether me is null.
	s := start(t)
	s.expect(s.me(""), 200, `{"data":{"me":null}}`)
	s.expect(s.post("", "apiKeysList", listQuery, nil), 200, `{"data":{"me":null}}`)
	notLoggedIn := `{"errors":[{"message":"Not logged in"}]}`
	input := map[string]any{"input": map[string]any{"name": "k", "expiresInDays": 1}}
	s.expect(s.post("", "apiKeyCreate", createQuery, input), 401, notLoggedIn)
	s.expect(s.post("", "apiKeyRevoke", revokeQuery, map[string]any{"id": "x"}), 401, notLoggedIn)
	s.expect(s.send("GET", "/api/auth/get_credentials", ""), 401, `{"message":"Not logged in"}`)
}

func TestInvalidBearerTokenIsRefusedWith401(t *testing.T) {
	s := start(t)
	revokedID, revokedSecret := s.MintKey(bob, "revoked", 90)
	s.Delete(revokedID)
	_, expired := s.MintKey(bob, "expired", 0)
	_, inactive := s.MintKey(bob, "inactive", 90)
	token := s.login("bob")
	s.SetActive(bob, false)
	for name, bearer := range map[string]string{
		"unknown key": "qk_unknown", "unknown token": "nonsense", "revoked": revokedSecret, "expired": expired,
		"key of an inactive user": inactive, "token of an inactive user": token, "prefix alone": "qk_",
	} {
		s.expect(s.me(bearer), 401, tokenInvalid)
		s.expect(s.send("GET", "/api/auth/get_credentials", "", "Authorization", "Bearer "+bearer), 401,
			`{"message":"Token invalid."}`)
		if s.Valid(bearer) {
			t.Errorf("%s is valid", name)
		}
	}
	s.SetActive(bob, true)
	s.loggedIn(inactive, bob)
	s.loggedIn(token, bob)
}

func TestBearerSchemeIsOptional(t *testing.T) {
	// The catalog sends the token of a GraphQL request without the scheme.
	s := start(t)
	_, secret := s.MintKey(bob, "k", 90)
	for _, bearer := range []string{secret, s.login("bob")} {
		for _, header := range []string{bearer, "Bearer " + bearer, "bearer  " + bearer} {
			got := s.send("POST", "/graphql", `{"query":"{me{email}}"}`, "Authorization", header)
			s.expect(got, 200, `{"data":{"me":{"email":"bob@example.com"}}}`)
		}
	}
	s.expect(s.send("POST", "/graphql", `{"query":"{me{email}}"}`, "Authorization", "Bearer"), 401, tokenInvalid)
}

func TestMeReturnsTheUser(t *testing.T) {
	// The functions check the owner of a key with this query.
	s := start(t)
	_, secret := s.MintKey(ann, "k", 90)
	s.expect(s.me(secret), 200, `{"data":{"me":{"name":"ann","email":"ann@example.com","isAdmin":true,`+
		`"role":{"name":"ReadWriteQuiltBucket"},"roles":[{"name":"ReadWriteQuiltBucket"}]}}}`)
}

func TestAccessTokenExpires(t *testing.T) {
	s := start(t)
	token := s.login("bob")
	s.clock.Advance(time.Hour - time.Minute)
	s.loggedIn(token, bob)
	s.clock.Advance(time.Minute)
	s.refused(token)
}
