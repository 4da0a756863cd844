// Package awsssm implements GetParametersByPath of AWS Systems Manager Parameter Store on loopback.
// It is used to find the ARNs that a stack publishes.
//
// It follows the AWS Systems Manager API Reference (2014-11-06). Tests add the parameters. The
// package never checks a signature or a permission.
package awsssm

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/clock"
)

// Target is the prefix of the operation in X-Amz-Target.
const Target = "AmazonSSM."

// maxResults is the maximum number of parameters in one response.
const maxResults = 10

// A Server is the service of one account and region. It is safe for concurrent use.
type Server struct {
	Clock *clock.Clock

	mu         sync.Mutex
	parameters map[string]string
}

// Operation returns the name of the operation that a request calls.
func Operation(r *http.Request, _ []byte) string { return awsjson.OperationOf(Target, r) }

// Put adds or replaces a parameter.
func (s *Server) Put(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parameters == nil {
		s.parameters = map[string]string{}
	}
	s.parameters[name] = value
}

// Delete removes a parameter.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parameters, name)
}

// ServeHTTP serves the service's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(&awsjson.Service{Target: Target, Message: "message", Now: s.Clock.Now, Operations: map[string]awsjson.Operation{
		"GetParametersByPath": awsjson.NewStrictOperation(s.getParametersByPath),
	}}).ServeHTTP(w, r)
}

type byPathInput struct {
	Path, NextToken string
	Recursive       bool
	MaxResults      int
}

type parameter struct{ Name, Type, Value string }

type byPathOutput struct {
	Parameters []parameter
	NextToken  string `json:",omitempty"`
}

func (s *Server) getParametersByPath(in byPathInput) (byPathOutput, error) {
	out := byPathOutput{Parameters: []parameter{}}
	if !strings.HasPrefix(in.Path, "/") || in.MaxResults > maxResults {
		return out, awsjson.Faultf("ValidationException", "The path must begin with /, and MaxResults must be at "+
			"most %d.", maxResults)
	}
	from, _ := strconv.Atoi(in.NextToken)
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.parameters))
	for i := from; i < len(names); i++ {
		relative, ok := strings.CutPrefix(names[i], strings.TrimSuffix(in.Path, "/")+"/")
		if !ok || !in.Recursive && strings.Contains(relative, "/") {
			continue
		}
		if len(out.Parameters) == maxResults {
			out.NextToken = strconv.Itoa(i)
			break
		}
		out.Parameters = append(out.Parameters, parameter{names[i], "String", s.parameters[names[i]]})
	}
	return out, nil
}
