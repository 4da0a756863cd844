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

// LogRecord is a line of the rotate function's log: a step that succeeded or failed.
type LogRecord struct {
	Time      time.Time
	Message   string
	Step      string // of a rotation; "" for a sweep
	Took      time.Duration
	Secret    string // its ARN
	Version   string // of the rotation
	ErrorType string // the name that alarms and the runbook use; "": nothing failed
	Error     string
}

// RotationLog is what the rotate function logged about one rotation, oldest first. CloudWatch shows a line some seconds after it was written, so the
// caller asks again.
func (c *Cloud) RotationLog(ctx context.Context, f Function, versionID string, since time.Time) ([]LogRecord, error) {
	if strings.ContainsAny(versionID, "\"\\") {
		return nil, nil // no version has such an id
	}
	return c.log(ctx, f, fmt.Sprintf(`{ $.version = "%s" }`, versionID), since, func(r LogRecord) bool { return r.Version == versionID && r.Step != "" })
}

func (c *Cloud) log(ctx context.Context, f Function, pattern string, since time.Time, wanted func(LogRecord) bool) ([]LogRecord, error) {
	var found []LogRecord
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(c.calls.filterLogEvents, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &f.LogGroup, StartTime: aws.Int64(since.UnixMilli()), FilterPattern: &pattern,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if NotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, newError("read the log "+f.LogGroup, err)
		}
		for _, e := range page.Events {
			if r, ok := readRecord(aws.ToString(e.Message)); ok && wanted(r) {
				r.Time = time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC()
				found = append(found, r)
			}
		}
	}
	return found, nil
}

func readRecord(line string) (LogRecord, bool) {
	var record struct {
		Message, Step, Secret, Version, ErrorType, Error string
		DurationMs                                       float64
	}
	if json.Unmarshal([]byte(line), &record) != nil {
		return LogRecord{}, false
	}
	return LogRecord{
		Message: redact.Clip(record.Message, 1000), Step: redact.Clip(record.Step, 100), Took: time.Duration(record.DurationMs * float64(time.Millisecond)),
		Secret: record.Secret, Version: record.Version, ErrorType: redact.Clip(record.ErrorType, 100), Error: redact.Clip(record.Error, 4000),
	}, true
}
