// Package awslogs is Amazon CloudWatch Logs on loopback, as far as the functions' logs are read:
// FilterLogEvents and DescribeLogGroups over the log groups of the sandbox's Lambda functions,
// /aws/lambda/<function>.
//
// What it answers follows the Amazon CloudWatch Logs API Reference (2014-03-28) and, for patterns,
// "Filter pattern syntax" of its User Guide. Of the patterns it reads those of quilt-rotate: no
// pattern, terms, { $.a.b = "x" && $.c = 1 }, and { ($.a = "x") || ($.b = "y") }; it refuses every
// other one, and every parameter that it does not act on, so that no caller takes for filtered what
// is not.
//
// The lines have the time of the sandbox's clock, as if the service had received them then; so has
// the Date of each answer. Lines that are older than the retention of their group are not shown. It
// never checks a signature or a permission, and keeps no line itself.
package awslogs

import (
	"net/http"
	"sync"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/clock"
)

// Target is what stands before the operation in X-Amz-Target.
const Target = "Logs_20140328."

// maxEvents is how many events a page has, and how many the service looks through for one.
const maxEvents = 10000

// A Source keeps the logs: an [awslambda.Host].
type Source interface {
	LogGroups() []awslambda.LogGroup
	Logs(function string) []awslambda.LogLine
}

// Options are what a Server is made of.
type Options struct {
	Region  string
	Account string
	Source  Source
	Clock   *clock.Clock // nil: real time
	// Scan is how many events are looked through for one page; 10,000 if zero. A page can be empty
	// and not be the last, which the API Reference allows and a short Scan shows.
	Scan int
}

// A Server is the service of one account and region. It is safe for concurrent use.
type Server struct {
	options Options
	wire    http.Handler

	mu         sync.Mutex
	retentions map[string]int // days, by group
}

// Retain has a log group keep its lines for so many days; 0 is for ever, which a new group does.
func (s *Server) Retain(group string, days int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retentions[group] = days
}

func (s *Server) retention(group string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retentions[group]
}

// New is the service over a source of logs.
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

// Operation names the operation that a request asks for.
func Operation(r *http.Request, _ []byte) string { return awsjson.OperationOf(Target, r) }

// ServeHTTP is the service's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.wire.ServeHTTP(w, r) }

func invalidParameter(format string, args ...any) error {
	return awsjson.Faultf("InvalidParameterException", format, args...)
}
