package awsclient

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"quilt-rotate/internal/redact"
)

// LogRecord is a line of the rotate function's log about a step of a rotation.
type LogRecord struct {
	Time      time.Time
	Step      string
	Took      time.Duration
	ErrorType string // the name that alarms and the runbook use; "" if the step succeeded
	Error     string
}

// RotationLog returns what the rotate function logged about one rotation, oldest first. CloudWatch
// shows a line some seconds after it was written, so the caller reads again.
func (c *Cloud) RotationLog(ctx context.Context, f Function, versionID string, since time.Time) ([]LogRecord, error) {
	if strings.ContainsAny(versionID, "\"\\") {
		return nil, nil // no version has such an id
	}
	var found []LogRecord
	in := &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &f.LogGroup, StartTime: aws.Int64(since.UnixMilli()),
		FilterPattern: aws.String(fmt.Sprintf(`{ $.version = "%s" }`, versionID)),
	}
	for {
		page, err := c.calls.filterLogEvents(ctx, in)
		if NotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, newError("read the log "+f.LogGroup, err)
		}
		for _, e := range page.Events {
			var line struct {
				Step, Version, ErrorType, Error string
				DurationMs                      float64
			}
			if json.Unmarshal([]byte(aws.ToString(e.Message)), &line) != nil || line.Version != versionID ||
				line.Step == "" {
				continue
			}
			found = append(found, LogRecord{
				time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC(), redact.Clip(line.Step, 100),
				time.Duration(line.DurationMs * float64(time.Millisecond)),
				redact.Clip(line.ErrorType, 100), redact.Clip(line.Error, 4000),
			})
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return found, nil
		}
	}
}
