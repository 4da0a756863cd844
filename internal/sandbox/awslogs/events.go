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
	Interleaved         *bool    `json:"interleaved"` // ignored, as on the service
}

type filterLogEventsOutput struct {
	Events             []event  `json:"events"`
	SearchedLogStreams []string `json:"searchedLogStreams"` // always empty, as on the service since 2020
	NextToken          string   `json:"nextToken,omitempty"`
}

type event struct {
	LogStreamName string `json:"logStreamName"`
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
	EventID       string `json:"eventId"`
}

// filterLogEvents searches the lines of a group in the order of their time. A page ends if it is
// full or if Options.Scan lines were searched. Therefore a page can be empty although the next one
// is not.
func (s *Server) filterLogEvents(in filterLogEventsInput) (filterLogEventsOutput, error) {
	matches, size, err := in.validate()
	if err != nil {
		return filterLogEventsOutput{}, err
	}
	group, err := s.find(in.LogGroupName)
	if err != nil {
		return filterLogEventsOutput{}, err
	}
	lines := s.options.Source.Logs(group.Function)
	oldest := time.Time{}
	if days := s.retention(group.Name); days > 0 {
		oldest = s.options.Clock.Now().AddDate(0, 0, -days)
	}
	at, err := position(in.NextToken, in.query(), len(lines))
	if err != nil {
		return filterLogEventsOutput{}, err
	}
	out := filterLogEventsOutput{Events: []event{}, SearchedLogStreams: []string{}}
	for end := min(at+s.options.Scan, len(lines)); at < end && len(out.Events) < size; at++ {
		if line := lines[at]; !line.Time.Before(oldest) && in.includes(line) && matches(line.Text) {
			out.Events = append(out.Events, newEvent(line, at))
		}
	}
	if at < len(lines) {
		out.NextToken = token(in.query(), at)
	}
	return out, nil
}

func (in filterLogEventsInput) validate() (matches pattern, size int, err error) {
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

// includes reports whether a line is in the streams and the time range of the request. The range
// includes both ends.
func (in filterLogEventsInput) includes(line awslambda.LogLine) bool {
	at := line.Time.UnixMilli()
	switch {
	case in.StartTime != nil && at < *in.StartTime, in.EndTime != nil && at > *in.EndTime:
		return false
	case len(in.LogStreamNames) > 0:
		return slices.Contains(in.LogStreamNames, line.Stream)
	}
	return strings.HasPrefix(line.Stream, in.LogStreamNamePrefix)
}

// query returns the parameters to which the tokens of this request belong.
func (in filterLogEventsInput) query() string {
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
		EventID: fmt.Sprintf("%028d%028d", ms, at), // 56 digits, as on the service
	}
}
