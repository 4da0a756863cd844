package awsathena_test

import (
	"errors"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/sandbox/awsathena"
)

// A service is the server under test and an SDK client for it.
type service struct {
	testing.TB
	*awsathena.Server
	client *athena.Client
}

func start(t testing.TB) *service {
	t.Helper()
	server := awsathena.New(awsathena.Options{})
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return &service{t, server, athena.New(athena.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(listener.URL), HTTPClient: listener.Client(),
		Retryer:     aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "unused", ""),
	})}
}

const token = "00000000-0000-4000-8000-000000000000"

func (s *service) startQuery(token, sql string) (string, error) {
	out, err := s.client.StartQueryExecution(s.Context(), &athena.StartQueryExecutionInput{
		QueryString: aws.String(sql), ClientRequestToken: aws.String(token),
		WorkGroup:             aws.String(awsathena.DefaultWorkgroup),
		QueryExecutionContext: &types.QueryExecutionContext{Database: aws.String(awsathena.DefaultDatabase)},
	})
	if err != nil {
		return "", err
	}
	return *out.QueryExecutionId, nil
}

// waitForEnd gets the state of a query until the query has ended. It returns the states.
func (s *service) waitForEnd(id string) (states []string, reason string) {
	s.Helper()
	for range 10 {
		out, err := s.client.GetQueryExecution(s.Context(),
			&athena.GetQueryExecutionInput{QueryExecutionId: aws.String(id)})
		if err != nil {
			s.Fatal(err)
		}
		status := out.QueryExecution.Status
		states = append(states, string(status.State))
		if status.State != types.QueryExecutionStateQueued && status.State != types.QueryExecutionStateRunning {
			return states, aws.ToString(status.StateChangeReason)
		}
	}
	s.Fatalf("the query has not ended, its states are %v", states)
	return nil, ""
}

// values runs a query and returns its rows. The first row has the names of the columns. NULL is
// returned as the text NULL.
func (s *service) values(sql string) string {
	s.Helper()
	id, err := s.startQuery(token, sql)
	if err != nil {
		s.Fatal(err)
	}
	if states, reason := s.waitForEnd(id); states[len(states)-1] != "SUCCEEDED" {
		s.Fatalf("%s: %s", states[len(states)-1], reason)
	}
	out, err := s.client.GetQueryResults(s.Context(), &athena.GetQueryResultsInput{QueryExecutionId: aws.String(id)})
	if err != nil {
		s.Fatal(err)
	}
	var rows []string
	for _, row := range out.ResultSet.Rows {
		var texts []string
		for _, d := range row.Data {
			if d.VarCharValue == nil {
				texts = append(texts, "NULL")
				continue
			}
			texts = append(texts, *d.VarCharValue)
		}
		rows = append(rows, strings.Join(texts, "|"))
	}
	return strings.Join(rows, "\n")
}

func (s *service) refused(err error, message string) {
	s.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "InvalidRequestException" || !strings.Contains(api.ErrorMessage(),
		message) {
		s.Errorf("the error is %v, want an InvalidRequestException with %q", err, message)
	}
}

func TestQueryPassesThroughItsStates(t *testing.T) {
	// A query is queued and running before it ends, and has no results until then.
	s := start(t)
	id, err := s.startQuery(token, "SELECT 1 AS one")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.GetQueryResults(t.Context(), &athena.GetQueryResultsInput{QueryExecutionId: &id})
	s.refused(err, "Query has not yet finished. Current state: QUEUED")
	if states, _ := s.waitForEnd(id); strings.Join(states, " ") != "QUEUED RUNNING SUCCEEDED" {
		t.Errorf("the states are %v", states)
	}
	if _, err := s.client.StopQueryExecution(t.Context(),
		&athena.StopQueryExecutionInput{QueryExecutionId: &id}); err != nil {
		t.Errorf("StopQueryExecution of a query that has ended: %v", err)
	}
	if q := s.Queries(); len(q) != 1 || q[0].State != "SUCCEEDED" {
		t.Errorf("the queries are %v", q)
	}
}

