package settings

import (
	"net/netip"
	"net/url"
	"strings"
)

const mustURL = "must be a full URL like https://registry.example.com"

// RegistryURL checks the URL of a registry, to which credentials are sent, and gives its plain form: scheme and host. Every part of
// quilt-rotate takes the URLs that this takes, and no others. The error says what the URL must be, and never quotes it: there may be a
// password in it.
func RegistryURL(text string) (string, error) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return "", problem(mustURL)
	case u.User != nil:
		return "", problem("must have no user or password in it: credentials are never part of the URL")
	case strings.ContainsAny(text, "?#"):
		return "", problem("must have no query or fragment")
	case strings.Trim(u.Path, "/") != "":
		return "", problem("must have no path")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return "", problem("must be https; plain http is for loopback hosts only")
	}
	return u.Scheme + "://" + u.Host, nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
