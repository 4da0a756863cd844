package quiltregistry

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// A refusal is an error that is the answer to a whole request. Its JSON format depends on the
// endpoint.
type refusal struct {
	status  int
	message string
}

var notLoggedIn = &refusal{http.StatusUnauthorized, "Not logged in"}

func (r *refusal) Error() string { return r.message }

func (r refusal) write(w http.ResponseWriter, request *http.Request) {
	message := map[string]string{"message": r.message}
	if request.URL.Path == graphQLPath {
		writeJSON(w, r.status, map[string]any{"errors": []any{message}})
		return
	}
	writeJSON(w, r.status, message)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (r *Registry) serveLogin(w http.ResponseWriter, request *http.Request) {
	c := callOf(request.Context())
	var given struct{ Username, Password string }
	if err := json.Unmarshal(c.body, &given); err != nil {
		refusal{http.StatusBadRequest, "The request body is not JSON."}.write(w, request)
		return
	}
	if c.switches.SSOOnly {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "SSO login required"})
		return
	}
	granted, ok := c.login(given.Username, given.Password)
	if !ok {
		refusal{http.StatusUnauthorized, "login attempt failed"}.write(w, request)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"refresh_token": granted.refresh, "token": granted.access,
		"exp": granted.expires.Unix()})
}

func (r *Registry) serveToken(w http.ResponseWriter, request *http.Request) {
	c := callOf(request.Context())
	media, _, _ := mime.ParseMediaType(request.Header.Get("Content-Type"))
	form, err := url.ParseQuery(string(c.body))
	if media != "application/x-www-form-urlencoded" || err != nil || !form.Has("refresh_token") {
		refusal{http.StatusBadRequest, "The request body is not a form with a refresh_token."}.write(w, request)
		return
	}
	granted, ok := c.renew(form.Get("refresh_token"))
	if !ok {
		refusal{http.StatusUnauthorized, "Token invalid."}.write(w, request)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"refresh_token": granted.refresh, "access_token": granted.access, "expires_at": granted.expires.Unix(),
	})
}

// serveCredentials returns AWS credentials that give no access.
func (r *Registry) serveCredentials(w http.ResponseWriter, request *http.Request) {
	c := callOf(request.Context())
	refused := c.authenticate(request)
	if refused == nil && c.session == nil {
		refused = notLoggedIn
	}
	if refused != nil {
		refused.write(w, request)
		return
	}
	r.mu.Lock()
	c.record(Event{EventName: "Auth.GetAWSCredentials", UserIdentity: c.session.identity})
	r.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{
		"AccessKeyId": "ASIASANDBOX" + rand.Text()[:9], "SecretAccessKey": rand.Text(),
		"SessionToken": rand.Text(), "Expiration": c.now.Add(time.Hour).Format(time.RFC3339),
	})
}

// serveConfig serves the catalog's configuration, from which clients read the registry's address
// and version.
func (r *Registry) serveConfig(w http.ResponseWriter, request *http.Request) {
	c := callOf(request.Context())
	password := "ENABLED"
	if c.switches.SSOOnly {
		password = "DISABLED"
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"region": "us-east-1", "mode": "PRODUCT", "alwaysRequiresAuth": true, "noDownload": false,
		"registryUrl":  cmp.Or(r.baseURL, "http://"+request.Host),
		"passwordAuth": password, "ssoAuth": "ENABLED", "ssoProviders": "okta",
		"stackVersion": cmp.Or(c.switches.PlatformVersion, "1.68.0"),
	})
}

// serveCode serves the page that shows the code with which a client logs in. The parameter user is
// the name of the user. The default is the first user.
func (r *Registry) serveCode(w http.ResponseWriter, request *http.Request) {
	c := callOf(request.Context())
	code, owner, ok := c.code(request.URL.Query().Get("user"))
	if !ok {
		http.Error(w, "no such user", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html>\n<title>Quilt sandbox</title>\n<p>Code for "+
		"%s:</p>\n<pre id=\"code\">%s</pre>\n",
		html.EscapeString(owner), html.EscapeString(code))
}

func (r *Registry) serveHealth(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}
