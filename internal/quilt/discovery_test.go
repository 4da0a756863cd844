package quilt_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/quilt"
)

func TestDiscover(t *testing.T) {
	catalog := newFake(t,
		ok(`{"region":"us-east-1","registryUrl":"https://registry.example.com/","stackVersion":"1.67.0","passwordAuth":"DISABLED",`+
			`"ssoAuth":"ENABLED","ssoProviders":"okta azure","mode":"PRODUCT"}`))
	got, err := quilt.Discover(t.Context(), catalog.URL+"/", quilt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := quilt.Catalog{RegistryURL: "https://registry.example.com", StackVersion: "1.67.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("catalog (-want +got):\n%s", diff)
	}
	if asked := catalog.requests(); len(asked) != 1 || asked[0].Method != "GET" || asked[0].Path != "/config.json" ||
		asked[0].Authorization != "" {
		t.Errorf("requests %+v, want one GET of /config.json without a credential", asked)
	}
}

func TestNoCatalog(t *testing.T) {
	// The error says that the address is not a catalog. A registry URL that is not safe is refused.
	for _, test := range []struct {
		name, body string
		code       int
		want, says string
	}{
		{"a page", `<!doctype html>`, 200, "CatalogError", "not a Quilt catalog"},
		{"nothing there", `<Error/>`, 404, "CatalogError", "not a Quilt catalog"},
		{"a closed bucket", `<Error/>`, 403, "CatalogError", "not a Quilt catalog"},
		{"no registry", `{"region":"us-east-1"}`, 200, "CatalogError", "has no registryUrl"},
		{"a plain registry", `{"registryUrl":"http://registry.example.com"}`, 200, "CatalogError", "must be https"},
		{"a password", `{"registryUrl":"https://a:hunter22@registry.example.com"}`, 200, "CatalogError",
			"user or password"},
		{"a path", `{"registryUrl":"https://registry.example.com/hunter22"}`, 200, "CatalogError", "no path"},
		{"too large", strings.Repeat(" ", 1<<20) + "{}", 200, "CatalogError", "larger than"},
		{"busy", ``, 503, "UnavailableError", "503"},
	} {
		catalog := newFake(t, status(test.code, test.body))
		_, err := quilt.Discover(t.Context(), catalog.URL, quilt.Options{MaxAttempts: 1})
		if err == nil || kind(err) != test.want || !strings.Contains(err.Error(), test.says) ||
			strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: %v, want a %s that says %q", test.name, err, test.want, test.says)
		}
	}
}

func TestCatalogRedirects(t *testing.T) {
	// A redirect is followed only to the same host.
	moved := newFake(t, nil)
	moved.answer = ok(`{"registryUrl":"https://registry.example.com"}`)
	sends := newFake(t, redirect(moved.URL+"/config.json"))
	if _, err := quilt.Discover(t.Context(), sends.URL, quilt.Options{}); err == nil || !strings.Contains(err.Error(),
		moved.URL) || len(moved.requests()) != 0 {
		t.Errorf("%v after %d requests to the other host, want an error that names it, and none", err,
			len(moved.requests()))
	}
	var asked int
	_, err := quilt.Discover(t.Context(), "catalog.example.com",
		quilt.Options{Transport: transport(func(*http.Request) (*http.Response, error) {
			asked++
			return reply(302, ``, "Location", "http://catalog.example.com/config.json"), nil
		})})
	if err == nil || asked != 1 {
		t.Errorf("to plain http: %v after %d requests, want an error after one", err, asked)
	}
	within := newFake(t, nil)
	within.answer = func(w http.ResponseWriter, r received) {
		if r.Path == "/config.json" {
			redirect("/assets/config.json")(w, r)
			return
		}
		ok(`{"registryUrl":"https://registry.example.com"}`)(w, r)
	}
	if got, err := quilt.Discover(t.Context(), within.URL, quilt.Options{}); err != nil ||
		got.RegistryURL != "https://registry.example.com" {
		t.Errorf("within the host: %+v, %v", got, err)
	}
}

func TestCatalogURL(t *testing.T) {
	// A host without a scheme means https, and a URL with a password is not quoted.
	for catalogURL, want := range map[string]string{
		"catalog.example.com":                      "https://catalog.example.com/config.json",
		" https://catalog.example.com/quilt%2F7/ ": "https://catalog.example.com/quilt%2F7/config.json",
	} {
		var asked string
		_, err := quilt.Discover(t.Context(), catalogURL,
			quilt.Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.String()
				return reply(200, `{"registryUrl":"https://registry.example.com"}`), nil
			})})
		if err != nil || asked != want {
			t.Errorf("%q: asked %q, %v; want %q", catalogURL, asked, err, want)
		}
	}
	for _, refused := range []string{"https://a:hunter22@catalog.example.com", "https://a:hunter22@catalog example.com",
		"http://catalog.example.com/hunter22"} {
		if _, err := quilt.Discover(t.Context(), refused, quilt.Options{}); err == nil || strings.Contains(err.Error(),
			"hunter22") {
			t.Errorf("%q: %v, want an error that does not quote the URL", refused, err)
		}
	}
}
