package quiltregistry_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAuditEventsShowTheUserAndTheKey(t *testing.T) {
	// The queries in the runbook read the event names and the keys. No event may contain a secret.
	s := start(t)
	keyID, secret := s.MintKey(bob, "worker", 90)
	k := s.create(secret, "next", 30)
	s.revoke(secret, k.APIKey.ID, nil)
	third := s.create(s.login("bob"), "third", 30)
	s.revoke(secret, nil, third.Secret)
	s.post(s.login("ann"), "adminApiKeyRevoke", adminRevoke, map[string]any{"id": keyID})

	events := s.Audit()
	if len(events) != 7 {
		t.Fatalf("got %d events, want 7: %v", len(events), events)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.EventName+" "+e.UserIdentity.UserName+" "+e.UserIdentity.SessionContext.Auth.Type)
		if e.EventSource != "QuiltServer" || e.EventType != "QuiltApiCall" || e.EventID == "" || e.RequestID == "" ||
			e.SourceIPAddress != "127.0.0.1" {
			t.Errorf("got the event %+v", e)
		}
	}
	want := "APIKeys.Create bob api_key, APIKeys.Revoke bob api_key, Auth.Login bob interactive, APIKeys.Create bob " +
		"interactive, APIKeys.Revoke bob api_key, Auth.Login ann interactive, APIKeys.Admin.Revoke ann interactive"
	if all := strings.Join(got, ", "); all != want {
		t.Errorf("got the events %s\nwant %s", all, want)
	}
	create := events[0]
	if auth := create.UserIdentity.SessionContext.Auth; auth.KeyID != keyID || auth.KeyName != "worker" ||
		auth.KeyFingerprint == "" {
		t.Errorf("got the key %+v, want %s", auth, keyID)
	}
	text, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{secret, k.Secret, third.Secret, "secret of bob"} {
		if strings.Contains(string(text), hidden) {
			t.Error("the audit trail contains a secret")
		}
	}
	for _, part := range []string{
		`"requestParameters":{"input":{"expiresInDays":30,"name":"next"}},"responseElements":{"apiKey":{`,
		`"id":"` + k.APIKey.ID + `"`, `"secret":"***"`, `"userAgent":"test/1"`,
		`"graphql_path":"Mutation.apiKeyCreate"`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the audit trail does not contain %s: %s", part, text)
		}
	}
	if p := events[4].RequestParameters; p["secret"] != "***" || p["id"] != nil {
		t.Errorf("the revocation by secret has the parameters %v", p)
	}
}

func TestAuditRecordsOnlyFailedKeyLogins(t *testing.T) {
	// The error code says whether the key or its user is not valid.
	s := start(t)
	_, good := s.MintKey(bob, "good", 90)
	_, expired := s.MintKey(bob, "expired", 0)
	_, inactive := s.MintKey(ann, "inactive", 90)
	s.SetActive(ann, false)
	s.loggedIn(good, bob)
	for _, bearer := range []string{"qk_short", expired, inactive} {
		s.refused(bearer)
	}
	s.refused("no key")
	codes := []string{"INVALID", "EXPIRED", "USER_INACTIVE"}
	events := s.Audit()
	if len(events) != len(codes) {
		t.Fatalf("got %d events, want %d", len(events), len(codes))
	}
	for i, e := range events {
		if e.EventName != "Auth.APIKey" || e.ErrorCode != codes[i] || e.UserIdentity != nil {
			t.Errorf("event %d: got %s %s of %v, want Auth.APIKey %s", i, e.EventName, e.ErrorCode,
				e.UserIdentity, codes[i])
		}
	}
	if got := events[0].RequestParameters["fingerprint"]; got != "qk_..." {
		t.Errorf("the fingerprint of a short secret is %v, want qk_...", got)
	}
	k, _ := s.KeyBySecret(expired)
	if got := events[1].RequestParameters["fingerprint"]; got != k.Fingerprint {
		t.Errorf("got the fingerprint %v, want %s", got, k.Fingerprint)
	}
}

func TestAuditRecordsRefusedMutationsAndLogins(t *testing.T) {
	s := start(t)
	token := s.login("bob")
	s.create(token, "", 90)
	s.revoke(token, "no-such", nil)
	s.send("POST", "/api/login", `{"username":"bob","password":"wrong"}`)
	s.renew("no-such")
	s.send("GET", "/api/auth/get_credentials", "", "Authorization", token)
	var got []string
	for _, e := range s.Audit() {
		got = append(got, e.EventName+" "+e.ErrorCode)
	}
	want := "Auth.Login , APIKeys.Create ValidationError, APIKeys.Revoke NotFound, Auth.Login INVALID, " +
		"Auth.RefreshToken INVALID, Auth.GetAWSCredentials "
	if all := strings.Join(got, ", "); all != want {
		t.Errorf("got the events %s\nwant %s", all, want)
	}
}
