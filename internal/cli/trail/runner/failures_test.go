package runner_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"quilt-rotate/internal/cli/trail/runner"
	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/sandbox/awsathena"
	"quilt-rotate/internal/sandbox/wire"
)

// refuse makes Athena refuse one operation.
func (r *rig) refuse(operation string, status int, body string) {
	r.hooks.Set(func(c *wire.Call, next func()) {
		if c.Operation == operation {
			c.Respond(status, body, "Content-Type", "application/x-amz-json-1.1")
			return
		}
		next()
	})
}

// onlyQuery returns the query that was started, and fails the test if there is not exactly one.
func (r *rig) onlyQuery() awsathena.Query {
	r.Helper()
	all := r.athena.Queries()
	if len(all) != 1 {
		r.Fatalf("%d queries were started, want one: %v", len(all), all)
	}
	return all[0]
}

func TestFailuresAreExplained(t *testing.T) {
	// One sentence names the problem, and the hint is the next step.
	fail := func(reason string) func(*rig) {
		return func(r *rig) { r.athena.SetSwitches(func(s *awsathena.Switches) { s.FailWith = reason }) }
	}
	denied := `{"__type":"AccessDeniedException","Message":"You are not authorized to perform: athena:StartQueryExecution on the resource."}`
	for name, c := range map[string]struct {
		arrange    func(*rig)
		what, hint string
	}{
		"database missing": {func(r *rig) { r.runner.Database = "elsewhere" },
			`athena: there is no database "elsewhere"`, "AuditTrailDatabase"},
		"table missing": {
			func(r *rig) { r.athena.SetSwitches(func(s *awsathena.Switches) { s.NoTable = true }) },
			`athena: database "audittraildatabase-sandbox" has no table audit_trail`, "no audit trail"},
		"workgroup missing": {func(r *rig) { r.runner.Workgroup = "primary" },
			`athena: there is no workgroup "primary"`, "-audit"},
		"no output location": {
			func(r *rig) { r.athena.SetSwitches(func(s *awsathena.Switches) { s.NoOutputLocation = true }) },
			`athena: workgroup "sandbox-audit" has no location for query results`, "output location"},
		"access denied at start": {func(r *rig) { r.refuse("StartQueryExecution", 400, denied) },
			"athena: access denied: You are not authorized", "AuditTrailAthenaQueryPolicy"},
		"access denied to the bucket": {
			fail("Access denied when writing output to url: s3://bucket/x.csv ."), "athena: access denied: Access " +
				"denied when writing", "AuditTrailAthenaQueryPolicy",
		},
		"access denied to the catalog": {
			fail("Insufficient permissions to execute the query. User is not authorized to perform: glue:GetTable"),
			"athena: access denied: Insufficient", "AuditTrailAthenaQueryPolicy",
		},
		"failed": {
			fail("GENERIC_INTERNAL_ERROR: line\n1:\x1b[31m qk_abcdefghijklmnopqrst"), "athena: the query failed: " +
				"GENERIC_INTERNAL_ERROR: line 1:\uFFFD[31m [redacted]", "",
		},
		"column missing": {
			fail("COLUMN_NOT_FOUND: line 1:8: Column 'eventtime' cannot be resolved"), "athena: the query failed: " +
				"COLUMN_NOT_FOUND", "",
		},
		"stopped by a limit": {
			func(r *rig) {
				r.athena.SetSwitches(func(s *awsathena.Switches) { s.CancelWith = "Bytes scanned limit was exceeded" })
			}, "athena: the query was stopped at Athena: Bytes scanned limit was exceeded", "fewer days",
		},
		"refused": {
			func(r *rig) {
				r.refuse("StartQueryExecution", 400,
					`{"__type":"InvalidRequestException","Message":"The S3 location is odd."}`)
			}, "athena: StartQueryExecution: InvalidRequestException: The S3 location is odd.", "",
		},
		"results refused": {
			func(r *rig) {
				r.refuse("GetQueryResults", 400,
					`{"__type":"InvalidRequestException","Message":"Access denied when reading from s3://bucket"}`)
			}, "athena: access denied: Access denied when reading", "AuditTrailAthenaQueryPolicy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			c.arrange(r)
			a, err := r.run(trail.Query{})
			var e *runner.Error
			if !errors.As(err, &e) {
				t.Fatalf("got the answer %v and the error %v", a, err)
			}
			if !strings.HasPrefix(err.Error(), c.what) || !strings.Contains(e.Hint, c.hint) ||
				(c.hint == "") != (e.Hint == "") {
				t.Errorf("got %s\nhint: %s", err, e.Hint)
			}
			for _, q := range r.athena.Queries() {
				if q.State == "RUNNING" || q.State == "QUEUED" {
					t.Errorf("a query has the state %s", q.State)
				}
			}
		})
	}
}

