// Package awslogs is Amazon CloudWatch Logs on loopback, with the operations that read the logs of
// functions: FilterLogEvents and DescribeLogGroups. It has the log groups of the sandbox's Lambda
// functions, /aws/lambda/<function>.
//
// The answers follow the Amazon CloudWatch Logs API Reference (2014-03-28), and for patterns
// "Filter pattern syntax" in its User Guide. It supports the patterns that quilt-rotate uses: no
// pattern, terms, { $.a.b = "x" && $.c = 1 }, and { ($.a = "x") || ($.b = "y") }. It refuses other
// patterns and all parameters that it does not support. Otherwise a caller could get events that
// are not filtered.
//
// The lines and the Date header of answers have the time of the sandbox's clock. Lines that are
// older than the retention of their group are not shown. The package never checks signatures or
// permissions, and it stores no lines.
package awslogs

import (
	"net/http"
	"sync"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/clock"
)

// Target is the prefix of the operation in the header X-Amz-Target.
const Target = "Logs_20140328."

// maxEvents is the maximum number of events in a page. It is also the number of events that the
// service searches for a page.
const maxEvents = 10000

// A Source has the logs of functions. [awslambda.Host] implements it.
type Source interface {
	LogGroups() []awslambda.LogGroup
	Logs(function string) []awslambda.LogLine
}

// Options configure a Server.
type Options struct {
	Region  string
	Account string
	Source  Source
	Clock   *clock.Clock // default: real time
	// Scan is the number of events that are searched for a page. The default is 10,000. With a
	// small number, a page can be empty although it is not the last, as the API Reference allows.
	Scan int
}

// A Server is the service of an account and region. It is safe for concurrent use.
type Server struct {
	options Options
	wire    http.Handler

	mu         sync.Mutex
	retentions map[string]int // in days, by log group
}

// SetRetention sets for how many days a log group keeps its lines. 0 means no limit, which is the
// default.
func (s *Server) SetRetention(group string, days int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retentions[group] = days
}

func (s *Server) retention(group string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retentions[group]
}

// New returns a Server.
func New(options Options) *Server {
	if options.Scan == 0 {
		options.Scan = maxEvents
	}
	if options.Clock == nil {
		options.Clock = &clock.Clock{}
	}
	s := &Server{options: options, retentions: map[string]int{}}
	s.wire = &awsjson.Service{Target: Target, Message: "message", Now: options.Clock.Now,
		Operations: map[string]awsjson.Operation{
			"DescribeLogGroups": awsjson.NewStrictOperation(s.describeLogGroups),
			"FilterLogEvents":   awsjson.NewStrictOperation(s.filterLogEvents),
		}}
	return s
}

// Operation returns the name of a request's operation.
func Operation(r *http.Request, _ []byte) string { return awsjson.OperationOf(Target, r) }

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.wire.ServeHTTP(w, r) }

func invalidParameter(format string, args ...any) error {
	return awsjson.Faultf("InvalidParameterException", format, args...)
}