func TestStoppedQueryHasNoResults(t *testing.T) {
	// After Ctrl-C, a stopped query must stay stopped.
	s := start(t)
	id, err := s.startQuery(token, "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.StopQueryExecution(t.Context(),
		&athena.StopQueryExecutionInput{QueryExecutionId: &id}); err != nil {
		t.Fatal(err)
	}
	if states, reason := s.waitForEnd(id); len(states) != 1 || states[0] != "CANCELLED" || reason == "" {
		t.Errorf("the states are %v, the reason is %q", states, reason)
	}
	_, err = s.client.GetQueryResults(t.Context(), &athena.GetQueryResultsInput{QueryExecutionId: &id})
	s.refused(err, "Could not find results")
}

func TestTokenBelongsToOneQuery(t *testing.T) {
	// After a lost response, the client repeats the request with the same token. It must get the
	// same query.
	s := start(t)
	first, err := s.startQuery(token, "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.startQuery(token, "SELECT 1"); err != nil || again != first {
		t.Errorf("the repeated request returned %s and %v, want %s", again, err, first)
	}
	_, err = s.startQuery(token, "SELECT 2")
	s.refused(err, "Idempotent parameters do not match")
	_, err = s.startQuery("short", "SELECT 1")
	s.refused(err, "32 to 128")
	if n := len(s.Queries()); n != 1 {
		t.Errorf("%d queries were started, want 1", n)
	}
}

func TestFunctionsReturnWhatTrinoReturns(t *testing.T) {
	// Other tests rely on these functions, including letter case and NULL.
	for expression, want := range map[string]string{
		`json_extract_scalar('{"a":{"B":"x"}}', '$.a.B')`:                          "x",
		`json_extract_scalar('{"a":{"B":"x"}}', '$.a.b')`:                          "NULL",
		`json_extract_scalar('{"a":{"B":"x"}}', '$.a')`:                            "NULL",
		`json_extract_scalar('{"a":12}', '$.a')`:                                   "12",
		`json_extract_scalar('{"a":true}', '$.a')`:                                 "true",
		`json_extract_scalar('{"a":null}', '$.a')`:                                 "NULL",
		`json_extract_scalar('no JSON', '$.a')`:                                    "NULL",
		`json_extract_scalar(NULL, '$.a')`:                                         "NULL",
		`date_format('2026-11-24 01:02:03.456', '%Y/%m/%d')`:                       "2026/11/24",
		`date_format('2026-11-24 01:02:03.456', '%Y-%m-%dT%H:%i:%sZ')`:             "2026-11-24T01:02:03Z",
		`date_format(date_add('day', -30, '2026-03-01 00:00:00.000'), '%Y/%m/%d')`: "2026/01/30",
		`date_format(NULL, '%Y')`:                                                  "NULL",
		`lower('Auth.APIKey')`:                                                     "auth.apikey",
	} {
		t.Run(expression, func(t *testing.T) {
			if got := start(t).values("SELECT " + expression + " AS x"); got != "x\n"+want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestReasonsOfFailedQueries(t *testing.T) {
	// The command reads the reason that Athena gives.
	for sql, want := range map[string]string{
		"SELECT 1 FROM absent_table": "TABLE_NOT_FOUND: line 1:1: Table " +
			"'awsdatacatalog.audittraildatabase-sandbox.absent_table' does not exist",
		"SELECT absent FROM audit_trail": "COLUMN_NOT_FOUND: line 1:1: Column 'absent' cannot be resolved",
		"SELEC":                          "SYNTAX_ERROR: line 1:1: ",
		"SELECT date_format('2026-11-24 01:02:03.456', '%q')": "SYNTAX_ERROR: line 1:1: ",
	} {
		s := start(t)
		id, err := s.startQuery(token, sql)
		if err != nil {
			t.Fatal(err)
		}
		if states, reason := s.waitForEnd(id); states[len(states)-1] != "FAILED" || !strings.HasPrefix(reason, want) {
			t.Errorf("%s: the states are %v, the reason is %q, want FAILED with %q", sql, states, reason, want)
		}
	}
}

func TestDeployedPackagesHaveNoSQLite(t *testing.T) {
	// The deployed functions must not contain this package and SQLite.
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "quilt-rotate/functions/...",
		"quilt-rotate/internal/quilt/trail/...")
	list.Dir = "../../.."
	packages, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if !strings.Contains(string(packages), "quilt-rotate/internal/quilt/trail\n") {
		t.Fatal("go list does not list the dependencies")
	}
	for _, name := range strings.Fields(string(packages)) {
		if name == "quilt-rotate/internal/sandbox/awsathena" || strings.HasPrefix(name, "modernc.org/") {
			t.Errorf("%s is in the deployed packages", name)
		}
	}
}
