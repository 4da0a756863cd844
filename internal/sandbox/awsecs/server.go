// Package awsecs is Amazon ECS on loopback, with the operations that restart services which use a
// key: UpdateService with forceNewDeployment, and DescribeServices, which shows the rollout. A test
// adds services, and sets how the rollout of each proceeds: at once, slowly, never, or with an
// error.
//
// The answers follow the Amazon ECS API Reference (2014-11-13), and its Developer Guide for the
// rolling update and the deployment circuit breaker. There are no tasks. Instead, a test can give a
// service a function that runs when a rollout completes. Until then, the old tasks run with the old
// key.
//
// Dates have the time of the sandbox's clock. A rollout does not advance with the time, but with
// the answers of DescribeServices, so that tests do not need to sleep. The package never checks
// signatures or permissions.
package awsecs

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/clock"
)

// Target is the prefix of the operation in the header X-Amz-Target.
const Target = "AmazonEC2ContainerServiceV20141113."

// Options configure a Server.
type Options struct {
	Clock   *clock.Clock // default: real time
	Region  string
	Account string
}

// A Server is the service of an account and region. It is safe for concurrent use.
type Server struct {
	options Options
	wire    http.Handler

	mu       sync.Mutex // never held while a function of a test runs
	clusters map[string]map[string]*service
	created  int // the number of deployments, for their ids
}

// New returns a Server without clusters.
func New(options Options) *Server {
	if options.Clock == nil {
		options.Clock = &clock.Clock{}
	}
	s := &Server{options: options, clusters: map[string]map[string]*service{}}
	s.wire = &awsjson.Service{Target: Target, Message: "message", Now: s.now, Operations: map[string]awsjson.Operation{
		"DescribeServices": awsjson.NewStrictOperation(s.describeServices),
		"UpdateService":    awsjson.NewStrictOperation(s.updateService),
	}}
	return s
}

// Operation returns the name of a request's operation.
func Operation(r *http.Request, _ []byte) string { return awsjson.OperationOf(Target, r) }

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.wire.ServeHTTP(w, r) }

func (s *Server) now() time.Time { return s.options.Clock.Now().Truncate(time.Millisecond) }

func (s *Server) arn(resource string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:%s", s.options.Region, s.options.Account, resource)
}

// cluster returns the services of a cluster, by its name or ARN. The default is the cluster
// "default".
func (s *Server) cluster(nameOrARN string) (name string, services map[string]*service, err error) {
	name = strings.TrimPrefix(nameOrARN, s.arn("cluster/"))
	if name == "" {
		name = "default"
	}
	services, ok := s.clusters[name]
	if !ok {
		return "", nil, awsjson.Faultf("ClusterNotFoundException", "Cluster not found.")
	}
	return name, services, nil
}

// serviceName returns the name of a service, which can be given as a name, a long ARN or a short
// ARN.
func (s *Server) serviceName(cluster, nameOrARN string) string {
	resource, isARN := strings.CutPrefix(nameOrARN, s.arn("service/"))
	if !isARN {
		return nameOrARN
	}
	return strings.TrimPrefix(resource, cluster+"/")
}
