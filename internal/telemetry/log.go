// Package telemetry writes what the functions say: one JSON line for each log record, and one for
// each set of metrics (CloudWatch embedded metric format), both to standard output, where Lambda
// takes them from.
//
// It takes no part in keeping secrets out: that is the work of the types it is given (apikey.Key,
// redact.Text).
package telemetry

import (
	"context"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// NewLogger writes JSON lines in the form of Lambda's own JSON logs, each with the request id of
// the invocation. Unlike lambdacontext.NewLogHandler it does so whatever AWS_LAMBDA_LOG_FORMAT
// says, and to any writer.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(requestHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level,
		ReplaceAttr: lambdacontext.ReplaceAttr})})
}

// requestHandler adds the invocation's request id to each record.
type requestHandler struct{ slog.Handler }

func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		r.AddAttrs(slog.String("requestId", lc.AwsRequestID))
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}
