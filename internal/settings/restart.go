package settings

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxTagValue is AWS's limit of a tag's value.
const maxTagValue = 256

const (
	mustServices = "must be ECS services as cluster/service, separated by spaces"
	mustBeShort  = "must be at most 256 characters, which is AWS's limit of a tag's value"
)

// A Service is an ECS service whose tasks read the key when they start.
type Service struct {
	Cluster string
	Service string
}

// String is the service in the form of [TagRestart].
func (s Service) String() string { return s.Cluster + "/" + s.Service }

// ecsName and maxECSName are what ECS accepts as the name of a cluster or a service. A tag's value can hold all of
// these characters.
var ecsName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]+$`) })

const maxECSName = 255

func (s Service) valid() bool {
	for _, name := range []string{s.Cluster, s.Service} {
		if len(name) > maxECSName || !ecsName().MatchString(name) || isKey(name) {
			return false
		}
	}
	return true
}

// ParseRestart reads the value of [TagRestart]: "cluster/service" as often as there are services, separated by spaces.
// A service that is named twice counts once; a blank value names none. The error says what the value must be and quotes
// nothing.
func ParseRestart(text string) ([]Service, error) {
	if len(text) > maxTagValue {
		return nil, problem(mustBeShort)
	}
	var services []Service
	for word := range strings.FieldsSeq(text) {
		cluster, name, _ := strings.Cut(word, "/")
		s := Service{cluster, name}
		if !s.valid() {
			return nil, problem(mustServices)
		}
		if !slices.Contains(services, s) {
			services = append(services, s)
		}
	}
	return services, nil
}

// FormatRestart is the value of [TagRestart] that names the services, in the form that [ParseRestart] reads. It fails
// if no value can name them.
func FormatRestart(services []Service) (string, error) {
	words := make([]string, 0, len(services))
	for _, s := range services {
		if !s.valid() {
			return "", problem(mustServices)
		}
		words = append(words, s.String())
	}
	text := strings.Join(words, " ")
	if len(text) > maxTagValue {
		return "", problem(mustBeShort)
	}
	return text, nil
}
