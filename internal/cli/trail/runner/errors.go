package runner

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/redact"
)

// An Error is the error of a query that failed. Its message is one sentence. Hint is the next step.
type Error struct {
	What  string
	Hint  string // "" if none is known
	Left  string // what happened to a query that was running; "" if none was
	cause error
}

func (e *Error) Error() string {
	text := "athena: " + e.What
	if e.Left != "" {
		text += "; " + e.Left
	}
	return text
}

// Unwrap returns the error of the SDK or of the context, which must not be printed.
func (e *Error) Unwrap() error { return e.cause }

var (
	errNoStatus = errors.New("the answer does not have the status of the query")
	errNoRows   = errors.New("the answer does not have the names of the columns")
	errRagged   = errors.New("a row of the answer has more or fewer values than there are columns")
)

// failure describes a failed call to Athena. It returns an *Error unchanged.
func (r *Runner) failure(operation string, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return &Error{What: "interrupted", cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{What: "no answer in time", cause: err}
	case errors.As(err, &api):
		text := clean(api.ErrorMessage())
		if strings.HasPrefix(api.ErrorCode(), "AccessDenied") || api.ErrorCode() == "UnrecognizedClientException" {
			text = "access denied: " + text
		}
		e := r.explained(text, operation+": "+clean(api.ErrorCode())+": "+text)
		e.cause = err
		return e
	}
	cause := err
	if inner, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = inner.Err // without the name of the operation, which the message has
	}
	return &Error{What: operation + ": " + clean(err.Error()), Hint: "check your AWS credentials, the region and the " +
		"network", cause: cause}
}

// verdict returns the error of a query that did not succeed.
func (r *Runner) verdict(done *types.QueryExecution) error {
	message := clean(aws.ToString(done.Status.StateChangeReason))
	if message == "" {
		message = "no reason is given"
	}
	switch done.Status.State {
	case types.QueryExecutionStateSucceeded:
		return nil
	case types.QueryExecutionStateCancelled:
		return &Error{What: "the query was stopped at Athena: " + message,
			Hint: "ask for fewer days, if the workgroup limits what a query may read"}
	case types.QueryExecutionStateFailed:
		return r.explained(message, "the query failed: "+message)
	}
	return &Error{What: "the query is in an unknown state: " + clean(string(done.Status.State))}
}

// noTrail is the likely reason for a missing table: the audit trail is an optional part of a Quilt
// stack.
const noTrail = "the stack may have no audit trail (it is optional: see the stack's parameters), or it is in another " +
	"region or database: the stack's resource AuditTrailDatabase has the name"

// reasons maps known messages of Athena and the Glue catalog to their meaning. Athena has few error
// codes, so the message decides. The name of a table contains the name of its database, which may
// contain the word "database".
var reasons = []struct {
	form       *regexp.Regexp
	what, hint string // WORKGROUP, DATABASE and MESSAGE are replaced by their values
}{
	{regexp.MustCompile(`(?i)access denied|not authorized to perform|permission_denied|insufficient.*permission`),
		"access denied: MESSAGE", "attach the Quilt stack's managed policy AuditTrailAthenaQueryPolicy to your role"},
	{regexp.MustCompile(`(?i)output location`), `workgroup "WORKGROUP" has no location for query results`,
		`use the workgroup of the Quilt stack ("<stack>-audit"), or set an output location on this one`},
	{regexp.MustCompile(`(?i)workgroup.*not found`), `there is no workgroup "WORKGROUP"`,
		`check the region; the Quilt stack's workgroup is named "<stack>-audit"`},
	{regexp.MustCompile(`(?i)table_not_found|table \S+ (does not exist|not found)`),
		`database "DATABASE" has no table audit_trail`, noTrail},
	{regexp.MustCompile(`(?i)schema_not_found|(schema|database) \S+ (does not exist|not found)`),
		`there is no database "DATABASE"`, noTrail},
}

// explained returns the meaning of a message of Athena, or otherwise if the message is not known.
func (r *Runner) explained(message, otherwise string) *Error {
	for _, reason := range reasons {
		if reason.form.MatchString(message) {
			values := strings.NewReplacer("WORKGROUP", clean(r.Workgroup), "DATABASE", clean(r.Database), "MESSAGE",
				strings.TrimPrefix(message, "access denied: "))
			return &Error{What: values.Replace(reason.what), Hint: reason.hint}
		}
	}
	return &Error{What: otherwise}
}

// longestReason limits what is quoted of a message, which may quote the whole query.
const longestReason = 300

func clean(text string) string {
	runes := []rune(trail.NewCell(redact.Scrub(strings.Join(strings.Fields(text), " "))).Text)
	if len(runes) > longestReason {
		return string(runes[:longestReason]) + "..."
	}
	return string(runes)
}
