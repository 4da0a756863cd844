// Package telemetry writes the logs and metrics of the functions: one JSON line for each log
// record, and one for each set of metrics (CloudWatch embedded metric format). Lambda reads the
// lines from standard output.
//
// The package never searches for secrets. It relies on the types that it gets (apikey.Key,
// redact.Text), which never print their text.
package telemetry

import (
	"context"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// NewLogger returns a logger that writes JSON lines in the form of Lambda's own JSON logs, with the
// request id of the invocation. Unlike lambdacontext.NewLogHandler, it ignores
// AWS_LAMBDA_LOG_FORMAT and writes to any writer.
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
