package awsathena

import (
	"net/http"
	"sync"

	"modernc.org/sqlite"

	"quilt-rotate/internal/sandbox/clock"
	"quilt-rotate/internal/sandbox/quiltregistry"
)

// Names that the sandbox has where Options say nothing.
const (
	DefaultDatabase  = "audittraildatabase-sandbox"
	DefaultWorkgroup = "sandbox-audit"
)

// A Trail is where the table's rows come from: a quiltregistry.Registry.
type Trail interface {
	Audit() []quiltregistry.Event
}

// Options are the settings of a Server. The zero value works, with an empty table.
type Options struct {
	Clock     *clock.Clock // real time if nil
	Trail     Trail        // nil: no events
	Database  string       // DefaultDatabase if empty
	Workgroup string       // DefaultWorkgroup if empty
}

// Switches choose among what the table can look like, and make the service misbehave.
type Switches struct {
	// CamelCaseKeys keeps the names inside the table's JSON as events have them; otherwise they are
	// in lower case, as in the platform's sample rows. The documentation shows both.
	CamelCaseKeys bool
	// NoTable is a database without the table audit_trail.
	NoTable bool
	// NoOutputLocation is a workgroup that has no place for results.
	NoOutputLocation bool
	// Stall leaves queries in the state RUNNING until they are stopped.
	Stall bool
	// FailWith, unless empty, is the reason that queries fail for.
	FailWith string
	// CancelWith, unless empty, is the reason that Athena itself stops queries for, such as a
	// workgroup's limit.
	CancelWith string
}

// A Server is the service. It is safe for concurrent use.
type Server struct {
	options Options
	driver  *sqlite.Driver

	mu       sync.Mutex // guards everything below
	switches Switches
	queries  map[string]*query // by id
	byToken  map[string]*query
	order    []*query
}

var _ http.Handler = (*Server)(nil)

// New is a service without queries.
func New(options Options) *Server {
	if options.Clock == nil {
		options.Clock = &clock.Clock{}
	}
	if options.Database == "" {
		options.Database = DefaultDatabase
	}
	if options.Workgroup == "" {
		options.Workgroup = DefaultWorkgroup
	}
	s := &Server{options: options, queries: map[string]*query{}, byToken: map[string]*query{}}
	s.driver = newDriver(options.Clock)
	return s
}

// SetSwitches lets change edit the switches.
func (s *Server) SetSwitches(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

// A Query is what became of one query, for tests to hold their expectations against.
type Query struct{ ID, SQL, State string }

// Queries are all that were started, in their order.
func (s *Server) Queries() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Query
	for _, q := range s.order {
		all = append(all, Query{ID: q.id, SQL: q.sql, State: q.state})
	}
	return all
}
