package settings

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

const (
	mustServices = "must be ECS services as cluster/service, separated by spaces"
	mustBeShort  = "must be at most 256 characters, which is AWS's limit of a tag's value"
)

// A Service is an ECS service whose tasks read the key when they start.
type Service struct{ Cluster, Service string }

// String returns the service in the form of [TagRestart].
func (s Service) String() string { return s.Cluster + "/" + s.Service }

// ecsService matches the names that ECS accepts for a cluster and a service.
var ecsService = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+$`) })

// ParseRestart parses the value of [TagRestart]: "cluster/service" for each service, separated by
// spaces. A service that is named twice is returned once. A blank value names no service. The error
// says what the value must be, and does not contain it.
func ParseRestart(text string) (services []Service, err error) {
	if len(text) > 256 {
		return nil, problem(mustBeShort)
	}
	for word := range strings.FieldsSeq(text) {
		cluster, name, _ := strings.Cut(word, "/")
		if !ecsService().MatchString(word) || isKey(cluster) || isKey(name) {
			return nil, problem(mustServices)
		}
		if s := (Service{cluster, name}); !slices.Contains(services, s) {
			services = append(services, s)
		}
	}
	return services, nil
}

// FormatRestart returns the value of [TagRestart] for the services, in the form that [ParseRestart]
// parses. It fails if the tag cannot hold them.
func FormatRestart(services []Service) (string, error) {
	var words []string
	for _, s := range services {
		if !ecsService().MatchString(s.String()) {
			return "", problem(mustServices)
		}
		words = append(words, s.String())
	}
	text := strings.Join(words, " ")
	if _, err := ParseRestart(text); err != nil {
		return "", err
	}
	return text, nil
}
