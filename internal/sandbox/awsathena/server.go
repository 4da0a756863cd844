package awsathena

import (
	"net/http"
	"sync"

	"modernc.org/sqlite"

	"quilt-rotate/internal/sandbox/clock"
	"quilt-rotate/internal/sandbox/quiltregistry"
)

// The names that are used if Options does not set them.
const (
	DefaultDatabase  = "audittraildatabase-sandbox"
	DefaultWorkgroup = "sandbox-audit"
)

// A Trail is the source of the table's rows: a quiltregistry.Registry.
type Trail interface {
	Audit() []quiltregistry.Event
}

// Options are the settings of a Server. The zero value is valid and has an empty table.
type Options struct {
	Clock     *clock.Clock // real time if nil
	Trail     Trail        // nil: no events
	Database  string       // DefaultDatabase if empty
	Workgroup string       // DefaultWorkgroup if empty
}

// Switches change the format of the table and simulate failures of the service.
type Switches struct {
	// CamelCaseKeys keeps the member names in the table's JSON as they are in events. Otherwise
	// they are in lower case, as in the platform's sample rows. The documentation shows both.
	CamelCaseKeys bool
	// NoTable simulates a database without the table audit_trail.
	NoTable bool
	// NoOutputLocation simulates a workgroup without a location for results.
	NoOutputLocation bool
	// Stall keeps queries in the state RUNNING until they are stopped.
	Stall bool
	// FailWith makes queries fail with this reason, unless it is empty.
	FailWith string
	// CancelWith makes Athena cancel queries with this reason, unless it is empty. An example is a
	// limit of the workgroup.
	CancelWith string
}

// A Server is the service. It is safe for concurrent use.
type Server struct {
	options Options
	driver  *sqlite.Driver

	mu       sync.Mutex // guards the fields below
	switches Switches
	queries  map[string]*query // by id
	byToken  map[string]*query
	order    []*query
}

var _ http.Handler = (*Server)(nil)

// New returns a service without queries.
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

// SetSwitches calls change to edit the switches.
func (s *Server) SetSwitches(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

// A Query describes one query, for tests.
type Query struct{ ID, SQL, State string }

// Queries returns all queries that were started, in order.
func (s *Server) Queries() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Query
	for _, q := range s.order {
		all = append(all, Query{ID: q.id, SQL: q.sql, State: q.state})
	}
	return all
}
