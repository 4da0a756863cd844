package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/cli/login"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
)

// registry is one registry that secrets have their keys from.
type registry struct {
	*visit
	url, host string
	client    *quilt.Client
	private   bool   // a function trusts a private authority for it
	down      string // why nothing can be asked of it; "": it answers
	knowledge quilt.Knowledge
}

var registryChecks = []check[*registry]{
	{"reachable", nil, (*registry).reach},
	{"platform", []string{"reachable"}, (*registry).platform},
}

var catalogChecks = []check[*visit]{
	{"catalog", nil, (*visit).readCatalog},
}

// readCatalog finds the registry that the options name.
func (v *visit) readCatalog(ctx context.Context) finding {
	catalog, err := quilt.Discover(ctx, v.Catalog, v.Client)
	if err != nil {
		return broken(err, "")
	}
	v.catalog, v.given = &catalog, catalog.RegistryURL
	return ok("its registry is %s", catalog.RegistryURL)
}

// registriesOf are the registries of the secrets, and the given one, in the order of their URLs.
func (v *visit) registriesOf(patients []*patient) []*registry {
	for _, p := range patients {
		if p.secret != nil && p.url == "" && p.noFunction() { // else a key would go where somebody typed, and not where it was created
			if p.url, _ = settings.RegistryOf(p.secret.Tags); p.url == "" {
				p.url, _ = settings.RegistryURL(v.given)
			}
		}
		if p.url != "" {
			r := v.registry(p.url)
			r.private = r.private || p.function.Environment[settings.EnvCABundle] != ""
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

func (v *visit) registry(at string) *registry {
	if r, ok := v.registries[at]; ok {
		return r
	}
	r := &registry{visit: v, url: at, host: at}
	if u, err := url.Parse(at); err == nil {
		r.host = u.Host
	}
	v.registries[at] = r
	return r
}

// reach connects as every request will: names, routes, TLS. It sends no credential.
func (r *registry) reach(ctx context.Context) finding {
	client, err := quilt.NewClient(r.url, r.Client)
	if err == nil {
		r.knowledge, err = client.Reach(ctx)
	}
	if err != nil {
		r.down = "the registry " + r.host + " cannot be asked"
		if untrusted, isTLS := r.untrusted(err); isTLS {
			return untrusted
		}
		return broken(err, "this is the way from here; the functions may have another: see their logs")
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

// untrusted names what is wrong with a certificate.
func (r *registry) untrusted(err error) (finding, bool) {
	if authority, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		issuer := "an authority"
		if authority.Cert != nil && authority.Cert.Issuer.String() != "" {
			issuer = authority.Cert.Issuer.String()
		}
		fix := "give the authority's certificates in PEM: --ca-bundle FILE, and caBundle in the stack's configuration for the functions"
		if r.private {
			fix = "give the CA bundle that the functions have: --ca-bundle FILE"
		}
		return failure(fix, "its certificate is signed by %s, which is not trusted here", issuer), true
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return failure("check the URL: the name must be one of the certificate's", "its certificate is for other names than %s", name.Host), true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired && invalid.Cert != nil {
			return failure("have whoever runs the registry renew it (or set this machine's clock)",
				"its certificate is valid from %s to %s only", invalid.Cert.NotBefore.UTC().Format(time.DateOnly), invalid.Cert.NotAfter.UTC().Format(time.DateOnly)), true
		}
		return failure("have whoever runs the registry replace it", "its certificate is not valid: %s", invalid), true
	}
	return finding{}, false
}

const tooOld = "have the Quilt stack upgraded to 1.67 or newer by whoever runs it"

// platform takes the version from the catalog, if there is one; otherwise the registry's schema shows whether it has API keys.
func (r *registry) platform(context.Context) finding {
	if r.catalog != nil && r.catalog.RegistryURL == r.url && r.catalog.StackVersion != "" {
		if err := login.CheckPlatform(*r.catalog); err != nil {
			return failure(tooOld, "%s, says the catalog, and API keys came with 1.67", r.catalog.StackVersion)
		}
		return ok("%s, says the catalog", r.catalog.StackVersion)
	}
	switch r.knowledge {
	case quilt.KnowsKeys:
		return ok("1.67 or newer: its schema has API keys (--catalog shows the version)")
	case quilt.NoKeys:
		return failure(tooOld, "older than 1.67: its schema has no API keys")
	}
	return skip("it does not say it without a login; give --catalog")
}
