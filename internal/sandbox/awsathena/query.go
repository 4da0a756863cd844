package awsathena

import (
	"crypto/sha256"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// The possible states of a query.
const (
	queued    = "QUEUED"
	running   = "RUNNING"
	succeeded = "SUCCEEDED"
	failed    = "FAILED"
	cancelled = "CANCELLED"
)

// A query is one execution. Each GetQueryExecution moves it to the next state, so that tests get
// all states without waiting.
type query struct {
	id, sql   string
	database  string
	digest    [sha256.Size]byte // of the request; detects a different request with the same token
	state     string
	seen      bool // GetQueryExecution has returned the state
	reason    string
	submitted time.Time
	completed time.Time
	result    *result
}

func (q *query) ended() bool { return q.state != queued && q.state != running }

// The limits of the Amazon Athena API Reference: characters of a token, and rows of a page.
const (
	minToken = 32
	maxToken = 128
	maxPage  = 1000
)

type startInput struct {
	QueryString           string
	ClientRequestToken    string
	WorkGroup             string
	QueryExecutionContext struct{ Catalog, Database string }
}

type startOutput struct{ QueryExecutionId string }

func (s *Server) start(in startInput, body []byte) (any, error) {
	switch n := len(in.ClientRequestToken); {
	case in.QueryString == "":
		return nil, invalid("MALFORMED_QUERY", "Query string is required.")
	case n < minToken || n > maxToken:
		return nil, invalid("INVALID_INPUT", "ClientRequestToken must have 32 to 128 characters.")
	case in.WorkGroup != s.options.Workgroup:
		return nil, invalid("WORKGROUP_NOT_FOUND", "WorkGroup is not found.")
	case s.switches.NoOutputLocation:
		return nil, invalid("INVALID_INPUT", "No output location provided. An output location is required either "+
			"through the Workgroup result configuration setting or as an API input.")
	}
	digest := sha256.Sum256(body)
	if former := s.byToken[in.ClientRequestToken]; former != nil {
		if former.digest != digest {
			return nil, invalid("IDEMPOTENT_PARAMETER_MISMATCH", "Idempotent parameters do not match")
		}
		return startOutput{former.id}, nil
	}
	q := &query{
		id: uuid.NewString(), sql: in.QueryString, database: in.QueryExecutionContext.Database, digest: digest,
		state: queued, submitted: s.options.Clock.Now(),
	}
	s.queries[q.id], s.byToken[in.ClientRequestToken] = q, q
	s.order = append(s.order, q)
	return startOutput{q.id}, nil
}

func (s *Server) find(id string) (*query, error) {
	q := s.queries[id]
	if q == nil {
		return nil, invalid("QUERY_EXECUTION_NOT_FOUND", "QueryExecution %s was not found", id)
	}
	return q, nil
}

type idInput struct{ QueryExecutionId string }

type noOutput struct{}

// stop cancels a query. It does nothing if the query has ended.
func (s *Server) stop(in idInput, _ []byte) (any, error) {
	q, err := s.find(in.QueryExecutionId)
	if err != nil {
		return nil, err
	}
	if !q.ended() {
		s.end(q, cancelled, "Query cancelled by user")
	}
	return noOutput{}, nil
}

func (s *Server) end(q *query, state, reason string) {
	q.state, q.reason, q.completed = state, reason, s.options.Clock.Now()
}

// advance moves a query to its next state if its current state has been returned.
func (s *Server) advance(q *query) {
	switch {
	case !q.seen:
		q.seen = true
	case q.state == queued:
		q.state = running
	case q.state == running && !s.switches.Stall:
		s.execute(q)
	}
}

func (s *Server) execute(q *query) {
	switch {
	case s.switches.FailWith != "":
		s.end(q, failed, s.switches.FailWith)
		return
	case s.switches.CancelWith != "":
		s.end(q, cancelled, s.switches.CancelWith)
		return
	}
	found, err := s.run(q)
	if err != nil {
		s.end(q, failed, err.Error())
		return
	}
	q.result = found
	s.end(q, succeeded, "")
}

// The token of a page is the number of its first row.
type resultsInput struct {
	QueryExecutionId string
	NextToken        string
	MaxResults       int
}

type resultsOutput struct {
	NextToken string `json:",omitempty"`
	ResultSet resultSet
}

type resultSet struct {
	Rows              []row
	ResultSetMetadata struct{ ColumnInfo []columnInfo }
}

type row struct{ Data []datum }

type datum struct {
	VarCharValue *string `json:",omitempty"`
}

type columnInfo struct{ CatalogName, Name, Label, Type string }

func (s *Server) results(in resultsInput, _ []byte) (any, error) {
	q, err := s.find(in.QueryExecutionId)
	switch {
	case err != nil:
		return nil, err
	case q.state == cancelled:
		return nil, invalid("RESULT_NOT_FOUND", "Could not find results")
	case q.state == failed:
		return nil, invalid("INVALID_QUERY_EXECUTION_STATE", "Query did not finish successfully. Final query state: %s",
			q.state)
	case !q.ended():
		return nil, invalid("INVALID_QUERY_EXECUTION_STATE", "Query has not yet finished. Current state: %s", q.state)
	case in.MaxResults < 0 || in.MaxResults > maxPage:
		return nil, invalid("INVALID_INPUT", "MaxResults is more than maximum allowed length %d.", maxPage)
	}
	size := in.MaxResults
	if size == 0 {
		size = maxPage
	}
	from := 0
	if in.NextToken != "" {
		if from, err = strconv.Atoi(in.NextToken); err != nil || from <= 0 || from >= len(q.result.rows) {
			return nil, invalid("INVALID_INPUT", "Invalid NextToken.")
		}
	}
	to := min(from+size, len(q.result.rows))
	var out resultsOutput
	out.ResultSet.Rows = q.result.rows[from:to]
	out.ResultSet.ResultSetMetadata.ColumnInfo = q.result.columns
	if to < len(q.result.rows) {
		out.NextToken = strconv.Itoa(to)
	}
	return out, nil
}
