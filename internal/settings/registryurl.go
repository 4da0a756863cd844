package settings

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

const mustURL = "must be a full URL like https://registry.example.com"

// RegistryURL checks the URL of a registry and returns its normal form: scheme, host and port, in
// lower case, without the scheme's default port and the final dot of a DNS name. Two URLs name the
// same registry if their normal forms are equal. Credentials are sent only to URLs that pass this
// check. The error says what the URL must be. It does not contain the URL, which may have a
// password.
func RegistryURL(text string) (string, error) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return "", problem(mustURL)
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }):
		return "", problem("must have a host of ASCII characters: write an international name in its xn-- form")
	case u.User != nil:
		return "", problem("must have no user or password: credentials are never part of the URL")
	case strings.ContainsAny(text, "?#"):
		return "", problem("must have no query or fragment")
	case strings.Trim(u.Path, "/") != "":
		return "", problem("must have no path")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return "", problem("must be https; http is allowed for loopback hosts only")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), ":"+defaultPorts[u.Scheme])
	host = strings.Replace(strings.TrimSuffix(host, ":")+":", ".:", ":", 1) // the final dot of a full DNS name
	return u.Scheme + "://" + strings.TrimSuffix(host, ":"), nil
}

// RegistryOf returns the registry in a secret's tag, in its normal form, or "" without the tag. It
// fails with [*Invalid].
func RegistryOf(tags map[string]string) (url string, err error) {
	r := &reader{lookup: Tags(tags)}
	read(r, TagRegistry, &url, RegistryURL)
	return url, r.result("the secret's tags")
}

var defaultPorts = map[string]string{"https": "443", "http": "80"}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
