package quiltregistry_test

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/quiltregistry"
)

// object returns the JSON object of an answer with status 200.
func (s *sandbox) object(r reply) map[string]any {
	s.Helper()
	var answer map[string]any
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil || r.status != 200 {
		s.Fatalf("got the answer %d %s (%v), want an object", r.status, r.body, err)
	}
	return answer
}

func TestLoginRequiresTheNameAndThePassword(t *testing.T) {
	// An issuing credential can be a password.
	s := start(t)
	s.AddUser(quiltregistry.User{Name: "sso", Email: "sso@example.com"})
	got := s.object(s.send("POST", "/api/login", `{"username":"bob","password":"secret of bob"}`))
	s.loggedIn(got["token"].(string), bob)
	if exp := time.Unix(int64(got["exp"].(float64)), 0); !exp.After(s.clock.Now()) {
		t.Errorf("exp is %v, which has passed", exp)
	}
	s.object(s.renew(got["refresh_token"].(string)))
	for _, body := range []string{
		`{"username":"bob","password":"wrong"}`, `{"username":"nobody","password":"secret of bob"}`, `{}`,
		`{"username":"sso","password":""}`,
	} {
		s.expect(s.send("POST", "/api/login", body), 401, `{"message":"login attempt failed"}`)
	}
	if got := s.send("POST", "/api/login", "username=bob"); got.status != 400 {
		t.Errorf("a form: got the status %d, want 400", got.status)
	}
	s.SetActive(bob, false)
	s.expect(s.send("POST", "/api/login", `{"username":"bob","password":"secret of bob"}`), 401,
		`{"message":"login attempt failed"}`)
}

func TestRefreshTokenCanBeUsedOnceWithin90Days(t *testing.T) {
	// A client must keep the new refresh token of each answer.
	s := start(t)
	first := s.object(s.send("POST", "/api/login", `{"username":"bob","password":"secret of bob"}`))["refresh_token"].(string)
	got := s.object(s.renew(first))
	s.loggedIn(got["access_token"].(string), bob)
	if expires := time.Unix(int64(got["expires_at"].(float64)), 0); !expires.After(s.clock.Now()) {
		t.Errorf("expires_at is %v, which has passed", expires)
	}
	s.expect(s.renew(first), 401, `{"message":"Token invalid."}`)
	second := got["refresh_token"].(string)
	s.clock.Advance(89 * 24 * time.Hour)
	third := s.object(s.renew(second))["refresh_token"].(string)
	s.clock.Advance(90 * 24 * time.Hour)
	s.expect(s.renew(third), 401, `{"message":"Token invalid."}`)
}

func TestRefreshTokenMustBeSentAsAForm(t *testing.T) {
	// The real registry refuses JSON. A refused request must not use up the token.
	s := start(t)
	refresh := s.object(s.send("POST", "/api/login",
		`{"username":"bob","password":"secret of bob"}`))["refresh_token"].(string)
	for _, c := range []struct{ body, media string }{
		{`{"refresh_token":"` + refresh + `"}`, "application/json"},
		{"refresh_token=" + refresh, "application/json"},
		{"refresh_token=" + refresh, ""},
		{"", "application/x-www-form-urlencoded"},
	} {
		if got := s.send("POST", "/api/token", c.body, "Content-Type", c.media); got.status != 400 {
			t.Errorf("%q as %q: got the status %d, want 400", c.body, c.media, got.status)
		}
	}
	s.object(s.renew(refresh))
}

func TestRefreshTokenOfAnInactiveUserIsRefused(t *testing.T) {
	s := start(t)
	refresh := s.object(s.send("POST", "/api/login",
		`{"username":"bob","password":"secret of bob"}`))["refresh_token"].(string)
	s.SetActive(bob, false)
	s.expect(s.renew(refresh), 401, `{"message":"Token invalid."}`)
}

func TestLoginPageShowsACode(t *testing.T) {
	// A person copies the code into a client. The code is a refresh token of the user.
	s := start(t)
	for path, email := range map[string]string{"/login": ann, "/login?user=bob": bob} {
		got := s.send("GET", path, "")
		code := regexp.MustCompile(`<pre id="code">(\w+)</pre>`).FindStringSubmatch(got.body)
		if got.status != 200 || code == nil || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
			t.Fatalf("%s: got the answer %d %s", path, got.status, got.body)
		}
		s.loggedIn(s.object(s.renew(code[1]))["access_token"].(string), email)
	}
	if got := s.send("GET", "/login?user=nobody", ""); got.status != 404 {
		t.Errorf("the page of an unknown user: got the status %d, want 404", got.status)
	}
}

func TestKeysAndTokensCanGetAWSCredentials(t *testing.T) {
	// Some clients check a key with this request.
	s := start(t)
	_, secret := s.MintKey(bob, "k", 90)
	for _, bearer := range []string{secret, s.login("bob")} {
		got := s.object(s.send("GET", "/api/auth/get_credentials", "", "Authorization", "Bearer "+bearer))
		for _, field := range []string{"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"} {
			if text, _ := got[field].(string); text == "" {
				t.Errorf("%s is %v, want a text", field, got[field])
			}
		}
	}
}

func TestConfigContainsTheRegistryURL(t *testing.T) {
	// The URL is the one in the options, or it has the host of the request. It has no trailing
	// slash.
	s := start(t)
	got := s.object(s.send("GET", "/config.json", ""))
	want := map[string]any{
		"registryUrl": s.url, "passwordAuth": "ENABLED", "ssoAuth": "ENABLED", "stackVersion": "1.68.0",
		"mode": "PRODUCT",
	}
	for field, value := range want {
		if got[field] != value {
			t.Errorf("%s is %v, want %v", field, got[field], value)
		}
	}
	withURL := quiltregistry.New(quiltregistry.Options{BaseURL: "http://127.0.0.1:8080/"})
	answer := httptest.NewRecorder()
	withURL.ServeHTTP(answer, httptest.NewRequest("GET", "/config.json", nil))
	if !strings.Contains(answer.Body.String(), `"registryUrl":"http://127.0.0.1:8080"`) {
		t.Errorf("got the configuration %s, want the URL of the options", answer.Body)
	}
}

func TestHealthcheckNeedsNoLogin(t *testing.T) {
	s := start(t)
	s.expect(s.send("GET", "/healthcheck", ""), 200, `{"status":"ok"}`)
}

func TestAddUserAgainChangesThePasswordButNotTheKeys(t *testing.T) {
	s := start(t)
	_, secret := s.MintKey(bob, "k", 90)
	s.AddUser(quiltregistry.User{Name: "bob", Email: bob, Admin: true, Password: "new"})
	s.expect(s.send("POST", "/api/login", `{"username":"bob","password":"secret of bob"}`), 401,
		`{"message":"login attempt failed"}`)
	s.object(s.send("POST", "/api/login", `{"username":"bob","password":"new"}`))
	if got := s.adminList(secret, nil); names(got) != "k" {
		t.Errorf("the new administrator gets the list %q, want k", names(got))
	}
}
