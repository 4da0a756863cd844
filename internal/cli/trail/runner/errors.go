package runner

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/trail"
)

// Problem is why there is no answer.
type Problem string

// The problems that a caller can act on. The first two are what a stack without an audit trail looks like.
const (
	NoDatabase       Problem = "no database"
	NoTable          Problem = "no table"
	NoWorkgroup      Problem = "no workgroup"
	NoOutputLocation Problem = "no output location"
	AccessDenied     Problem = "access denied"
	QueryFailed      Problem = "query failed"
	QueryStopped     Problem = "query stopped" // at Athena: by somebody, or by the workgroup's limit
	Interrupted      Problem = "interrupted"   // by the caller's context
	Refused          Problem = "refused"       // by Athena, for another reason
	Unanswered       Problem = "unanswered"
)

// An Error is a question that got no answer. Its message is one sentence; Hint is the next step.
type Error struct {
	Problem   Problem
	Operation string // of Athena
	QueryID   string // "" where none was started
	What      string
	Hint      string // "" where none is known
	Left      string // what became of a query that was under way; "" where none was
	cause     error
}

func (e *Error) Error() string {
	text := "athena: " + e.What
	if e.Left != "" {
		text += "; " + e.Left
	}
	return text
}

// Unwrap gives the SDK's error or the context's, to be looked at and not to be printed.
func (e *Error) Unwrap() error { return e.cause }

var (
	errNoStatus = errors.New("the answer has no status of the query")
	errNoRows   = errors.New("the answer has not even the columns' names")
	errRagged   = errors.New("a row of the answer has more or fewer values than there are columns")
)

// failure is what a call to Athena came to. An *Error stays what it is.
func (r *Runner) failure(operation, id string, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		known.QueryID = id
		return known
	}
	e := &Error{Operation: operation, QueryID: id, cause: err}
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled):
		e.Problem, e.What = Interrupted, "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		e.Problem, e.What = Interrupted, "no answer in time"
	case errors.As(err, &api):
		r.refusal(e, api)
	default:
		var inner *smithy.OperationError
		if errors.As(err, &inner) {
			err = inner.Err // without the operation's name, which stands here
		}
		e.Problem, e.What = Unanswered, operation+": "+clean(err.Error())
		e.Hint = "check your AWS credentials, the region and the network"
	}
	return e
}

// refusal sorts what Athena says no to. Its codes are few, so the message decides (the texts are those that Athena has been seen to give).
func (r *Runner) refusal(e *Error, api smithy.APIError) {
	message := clean(api.ErrorMessage())
	switch {
	case strings.HasPrefix(api.ErrorCode(), "AccessDenied") || api.ErrorCode() == "UnrecognizedClientException":
		r.denied(e, message)
	case has(message, "output location"):
		e.Problem, e.What = NoOutputLocation, fmt.Sprintf("workgroup %q has no place for the answers of queries", clean(r.Workgroup))
		e.Hint = `use the workgroup that the Quilt stack made ("<stack>-audit"), or set an output location on this one`
	case has(message, "workgroup", "not found"):
		e.Problem, e.What = NoWorkgroup, fmt.Sprintf("there is no workgroup %q", clean(r.Workgroup))
		e.Hint = `check the region; the Quilt stack's workgroup is named "<stack>-audit"`
	default:
		r.reason(e, Refused, fmt.Sprintf("%s: %s: %s", e.Operation, clean(api.ErrorCode()), message), message)
	}
}

// verdict is what a query that came to its end came to.
func (r *Runner) verdict(done *types.QueryExecution) error {
	e := &Error{Operation: "GetQueryExecution", QueryID: aws.ToString(done.QueryExecutionId)}
	message := clean(aws.ToString(done.Status.StateChangeReason))
	if message == "" {
		message = "no reason is given"
	}
	switch done.Status.State {
	case types.QueryExecutionStateSucceeded:
		return nil
	case types.QueryExecutionStateCancelled:
		e.Problem, e.What = QueryStopped, "the query was stopped at Athena: "+message
		e.Hint = "ask for fewer days, if the workgroup limits what a query may read"
	case types.QueryExecutionStateFailed:
		r.reason(e, QueryFailed, "the query failed: "+message, message)
	default:
		e.Problem, e.What = QueryFailed, fmt.Sprintf("the query is in a state that this release does not know: %s", clean(string(done.Status.State)))
	}
	return e
}

// noTrail is the likely reason for a missing table: the audit trail is an optional part of a Quilt stack.
const noTrail = `the stack may have no audit trail (it is optional: see the stack's parameters), or it is in another region or database: the stack's resource AuditTrailDatabase has the name`

// The forms in which Athena has been seen to say that something is missing: its own and the Glue catalog's. A table's name holds its
// database's, which may well have the word "database" in it.
var (
	tableMissing    = regexp.MustCompile(`(?i)table_not_found|table \S+ (does not exist|not found)`)
	databaseMissing = regexp.MustCompile(`(?i)schema_not_found|(schema|database) \S+ (does not exist|not found)`)
)

// reason sorts the reasons that queries fail for; otherwise names those that nothing is known of.
func (r *Runner) reason(e *Error, otherwise Problem, what, message string) {
	switch {
	case tableMissing.MatchString(message):
		e.Problem, e.What, e.Hint = NoTable, fmt.Sprintf("database %q has no table audit_trail", clean(r.Database)), noTrail
	case databaseMissing.MatchString(message):
		e.Problem, e.What, e.Hint = NoDatabase, fmt.Sprintf("there is no database %q", clean(r.Database)), noTrail
	case has(message, "access denied"), has(message, "not authorized to perform"), has(message, "permission_denied"), has(message, "insufficient", "permission"):
		r.denied(e, message)
	default:
		e.Problem, e.What = otherwise, what
	}
}

func (r *Runner) denied(e *Error, message string) {
	e.Problem, e.What = AccessDenied, "access denied: "+message
	e.Hint = "attach the stack's managed policy AuditTrailAthenaQueryPolicy to your role"
}

// has tells whether all words are in a text, in any letter case.
func has(text string, words ...string) bool {
	text = strings.ToLower(text)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// longestReason bounds what is quoted of a text from outside, which may quote the whole query.
const longestReason = 300

func clean(text string) string {
	runes := []rune(trail.NewCell(redact.Scrub(strings.Join(strings.Fields(text), " "))).Text)
	if len(runes) > longestReason {
		return string(runes[:longestReason]) + "..."
	}
	return string(runes)
}
