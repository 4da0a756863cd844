package config

import (
	"regexp"
	"strings"
)

// arn is an Amazon Resource Name: arn:partition:service:region:account:resource.
type arn struct{ partition, service, region, account, resource string }

func parseARN(text string) (arn, bool) {
	p := strings.SplitN(text, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" || strings.ContainsAny(text, " \t\n") {
		return arn{}, false
	}
	return arn{p[1], p[2], p[3], p[4], p[5]}, true
}

// secretResource is the end of a secret's ARN: the service adds six characters to the name (Secrets Manager user guide, "Secret name").
var secretResource = regexp.MustCompile(`^secret:([A-Za-z0-9/_+=.@-]+)-[A-Za-z0-9]{6}$`)

func secretNameOf(text string) string {
	a, _ := parseARN(text)
	if m := secretResource.FindStringSubmatch(a.resource); m != nil {
		return m[1]
	}
	return ""
}
