package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// formerStack is the name that earlier releases gave to the stack of a file that names none. It
// followed from the environment and the registry's host, so a change of either line deployed a
// second stack. Deployed stacks have these names: this function never changes.
func formerStack(environment, registry string) string {
	const longest = 100
	u, err := url.Parse(registry)
	if err != nil {
		return "quilt-rotate-" + environment
	}
	host := strings.ToLower(u.Host)
	name := "quilt-rotate-" + environment + "-" + strings.NewReplacer("-", "--", ".", "-", ":", "---", "[", "", "]",
		"").Replace(host)
	if len(name) <= longest {
		return name
	}
	digest := sha256.Sum256([]byte(host))
	return name[:longest-9] + "-" + hex.EncodeToString(digest[:4])
}
