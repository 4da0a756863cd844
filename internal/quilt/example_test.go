package quilt_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
)

// exampleRegistry is a registry on loopback with one answer.
func exampleRegistry(code int, answer string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	}))
}

// Logging in with a key proves that it works and shows whose it is. With its id, it also shows how
// long the key is valid.
func ExampleSession_Login() {
	registry := exampleRegistry(200, meJSON(`,"apiKey":`+keyJSON))
	defer registry.Close()

	client, err := quilt.NewClient(registry.URL, quilt.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := apikey.Parse("qk_exampleexampleexample")
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := client.WithKey(key).Login(context.Background(), "key-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(login.Email, login.Key.Status, login.Key.ExpiresAt.Format("2006-01-02"))
	// Output: svc@example.com ACTIVE 2027-02-20
}

// A new key's secret is shown once; printing it shows its fingerprint.
func ExampleSession_CreateKey() {
	registry := exampleRegistry(200, created("qk_newnewnewnewnewnewnew"))
	defer registry.Close()

	client, _ := quilt.NewClient(registry.URL, quilt.Options{})
	key, _ := apikey.Parse("qk_exampleexampleexample")
	made, err := client.WithKey(key).CreateKey(context.Background(), "svc-prod-20261122", 90)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(made.ID, made.Secret)
	// Output: key-1 qk_new...new
}

// A definite "no" can be distinguished from everything that is temporary.
func ExampleRefused() {
	registry := exampleRegistry(401, `{"errors":[{"message":"Token invalid."}]}`)
	defer registry.Close()

	client, _ := quilt.NewClient(registry.URL, quilt.Options{})
	key, _ := apikey.Parse("qk_exampleexampleexample")
	_, err := client.WithKey(key).Me(context.Background())
	fmt.Println(quilt.Refused(err))
	fmt.Println(strings.ReplaceAll(err.Error(), client.Host(), "registry.example.com"))
	// Output:
	// true
	// me at registry.example.com: the registry does not accept the credential: "Token invalid."; check that the credential belongs to this registry and is neither expired nor revoked
}

// A catalog's address is enough to find its registry.
func ExampleDiscover() {
	web := exampleRegistry(200, `{"registryUrl":"https://registry.example.com","stackVersion":"1.67.0"}`)
	defer web.Close()

	catalog, err := quilt.Discover(context.Background(), web.URL, quilt.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(catalog.RegistryURL, catalog.StackVersion)
	// Output: https://registry.example.com 1.67.0
}
