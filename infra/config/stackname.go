package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// formerStack returns the name that earlier releases gave to the stack if the file had none. The
// name contains the environment and the registry's host, so a change of these lines deployed a
// second stack. Never change this function: deployed stacks have these names.
func formerStack(environment, registry string) string {
	const longest = 100
	u, err := url.Parse(registry)
	if err != nil {
		return "quilt-rotate-" + environment
	}
	host := strings.ToLower(u.Host)
	safe := strings.NewReplacer("-", "--", ".", "-", ":", "---", "[", "", "]", "")
	name := "quilt-rotate-" + environment + "-" + safe.Replace(host)
	if len(name) <= longest {
		return name
	}
	digest := sha256.Sum256([]byte(host))
	return name[:longest-9] + "-" + hex.EncodeToString(digest[:4])
}
