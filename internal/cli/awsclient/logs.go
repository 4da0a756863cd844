package awsclient

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go"

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

// RotationLog returns the records of one rotation in the rotate function's log, oldest first.
// CloudWatch returns a record some seconds after it was written, so the caller must read again.
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

// LogGroup is how far back a log group goes.
type LogGroup struct {
	Created   time.Time
	Retention int // days; 0: for ever
}

// LogGroup describes a log group. It fails with an error that is [NotFound] if there is none of
// that name.
func (c *Cloud) LogGroup(ctx context.Context, name string) (LogGroup, error) {
	doing := "describe the log group " + name
	in := map[string]any{"logGroupNamePrefix": name}
	for {
		var page struct {
			LogGroups []struct {
				LogGroupName    string
				CreationTime    int64
				RetentionInDays int
			}
			NextToken string
		}
		if err := c.ask(ctx, doing, "logs", "Logs_20140328.DescribeLogGroups", in, &page); err != nil {
			return LogGroup{}, err
		}
		for _, g := range page.LogGroups {
			if g.LogGroupName == name {
				return LogGroup{time.UnixMilli(g.CreationTime).UTC(), g.RetentionInDays}, nil
			}
		}
		if in["nextToken"] = page.NextToken; page.NextToken == "" {
			return LogGroup{}, newError(doing, &smithy.GenericAPIError{Code: "ResourceNotFoundException",
				Message: "The specified log group does not exist."})
		}
	}
}

// LogLines passes on the lines of a log group that match a pattern, page by page, so that a long
// log takes no memory. CloudWatch Logs also gives pages without a line: progress is called with
// each.
func (c *Cloud) LogLines(ctx context.Context, group, pattern string, since time.Time,
	line func(at time.Time, text string), progress func()) error {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group, FilterPattern: &pattern,
		StartTime: aws.Int64(max(since.UnixMilli(), 0))}
	for {
		page, err := c.calls.filterLogEvents(ctx, in)
		if err != nil {
			return newError("read the log "+group, err)
		}
		for _, e := range page.Events {
			line(time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC(), aws.ToString(e.Message))
		}
		progress()
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return nil
		}
	}
}
