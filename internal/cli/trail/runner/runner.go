// Package runner runs a query in Amazon Athena: it starts the query, waits for its end, and fetches
// all its results.
//
// The caller gives the client, the database and the workgroup. The workgroup names the location for
// results. Athena charges for the data that a query reads. So a query is started only once, even if
// an answer is lost (the client request token ensures this), and a query that nobody waits for is
// stopped. The package changes nothing except its own queries.
package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/quilt/trail"
)

// How often the state of a query is read, and how long stopping it may take after the caller was
// interrupted.
const (
	firstWait   = 250 * time.Millisecond
	longestWait = 5 * time.Second
	stopWithin  = 5 * time.Second
)

// pageSize is the largest number of rows that Athena returns at once.
const pageSize = 1000

// A Runner runs queries in one database. Client, Database and Workgroup are required.
type Runner struct {
	Client    awsclient.AthenaCalls
	Database  string // "audittraildatabase-…": the stack's resource AuditTrailDatabase
	Workgroup string // "<stack>-audit"

	Progress func(state string) // gets each new state: QUEUED, RUNNING, SUCCEEDED…; may be nil
	Wait     time.Duration      // before the second look; 250 ms if zero
}

// Run starts the query, waits for it and fetches its results. If ctx ends, or an error occurs while
// the query runs, the query is stopped at Athena.
func (r *Runner) Run(ctx context.Context, sql string) (*trail.Answer, error) {
	id, err := r.start(ctx, sql)
	if err != nil {
		return nil, err
	}
	done, err := r.await(ctx, id)
	if err != nil {
		return nil, r.abandon(ctx, id, err)
	}
	if err := r.verdict(done); err != nil {
		return nil, err
	}
	answer := &trail.Answer{QueryID: id}
	if s := done.Statistics; s != nil {
		answer.Scanned = aws.ToInt64(s.DataScannedInBytes)
		answer.Took = time.Duration(aws.ToInt64(s.TotalExecutionTimeInMillis)) * time.Millisecond
	}
	if err := r.fetch(ctx, answer); err != nil {
		return nil, r.failure("GetQueryResults", err)
	}
	return answer, nil
}

// start starts the query. If no answer comes, the query may have been started. Then it is found by
// its token and stopped.
func (r *Runner) start(ctx context.Context, sql string) (id string, err error) {
	input := &athena.StartQueryExecutionInput{
		QueryString: aws.String(sql), ClientRequestToken: aws.String(uuid.NewString()),
		WorkGroup:             aws.String(r.Workgroup),
		QueryExecutionContext: &types.QueryExecutionContext{Database: aws.String(r.Database)},
	}
	started, err := r.Client.StartQueryExecution(ctx, input)
	if err == nil {
		return aws.ToString(started.QueryExecutionId), nil
	}
	failed := r.failure("StartQueryExecution", err)
	if ctx.Err() == nil && !mayRun(err) {
		return "", failed
	}
	return "", r.recall(ctx, input, failed)
}

// recall finds a query whose start was not answered and stops it. It sends the same request with
// the same token again, which returns the id of the query.
func (r *Runner) recall(ctx context.Context, input *athena.StartQueryExecutionInput, failed *Error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	started, err := r.Client.StartQueryExecution(ctx, input)
	switch {
	case err == nil:
		return r.abandon(ctx, aws.ToString(started.QueryExecutionId), failed)
	case !mayRun(err):
		return failed
	}
	failed.Left = fmt.Sprintf("it is not known whether the query was started; see the recent queries of workgroup %q",
		clean(r.Workgroup))
	return failed
}

// abandon stops a query that nobody waits for any more, even if ctx has ended.
func (r *Runner) abandon(ctx context.Context, id string, cause error) error {
	failed := r.failure("GetQueryExecution", cause)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if _, err := r.Client.StopQueryExecution(ctx,
		&athena.StopQueryExecutionInput{QueryExecutionId: aws.String(id)}); err != nil {
		failed.Left = fmt.Sprintf("the query could not be stopped, and what it reads is charged; to stop it: aws "+
			"athena stop-query-execution --query-execution-id %s", id)
	} else {
		failed.Left = "the query was stopped"
	}
	return failed
}

var errUnderWay = errors.New("the query is under way")

// await reads the state of the query with growing intervals until the query has ended. A throttled
// request is repeated.
func (r *Runner) await(ctx context.Context, id string) (*types.QueryExecution, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = firstWait, longestWait
	if r.Wait > 0 {
		wait.InitialInterval = r.Wait
	}
	var last types.QueryExecutionState
	done, err := backoff.Retry(ctx, func() (*types.QueryExecution, error) {
		got, err := r.Client.GetQueryExecution(ctx, &athena.GetQueryExecutionInput{QueryExecutionId: aws.String(id)})
		var slower *types.TooManyRequestsException
		switch {
		case errors.As(err, &slower):
			return nil, errUnderWay
		case err != nil:
			return nil, backoff.Permanent(err)
		case got.QueryExecution == nil || got.QueryExecution.Status == nil:
			return nil, backoff.Permanent(errNoStatus)
		}
		if state := got.QueryExecution.Status.State; state != last {
			last = state
			if r.Progress != nil {
				r.Progress(string(state))
			}
		}
		if last == types.QueryExecutionStateQueued || last == types.QueryExecutionStateRunning {
			return nil, errUnderWay
		}
		return got.QueryExecution, nil
		// a query has no time limit but Athena's and the caller's
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0))
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // not its cause, which can be any error
	}
	return done, err
}

// fetch reads all pages of the results. The first row has the names of the columns.
func (r *Runner) fetch(ctx context.Context, answer *trail.Answer) error {
	in := &athena.GetQueryResultsInput{QueryExecutionId: aws.String(answer.QueryID), MaxResults: aws.Int32(pageSize)}
	for {
		page, err := r.Client.GetQueryResults(ctx, in)
		if err != nil {
			return err
		}
		if page.ResultSet == nil {
			return errNoRows
		}
		rows := page.ResultSet.Rows
		if answer.Columns == nil {
			if len(rows) == 0 {
				return errNoRows
			}
			for _, name := range rows[0].Data {
				answer.Columns = append(answer.Columns, aws.ToString(name.VarCharValue))
			}
			rows = rows[1:]
		}
		for _, row := range rows {
			if len(row.Data) != len(answer.Columns) {
				return errRagged
			}
			answer.Rows = append(answer.Rows, cells(row))
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return nil
		}
	}
}

func cells(row types.Row) []trail.Cell {
	cells := make([]trail.Cell, len(row.Data))
	for i, d := range row.Data {
		if d.VarCharValue != nil {
			cells[i] = trail.NewCell(*d.VarCharValue)
		}
	}
	return cells
}

// mayRun reports whether a failed start may have started the query: the request was sent, and
// Athena did not refuse it.
func mayRun(err error) bool {
	var refused smithy.APIError
	var internal *types.InternalServerException
	if errors.As(err, &refused) {
		return errors.As(err, &internal)
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return false
	}
	var sent *smithyhttp.RequestSendError
	var garbled *smithyhttp.ResponseError
	return errors.As(err, &sent) || errors.As(err, &garbled) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded)
}
