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

// Catalog is the public configuration of a Quilt catalog (quilt: catalog/config-schema.json).
type Catalog struct {
	RegistryURL  string // valid for [NewClient]
	StackVersion string // of the platform; its form is not documented, and old stacks have none
}

// Discover reads a catalog's config.json, which is public. catalogURL may omit "https://". Use it
// for people who type an address. Programs must get the registry's URL itself, so that a catalog
// cannot change where keys are sent.
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
	var config struct {
		RegistryURL  string `json:"registryUrl"`
		StackVersion loose  `json:"stackVersion"`
	}
	problem := ""
	switch _, down := errors.AsType[*UnavailableError](err); {
	case down:
		return Catalog{}, err
	case err != nil:
		problem = "this is not a Quilt catalog, because it has no config.json: " + summary(err)
	case json.Unmarshal(got.body, &config) != nil:
		problem = "this is not a Quilt catalog, because its config.json is not valid"
	case config.RegistryURL == "":
		problem = "its config.json has no registryUrl"
	default:
		if config.RegistryURL, err = settings.RegistryURL(config.RegistryURL); err != nil {
			problem = "its config.json has no usable registryUrl: it " + err.Error()
		}
	}
	if problem != "" {
		return Catalog{}, &CatalogError{Where: c.at(r.operation), Problem: problem}
	}
	return Catalog{RegistryURL: config.RegistryURL, StackVersion: string(config.StackVersion)}, nil
}

// splitCatalogURL checks a catalog's URL with the rule for registries, except that the URL of a
// catalog may have a path.
func splitCatalogURL(text string) (origin, path string, err error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		origin, err = settings.RegistryURL(text) // its error does not contain the text
		return origin, "", err
	}
	path = strings.TrimRight(u.EscapedPath(), "/")
	u.Path, u.RawPath = "", ""
	origin, err = settings.RegistryURL(u.String())
	return origin, path, err
}
