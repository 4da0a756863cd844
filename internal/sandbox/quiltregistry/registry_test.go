package quiltregistry_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/clock"
	"quilt-rotate/internal/sandbox/quiltregistry"
)

const (
	ann = "ann@example.com" // an administrator; the password is "secret of ann"
	bob = "bob@example.com" // not an administrator; the password is "secret of bob"
)

// The GraphQL documents that quilt3 8.0.0 sends.
const (
	keyFields   = `{id name fingerprint createdAt expiresAt lastUsedAt status userEmail}`
	errorFields = `...on InvalidInput{errors{path message name context}}`
	createQuery = `mutation apiKeyCreate($input: APIKeyCreateInput!){apiKeyCreate(input:$input){__typename ...on APIKeyCreated{apiKey` + keyFields + ` secret} ` + errorFields + `}}`
	revokeQuery = `mutation apiKeyRevoke($id: ID, $secret: String){apiKeyRevoke(id:$id, secret:$secret){__typename ` +
		errorFields + `}}`
	listQuery   = `query apiKeysList($name: String, $fingerprint: String, $status: APIKeyStatus){me{apiKeys(name:$name, fingerprint:$fingerprint, status:$status)` + keyFields + `}}`
	getQuery    = `query apiKeyGet($id: ID!){me{apiKey(id:$id)` + keyFields + `}}`
	adminList   = `query adminApiKeysList($email: String, $name: String, $fingerprint: String, $status: APIKeyStatus){admin{apiKeys{list(email:$email, name:$name, fingerprint:$fingerprint, status:$status)` + keyFields + `}}}`
	adminGet    = `query adminApiKeyGet($id: ID!){admin{apiKeys{get(id:$id)` + keyFields + `}}}`
	adminRevoke = `mutation adminApiKeyRevoke($id: ID!){admin{apiKeys{revoke(id:$id){__typename ` + errorFields +
		`}}}}`
	meQuery      = `query me{me{name email isAdmin role{name} roles{name}}}`
	tokenInvalid = `{"errors":[{"message":"Token invalid."}]}`
)

type sandbox struct {
	testing.TB
	*quiltregistry.Registry
	clock *clock.Clock
	url   string
}

// start serves a registry with an administrator and another user on loopback.
func start(t testing.TB) *sandbox {
	t.Helper()
	c := &clock.Clock{}
	r := quiltregistry.New(quiltregistry.Options{Clock: c})
	r.AddUser(quiltregistry.User{Name: "ann", Email: ann, Admin: true, Password: "secret of ann"})
	r.AddUser(quiltregistry.User{Name: "bob", Email: bob, Password: "secret of bob"})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return &sandbox{t, r, c, server.URL}
}

type reply struct {
	status int
	header http.Header
	body   string
}

// send sends a request. headers are names and values in turn.
func (s *sandbox) send(method, path, body string, headers ...string) reply {
	s.Helper()
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, strings.TrimSpace(string(answer))}
}

// post sends a GraphQL request as quilt3 does. If bearer is empty, it sends no Authorization
// header.
func (s *sandbox) post(bearer, operation, query string, variables any) reply {
	s.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "operationName": operation, "variables": variables})
	if err != nil {
		s.Fatal(err)
	}
	headers := []string{"Content-Type", "application/json", "Accept", "application/json", "User-Agent", "test/1"}
	if bearer != "" {
		headers = append(headers, "Authorization", "Bearer "+bearer)
	}
	return s.send("POST", "/graphql", string(body), headers...)
}

func (s *sandbox) me(bearer string) reply {
	s.Helper()
	return s.post(bearer, "me", meQuery, nil)
}

// expect checks that the status and the body are equal to those given.
func (s *sandbox) expect(got reply, status int, body string) {
	s.Helper()
	if got.status != status || got.body != body {
		s.Fatalf("got the answer %d %s, want %d %s", got.status, got.body, status, body)
	}
}

