package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// maxStackName leaves room for the endings of the names that are made of it (CloudFormation takes 128 characters).
const maxStackName = 100

// defaultStack is the name of a stack that the file does not name. It carries the registry's host and port: a second registry with a stack of the same name would take the
// place of the first one's keys. No two hosts get one name: a label neither begins nor ends with a hyphen (RFC 1123, 2.1).
func defaultStack(environment, registry string) string {
	name := "quilt-rotate-" + environment
	u, err := url.Parse(registry)
	if err != nil || u.Host == "" {
		return name // a fault of its own
	}
	host := strings.ToLower(u.Host)
	name += "-" + strings.NewReplacer("-", "--", ".", "-", ":", "---", "[", "", "]", "").Replace(host)
	if len(name) <= maxStackName {
		return name
	}
	digest := sha256.Sum256([]byte(host))
	return name[:maxStackName-9] + "-" + hex.EncodeToString(digest[:4])
}