func TestInterruptedQueryIsStopped(t *testing.T) {
	// A query costs money while it runs.
	r := start(t)
	r.athena.SetSwitches(func(s *awsathena.Switches) { s.Stall = true })
	ctx, cancel := context.WithCancelCause(t.Context())
	r.runner.Progress = func(state string) {
		if state == "RUNNING" {
			cancel(errors.New("interrupt signal received")) // as signal.NotifyContext does
		}
	}
	_, err := r.runner.Run(ctx, "SELECT 1")
	var e *runner.Error
	if !errors.As(err, &e) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	q := r.onlyQuery()
	if q.State != "CANCELLED" || err.Error() != "athena: interrupted; the query was stopped" {
		t.Errorf("query %s has the state %s: %v", q.ID, q.State, err)
	}
}

func TestInterruptedStartIsStopped(t *testing.T) {
	// Ctrl-C lost the answer to the start, so the query is found by its token.
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var lost atomic.Bool
	r.hooks.Set(func(c *wire.Call, next func()) {
		next()
		if lost.CompareAndSwap(false, true) {
			cancel()
			c.Cut()
		}
	})
	_, err := r.runner.Run(ctx, "SELECT 1")
	if q := r.onlyQuery(); q.State != "CANCELLED" || err == nil || !strings.HasSuffix(err.Error(),
		"; the query was stopped") {
		t.Errorf("the query has the state %s, and the error is %v", q.State, err)
	}
}

func TestAQueryIsStoppedIfTheAnswerToItsStartIsLost(t *testing.T) {
	// The query is found by its token and stopped. It must not be started twice.
	r := start(t)
	var lost atomic.Bool // requests may overlap: the second comes when the first is cut
	r.hooks.Set(func(c *wire.Call, next func()) {
		next()
		if lost.CompareAndSwap(false, true) {
			c.Cut()
		}
	})
	_, err := r.run(trail.Query{})
	var e *runner.Error
	if q := r.onlyQuery(); q.State != "CANCELLED" || !errors.As(err, &e) || e.Left != "the query was stopped" {
		t.Errorf("the query has the state %s, and the error is %v", q.State, err)
	}
}

func TestWarnsThatAQueryMayRunIfNoStartIsAnswered(t *testing.T) {
	r := start(t)
	r.hooks.Set(func(c *wire.Call, _ func()) { c.Cut() })
	_, err := r.run(trail.Query{})
	if err == nil || !strings.Contains(err.Error(),
		`it is not known whether the query was started; see the recent queries of workgroup "sandbox-audit"`) {
		t.Errorf("got %v", err)
	}
}

func TestNoWarningIfAthenaCannotBeReached(t *testing.T) {
	// Without a connection, no query was started.
	r := start(t)
	gone := httptest.NewServer(r.athena)
	r.runner.Client = client(gone, aws.NopRetryer{})
	gone.Close()
	_, err := r.run(trail.Query{})
	var e *runner.Error
	if !errors.As(err, &e) || e.Left != "" || e.Hint == "" {
		t.Errorf("got %v", err)
	}
}

func TestAQueryThatCannotBeStoppedIsReported(t *testing.T) {
	// The error has the command that stops it.
	r := start(t)
	r.hooks.Set(func(c *wire.Call, next func()) {
		if c.Operation == "StartQueryExecution" {
			next()
			return
		}
		c.Respond(400, `{"__type":"AccessDeniedException","Message":"no"}`)
	})
	_, err := r.run(trail.Query{})
	if want := "aws athena stop-query-execution --query-execution-id " + r.onlyQuery().ID; err == nil ||
		!strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want an error that ends in %q", err, want)
	}
}

func TestThrottledStatusRequestsAreRetried(t *testing.T) {
	r := start(t)
	looks := 0
	r.hooks.Set(func(c *wire.Call, next func()) {
		if c.Operation == "GetQueryExecution" {
			if looks++; looks < 4 {
				c.Respond(400, `{"__type":"TooManyRequestsException","Message":"Rate exceeded"}`)
				return
			}
		}
		next()
	})
	r.find(trail.Query{})
	if looks < 5 {
		t.Errorf("got %d status requests", looks)
	}
}
