package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"quilt-rotate/internal/cli/login"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
)

// registry is one registry that the keys of secrets belong to.
type registry struct {
	*examination
	url, host string
	client    *quilt.Client
	down      string // why the registry cannot be reached; "": it answers
	knowledge quilt.KeySupport
}

var registryChecks = []check[*registry]{
	{"reachable", nil, (*registry).reach},
	{"platform", []string{"reachable"}, (*registry).platform},
}

var catalogChecks = []check[*examination]{
	{"catalog", nil, (*examination).readCatalog},
}

// readCatalog finds the registry that the options name.
func (v *examination) readCatalog(ctx context.Context) finding {
	catalog, err := quilt.Discover(ctx, v.Catalog, v.Client)
	if err != nil {
		return broken(err, "")
	}
	v.catalog, v.given = &catalog, catalog.RegistryURL
	return ok("its registry is %s", catalog.RegistryURL)
}

// registriesOf returns the registries of the secrets and the given registry, in the order of their
// URLs.
func (v *examination) registriesOf(secrets []*examined) []*registry {
	for _, p := range secrets {
		// with a function, the key is sent only to the registry that the function names
		if p.secret != nil && p.url == "" && p.noFunction() {
			if p.url, _ = settings.RegistryOf(p.secret.Tags); p.url == "" {
				p.url, _ = settings.RegistryURL(v.given)
			}
		}
		if p.url != "" {
			v.registry(p.url)
		}
	}
	if plain, err := settings.RegistryURL(v.given); err == nil {
		v.registry(plain)
	}
	list := make([]*registry, 0, len(v.registries))
	for _, name := range slices.Sorted(maps.Keys(v.registries)) {
		list = append(list, v.registries[name])
	}
	return list
}

func (v *examination) registry(at string) {
	host := at
	if u, err := url.Parse(at); err == nil {
		host = u.Host
	}
	v.registries[at] = &registry{examination: v, url: at, host: host}
}

// reach connects in the same way as every request: DNS, network, TLS. It sends no credential.
func (r *registry) reach(ctx context.Context) finding {
	client, err := quilt.NewClient(r.url, r.Client)
	if err == nil {
		r.knowledge, err = client.Reach(ctx)
	}
	if err != nil {
		r.down = "the registry " + r.host + " cannot be reached"
		if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return failure("if a private authority signed its certificate: --ca-bundle FILE, and caBundle in the "+
				"configuration of the stack for the functions; otherwise check the URL, or replace the certificate",
				"its certificate is not trusted here: %s", untrusted.Err)
		}
		return broken(err, "check the network of this machine; the functions may use another network: see their logs")
	}
	r.client = client
	switch {
	case strings.HasPrefix(r.url, "http:"):
		return ok("answers, over plain http on this machine")
	case len(r.Client.CABundle) > 0:
		return ok("answers, TLS verified with the CA bundle")
	}
	return ok("answers, TLS verified")
}

const tooOld = "ask the administrator to upgrade the Quilt stack to 1.67 or newer"

// platform checks the version that the catalog shows. Without a catalog, it checks whether the
// registry's schema has API keys.
func (r *registry) platform(context.Context) finding {
	if r.catalog != nil && r.catalog.RegistryURL == r.url && r.catalog.StackVersion != "" {
		if err := login.CheckPlatform(*r.catalog); err != nil {
			return failure(tooOld, "the catalog reports the version %s, and API keys need 1.67", r.catalog.StackVersion)
		}
		return ok("version %s, from the catalog", r.catalog.StackVersion)
	}
	switch r.knowledge {
	case quilt.KeysSupported:
		return ok("1.67 or newer: its schema has API keys (--catalog shows the version)")
	case quilt.KeysUnsupported:
		return failure(tooOld, "older than 1.67: its schema has no API keys")
	}
	return skip("the version is not known without a login; give --catalog")
}