// loggedIn checks that a login with this bearer token succeeds as this user.
func (s *sandbox) loggedIn(bearer, email string) {
	s.Helper()
	if got := s.me(bearer); got.status != 200 || !strings.Contains(got.body, `"email":"`+email+`"`) {
		s.Fatalf("login as %s: got the answer %d %s", email, got.status, got.body)
	}
}

func (s *sandbox) refused(bearer string) {
	s.Helper()
	s.expect(s.me(bearer), 401, tokenInvalid)
}

type wireKey struct {
	ID, Name, Fingerprint, Status, UserEmail string
	CreatedAt, ExpiresAt                     time.Time
	LastUsedAt                               *time.Time
}

type wireError struct {
	Path          *string
	Message, Name string
}

// decode returns the data of an answer with status 200 and without errors.
func decode[T any](s *sandbox, r reply) T {
	s.Helper()
	var answer struct {
		Data   T
		Errors []any
	}
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil || r.status != 200 || len(answer.Errors) > 0 {
		s.Fatalf("got the answer %d %s (%v), want data", r.status, r.body, err)
	}
	return answer.Data
}

type created struct {
	Typename string `json:"__typename"`
	APIKey   wireKey
	Secret   string
	Errors   []wireError
}

func (s *sandbox) create(bearer, name string, days int) created {
	s.Helper()
	variables := map[string]any{"input": map[string]any{"name": name, "expiresInDays": days}}
	got := s.post(bearer, "apiKeyCreate", createQuery, variables)
	return decode[struct{ APIKeyCreate created }](s, got).APIKeyCreate
}

type revoked struct {
	Typename string `json:"__typename"`
	Errors   []wireError
}

func (s *sandbox) revoke(bearer string, id, secret any) revoked {
	s.Helper()
	got := s.post(bearer, "apiKeyRevoke", revokeQuery, map[string]any{"id": id, "secret": secret})
	return decode[struct{ APIKeyRevoke revoked }](s, got).APIKeyRevoke
}

func (s *sandbox) list(bearer string, variables map[string]any) []wireKey {
	s.Helper()
	got := s.post(bearer, "apiKeysList", listQuery, variables)
	return decode[struct{ Me struct{ APIKeys []wireKey } }](s, got).Me.APIKeys
}

func (s *sandbox) get(bearer, id string) *wireKey {
	s.Helper()
	got := s.post(bearer, "apiKeyGet", getQuery, map[string]any{"id": id})
	return decode[struct{ Me struct{ APIKey *wireKey } }](s, got).Me.APIKey
}

func (s *sandbox) adminList(bearer string, variables map[string]any) []wireKey {
	s.Helper()
	type data struct {
		Admin struct{ APIKeys struct{ List []wireKey } }
	}
	return decode[data](s, s.post(bearer, "adminApiKeysList", adminList, variables)).Admin.APIKeys.List
}

func (s *sandbox) adminGet(bearer, id string) *wireKey {
	s.Helper()
	type data struct {
		Admin struct{ APIKeys struct{ Get *wireKey } }
	}
	return decode[data](s, s.post(bearer, "adminApiKeyGet", adminGet, map[string]any{"id": id})).Admin.APIKeys.Get
}

func names(keys []wireKey) string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.Name
	}
	return strings.Join(all, " ")
}

// login logs in with a password and returns the access token.
func (s *sandbox) login(name string) string {
	s.Helper()
	got := s.send("POST", "/api/login", fmt.Sprintf(`{"username":%q,"password":"secret of %s"}`, name, name))
	var answer struct{ Token string }
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != 200 {
		s.Fatalf("login: got the answer %d %s", got.status, got.body)
	}
	return answer.Token
}

