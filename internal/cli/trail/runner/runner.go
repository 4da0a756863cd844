// Package runner asks Amazon Athena: it starts a query, waits for its end and fetches all of its answer.
//
// It relies on the caller for the client, the database and the workgroup, and on the workgroup for the place where Athena leaves
// answers. Queries cost money by what they read, so one question is one query, whatever answers are lost on the way (the
// client request token says so), and no query is left running that nobody waits for. It never changes anything but its own queries.
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
	"quilt-rotate/internal/trail"
)

// How often a query is looked at, and how long it may take to stop it once the caller has gone.
const (
	firstWait   = 250 * time.Millisecond
	longestWait = 5 * time.Second
	stopWithin  = 5 * time.Second
)

// pageSize is the most rows that Athena gives at once.
const pageSize = 1000

// A Runner asks one database's questions. Client, Database and Workgroup are required.
type Runner struct {
	Client    awsclient.AthenaCalls
	Database  string // "audittraildatabase-…": the stack's resource AuditTrailDatabase
	Workgroup string // "<stack>-audit"

	Progress func(state string) // gets each new state: QUEUED, RUNNING, SUCCEEDED…; may be nil
	Wait     time.Duration      // before the second look; 250 ms if zero
}

// Run asks, waits and fetches. A context that ends stops the query at Athena; so does every error while it runs.
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
		return nil, r.failure("GetQueryResults", id, err)
	}
	return answer, nil
}

// start starts the query. Where no answer came, the query may have been started all the same: it is found by its token, and stopped.
func (r *Runner) start(ctx context.Context, sql string) (id string, err error) {
	input := &athena.StartQueryExecutionInput{
		QueryString: aws.String(sql), ClientRequestToken: aws.String(uuid.NewString()), WorkGroup: aws.String(r.Workgroup),
		QueryExecutionContext: &types.QueryExecutionContext{Database: aws.String(r.Database)},
	}
	started, err := r.Client.StartQueryExecution(ctx, input)
	if err == nil {
		return aws.ToString(started.QueryExecutionId), nil
	}
	failed := r.failure("StartQueryExecution", "", err)
	if ctx.Err() == nil && !mayRun(err) {
		return "", failed
	}
	return "", r.recall(ctx, input, failed)
}

// recall finds a query whose start was not answered, by asking again with the same token, and stops it.
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
	failed.Left = fmt.Sprintf("whether the query was started is not known: look at the recent queries of workgroup %q", clean(r.Workgroup))
	return failed
}

// abandon stops a query that nobody waits for any more, whatever became of the caller's context.
func (r *Runner) abandon(ctx context.Context, id string, cause error) error {
	failed := r.failure("GetQueryExecution", id, cause)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if _, err := r.Client.StopQueryExecution(ctx, &athena.StopQueryExecutionInput{QueryExecutionId: aws.String(id)}); err != nil {
		failed.Left = fmt.Sprintf("the query could not be stopped and may go on to cost money: aws athena stop-query-execution --query-execution-id %s", id)
	} else {
		failed.Left = "the query was stopped"
	}
	return failed
}

var errUnderWay = errors.New("the query is under way")

// await looks at the query, less and less often, until it has come to an end. Being told to slow down is no end.
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
			r.tell(state)
		}
		if last == types.QueryExecutionStateQueued || last == types.QueryExecutionStateRunning {
			return nil, errUnderWay
		}
		return got.QueryExecution, nil
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0)) // a query has no time limit but Athena's and the caller's
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // and not its cause, which can be any error
	}
	return done, err
}

func (r *Runner) tell(state types.QueryExecutionState) {
	if r.Progress != nil {
		r.Progress(string(state))
	}
}

// fetch reads all pages of an answer. Athena's first row is the columns' names.
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

// mayRun tells whether a start that failed can have started the query: the request went out, and no refusal came back.
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
	return errors.As(err, &sent) || errors.As(err, &garbled) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
