package awslogs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/sandbox/awslambda"
)

type filterLogEventsInput struct {
	LogGroupName        string   `json:"logGroupName"`
	LogStreamNames      []string `json:"logStreamNames"`
	LogStreamNamePrefix string   `json:"logStreamNamePrefix"`
	StartTime           *int64   `json:"startTime"`
	EndTime             *int64   `json:"endTime"`
	FilterPattern       string   `json:"filterPattern"`
	NextToken           string   `json:"nextToken"`
	Limit               *int     `json:"limit"`
	Interleaved         *bool    `json:"interleaved"` // the service ignores it too
}

type filterLogEventsOutput struct {
	Events             []event  `json:"events"`
	SearchedLogStreams []string `json:"searchedLogStreams"` // always empty, since 2020
	NextToken          string   `json:"nextToken,omitempty"`
}

type event struct {
	LogStreamName string `json:"logStreamName"`
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
	EventID       string `json:"eventId"`
}

// filterLogEvents goes through a group's lines in the order of their time. A page ends where it is
// full, or where enough lines were looked through: then it can be empty, and the next one not.
func (s *Server) filterLogEvents(in filterLogEventsInput) (filterLogEventsOutput, error) {
	matches, size, err := in.check()
	if err != nil {
		return filterLogEventsOutput{}, err
	}
	group, err := s.find(in.LogGroupName)
	if err != nil {
		return filterLogEventsOutput{}, err
	}
	lines := s.options.Source.Logs(group.Function)
	kept := time.Time{}
	if days := s.retention(group.Name); days > 0 {
		kept = s.options.Clock.Now().AddDate(0, 0, -days)
	}
	at, err := position(in.NextToken, in.question(), len(lines))
	if err != nil {
		return filterLogEventsOutput{}, err
	}
	out := filterLogEventsOutput{Events: []event{}, SearchedLogStreams: []string{}}
	for end := min(at+s.options.Scan, len(lines)); at < end && len(out.Events) < size; at++ {
		if line := lines[at]; !line.Time.Before(kept) && in.covers(line) && matches(line.Text) {
			out.Events = append(out.Events, newEvent(line, at))
		}
	}
	if at < len(lines) {
		out.NextToken = token(in.question(), at)
	}
	return out, nil
}

func (in filterLogEventsInput) check() (matches pattern, size int, err error) {
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != "" {
		return nil, 0, invalidParameter("Only one of logStreamNames and logStreamNamePrefix can be specified.")
	}
	if in.StartTime != nil && *in.StartTime < 0 || in.EndTime != nil && *in.EndTime < 0 {
		return nil, 0, invalidParameter("1 validation error detected: startTime and endTime must have value greater " +
			"than or equal to 0")
	}
	if size, err = limit(in.Limit, maxEvents); err != nil {
		return nil, 0, err
	}
	matches, err = parsePattern(in.FilterPattern)
	return matches, size, err
}

// covers tells whether a line is of the streams and the time asked for, both ends included.
func (in filterLogEventsInput) covers(line awslambda.LogLine) bool {
	at := line.Time.UnixMilli()
	switch {
	case in.StartTime != nil && at < *in.StartTime, in.EndTime != nil && at > *in.EndTime:
		return false
	case len(in.LogStreamNames) > 0:
		return slices.Contains(in.LogStreamNames, line.Stream)
	}
	return strings.HasPrefix(line.Stream, in.LogStreamNamePrefix)
}

// question is what the tokens of this request's pages are good for.
func (in filterLogEventsInput) question() string {
	bound := func(t *int64) string {
		if t == nil {
			return ""
		}
		return time.UnixMilli(*t).UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%q", append([]string{in.LogGroupName, in.FilterPattern, in.LogStreamNamePrefix,
		bound(in.StartTime), bound(in.EndTime)}, in.LogStreamNames...))
}

func newEvent(line awslambda.LogLine, at int) event {
	ms := line.Time.UnixMilli()
	return event{
		LogStreamName: line.Stream, Timestamp: ms, Message: line.Text, IngestionTime: ms,
		EventID: fmt.Sprintf("%028d%028d", ms, at), // 56 digits, as the service's
	}
}
