package quilt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"quilt-rotate/internal/settings"
)

// AuthMode is how far a catalog offers a way to log in.
type AuthMode string

// The modes of a catalog (quilt: catalog/config-schema.json).
const (
	AuthEnabled    AuthMode = "ENABLED"
	AuthDisabled   AuthMode = "DISABLED"
	AuthSignInOnly AuthMode = "SIGN_IN_ONLY"
)

// Catalog is what a Quilt catalog says about its stack (quilt: catalog/config-schema.json).
type Catalog struct {
	RegistryURL  string   // fit for [NewClient]
	StackVersion string   // of the platform; its form is not documented, and old stacks give none
	PasswordAuth AuthMode // [AuthDisabled]: log in by single sign-on only
	SSOAuth      AuthMode
	SSOProviders []string
}

// Discover reads a catalog's config.json, which is public. catalogURL may leave out "https://". It is for people at a
// keyboard: what runs unattended is given the registry's URL itself, so that a catalog cannot move where keys are sent.
func Discover(ctx context.Context, catalogURL string, options Options) (Catalog, error) {
	if !strings.Contains(catalogURL, "://") {
		catalogURL = "https://" + catalogURL
	}
	origin, path, err := splitCatalogURL(catalogURL)
	if err != nil {
		return Catalog{}, fmt.Errorf("the catalog URL %w", err)
	}
	c, err := newClient(origin, path, options)
	if err != nil {
		return Catalog{}, err
	}
	r := &request{operation: "GET /config.json", method: http.MethodGet, path: "/config.json", limit: restLimit}
	got, err := c.do(ctx, r)
	if _, down := errors.AsType[*UnavailableError](err); down {
		return Catalog{}, err
	}
	if err != nil {
		return Catalog{}, c.notACatalog(r, "this is not a Quilt catalog, as it shows no config.json: "+summary(err))
	}
	var config struct {
		RegistryURL  string   `json:"registryUrl"`
		StackVersion loose    `json:"stackVersion"`
		PasswordAuth AuthMode `json:"passwordAuth"`
		SSOAuth      AuthMode `json:"ssoAuth"`
		SSOProviders loose    `json:"ssoProviders"`
	}
	if err := json.Unmarshal(got.body, &config); err != nil {
		return Catalog{}, c.notACatalog(r, "this is not a Quilt catalog: its config.json cannot be read")
	}
	if config.RegistryURL == "" {
		return Catalog{}, c.notACatalog(r, "its config.json names no registryUrl")
	}
	registryURL, err := settings.RegistryURL(config.RegistryURL)
	if err != nil {
		return Catalog{}, c.notACatalog(r, "its config.json names no usable registry: registryUrl "+err.Error())
	}
	return Catalog{
		RegistryURL:  registryURL,
		StackVersion: string(config.StackVersion),
		PasswordAuth: config.PasswordAuth,
		SSOAuth:      config.SSOAuth,
		SSOProviders: strings.Fields(string(config.SSOProviders)),
	}, nil
}

// splitCatalogURL holds a catalog to the rule of registries, but for the path below which it may be served.
func splitCatalogURL(text string) (origin, path string, err error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		origin, err = settings.RegistryURL(text) // whose error quotes nothing
		return origin, "", err
	}
	path = strings.TrimRight(u.EscapedPath(), "/")
	u.Path, u.RawPath = "", ""
	origin, err = settings.RegistryURL(u.String())
	return origin, path, err
}

func (c *Client) notACatalog(r *request, problem string) error {
	return &CatalogError{Where: c.at(r.operation), Problem: problem}
}