func (s *sandbox) renew(refresh string) reply {
	s.Helper()
	return s.send("POST", "/api/token", url.Values{"refresh_token": {refresh}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded")
}

func TestEveryAnswerHasTheRegistrysTimeInItsDateHeader(t *testing.T) {
	// Callers read the registry's time from the Date header. By default, net/http sets the real time.
	s := start(t)
	s.clock.Advance(90 * 24 * time.Hour)
	s.SetSwitches(func(w *quiltregistry.Switches) { w.Skew = -5 * time.Hour })
	big := strings.Repeat("x", 2<<20)
	for name, got := range map[string]reply{
		"me":           s.me(""),
		"401":          s.me("qk_unknown"),
		"404":          s.send("GET", "/nothing", ""),
		"405":          s.send("GET", "/graphql", ""),
		"400":          s.send("POST", "/graphql", "not JSON"),
		"too large":    s.send("POST", "/graphql", big),
		"login":        s.send("POST", "/api/login", "{}"),
		"token":        s.send("POST", "/api/token", "{}"),
		"credentials":  s.send("GET", "/api/auth/get_credentials", ""),
		"config":       s.send("GET", "/config.json", ""),
		"code":         s.send("GET", "/login", ""),
		"healthcheck":  s.send("GET", "/healthcheck", ""),
		"unknown user": s.send("GET", "/login?user=nobody", ""),
	} {
		date, err := http.ParseTime(got.header.Get("Date"))
		if err != nil {
			t.Fatalf("%s: Date %q: %v", name, got.header.Get("Date"), err)
		}
		if off := s.clock.Now().Add(-5 * time.Hour).Sub(date); off < 0 || off > time.Minute {
			t.Errorf("%s: Date is %v behind the registry's clock", name, off)
		}
	}
}

func TestRequestsAreCountedByOperationKeyAndUser(t *testing.T) {
	// Tests limit the number of requests of a step.
	s := start(t)
	id, secret := s.MintKey(bob, "one", 90)
	s.loggedIn(secret, bob)
	s.loggedIn(s.login("bob"), bob)
	s.refused("qk_unknown")
	s.me("")
	s.list(secret, nil)
	counts := s.Requests()
	for operation, want := range map[string]int{"me": 4, "apiKeysList": 1, "POST /api/login": 1} {
		if got := counts.ByOperation[operation]; got != want {
			t.Errorf("%s: got %d requests, want %d", operation, got, want)
		}
	}
	if counts.ByKey[id] != 2 || counts.ByUser[bob] != 3 || len(counts.ByKey) != 1 || len(counts.ByUser) != 1 {
		t.Errorf("got the counts %v by key, %v by user", counts.ByKey, counts.ByUser)
	}
	counts.ByKey[id] = 99
	if s.Requests().ByKey[id] != 2 {
		t.Error("Requests does not return a copy of the counts")
	}
}

func TestConcurrentRequestsLoseNoUpdate(t *testing.T) {
	// The registry must also hold no lock while a function of the caller runs.
	s := start(t)
	s.SetSwitches(func(w *quiltregistry.Switches) {
		w.ListOmits = func(quiltregistry.APIKey) bool { s.Keys(); return false }
	})
	_, secret := s.MintKey(ann, "worker", 90)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := range 10 {
				k := s.create(secret, fmt.Sprintf("%d-%d", worker, i), 1)
				s.loggedIn(k.Secret, ann)
				s.list(secret, nil)
				s.SetSwitches(func(w *quiltregistry.Switches) { w.MaxKeysPerUser += 1000 })
				s.Valid(k.Secret)
				s.Audit()
				if i%2 == 0 {
					s.revoke(secret, k.APIKey.ID, nil)
				}
			}
		})
	}
	wait.Wait()
	if got := len(s.Keys()); got != 1+8*5 {
		t.Errorf("got %d keys, want %d", got, 1+8*5)
	}
	if got := s.Requests().ByOperation["apiKeyCreate"]; got != 80 {
		t.Errorf("got %d requests of apiKeyCreate, want 80", got)
	}
	s.SetSwitches(func(w *quiltregistry.Switches) {
		if w.MaxKeysPerUser != 80_000 {
			t.Errorf("after 80 additions of 1000, the switch is %d, want 80000", w.MaxKeysPerUser)
		}
	})
}
