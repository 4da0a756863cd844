// Package awsecs is Amazon ECS on loopback, as far as consumers of a key are redeployed:
// UpdateService with forceNewDeployment, and DescribeServices, which shows how the rollout goes. A
// test declares the services, and says how each takes a deployment: at once, slowly, never, or with
// an error.
//
// What it answers follows the Amazon ECS API Reference (2014-11-13), and its Developer Guide for
// the rolling update and the deployment circuit breaker. There are no tasks: a service has a
// function of the test's in their place, which runs when a rollout completes, since until then the
// old tasks serve, with the old key.
//
// It relies on the sandbox's clock for the dates it gives. Time moves no rollout along: only
// answers of DescribeServices do, so that a test needs no sleep. It never checks a signature or a
// permission.
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

// Target is what stands before the operation in X-Amz-Target.
const Target = "AmazonEC2ContainerServiceV20141113."

// Options are the account that a Server plays.
type Options struct {
	Clock   *clock.Clock // real time if nil
	Region  string
	Account string
}

// A Server is the service of one account and region. It is safe for concurrent use.
type Server struct {
	options Options
	wire    http.Handler

	mu       sync.Mutex // never held while a test's function runs
	clusters map[string]map[string]*service
	made     int // deployments, for their ids
}

// New is a service without clusters.
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

// Operation names the operation that a request asks for.
func Operation(r *http.Request, _ []byte) string { return awsjson.OperationOf(Target, r) }

// ServeHTTP is the service's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.wire.ServeHTTP(w, r) }

func (s *Server) now() time.Time { return s.options.Clock.Now().Truncate(time.Millisecond) }

func (s *Server) arn(resource string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:%s", s.options.Region, s.options.Account, resource)
}

// cluster finds the services of a cluster, by its name or ARN; without either it is the cluster
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

// serviceName is the name in a service's ARN, of the long or the short form; a name is itself.
func (s *Server) serviceName(cluster, nameOrARN string) string {
	resource, isARN := strings.CutPrefix(nameOrARN, s.arn("service/"))
	if !isARN {
		return nameOrARN
	}
	return strings.TrimPrefix(resource, cluster+"/")
}
