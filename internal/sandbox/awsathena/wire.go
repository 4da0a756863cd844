package awsathena

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	targetPrefix = "AmazonAthena."
	contentType  = "application/x-amz-json-1.1"
	maxBody      = 1 << 20
)

// A fault is an error of the service. The code of every error that a caller can cause is
// InvalidRequestException.
type fault struct {
	code, athenaCode, message string
}

func (f *fault) Error() string { return f.code + ": " + f.message }

func invalid(athenaCode, format string, args ...any) error {
	return &fault{"InvalidRequestException", athenaCode, fmt.Sprintf(format, args...)}
}

// Operation returns the name of the operation that a request calls.
func Operation(r *http.Request, _ []byte) string {
	return strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
}

type operation func(s *Server, body []byte) (any, error)

func of[In any](do func(*Server, In, []byte) (any, error)) operation {
	return func(s *Server, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, &fault{"SerializationException", "", "The request body is not the JSON that this operation " +
				"takes."}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return do(s, in, body)
	}
}

var operations = map[string]operation{
	"GetQueryExecution":   of((*Server).get),
	"GetQueryResults":     of((*Server).results),
	"StartQueryExecution": of((*Server).start),
	"StopQueryExecution":  of((*Server).stop),
}

// ServeHTTP serves the service's API in AWS JSON 1.1.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	output, err := s.serve(w, r)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	if err != nil {
		writeFault(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(output)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	do := operations[Operation(r, nil)]
	if do == nil || r.Method != http.MethodPost || r.URL.Path != "/" {
		return nil, &fault{code: "UnknownOperationException"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, &fault{"SerializationException", "", "The request body cannot be read."}
	}
	return do(s, body)
}

func writeFault(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var f *fault
	if !errors.As(err, &f) {
		status, f = http.StatusInternalServerError, &fault{code: "InternalServerException", message: err.Error()}
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Type    string `json:"__type"`
		Code    string `json:"AthenaErrorCode,omitempty"`
		Message string
	}{f.code, f.athenaCode, f.message})
}

type getOutput struct{ QueryExecution execution }

type execution struct {
	QueryExecutionId, Query, StatementType, WorkGroup string
	QueryExecutionContext                             struct{ Database string }
	Status                                            status
	Statistics                                        statistics
}

type status struct {
	State              string
	StateChangeReason  string `json:",omitempty"`
	SubmissionDateTime float64
	CompletionDateTime float64 `json:",omitempty"`
}

type statistics struct {
	DataScannedInBytes         int64
	TotalExecutionTimeInMillis int64
}

// seconds returns a time in the protocol's format.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func (s *Server) get(in idInput, _ []byte) (any, error) {
	q, err := s.find(in.QueryExecutionId)
	if err != nil {
		return nil, err
	}
	s.advance(q)
	e := execution{QueryExecutionId: q.id, Query: q.sql, StatementType: "DML", WorkGroup: s.options.Workgroup}
	e.QueryExecutionContext.Database = q.database
	e.Status = status{q.state, q.reason, seconds(q.submitted), seconds(q.completed)}
	if q.result != nil {
		e.Statistics.DataScannedInBytes = q.result.scanned
	}
	if !q.completed.IsZero() {
		e.Statistics.TotalExecutionTimeInMillis = q.completed.Sub(q.submitted).Milliseconds()
	}
	return getOutput{e}, nil
}
