// Package awsscheduler implements GetSchedule and UpdateSchedule of Amazon EventBridge Scheduler on
// loopback, for the default group. Tests add the schedules. No schedule ever starts a target.
//
// It follows the EventBridge Scheduler API Reference (2021-06-30), a REST API with JSON. As on AWS,
// UpdateSchedule replaces the whole schedule: a member that the request omits is removed, and a
// request without a required member is refused. The package never checks a signature or a
// permission.
package awsscheduler

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/clock"
)

const (
	maxBody = 1 << 16
	prefix  = "/schedules/"
)

// A Server is the service of one account and region. It is safe for concurrent use.
type Server struct {
	Clock   *clock.Clock
	Region  string
	Account string

	mu        sync.Mutex
	schedules map[string]map[string]json.RawMessage // by name: the members of UpdateSchedule's request
}

// IsPath reports whether a request's path belongs to this service.
func IsPath(path string) bool { return strings.HasPrefix(path, prefix) }

// Operation returns the name of the operation that a request calls.
func Operation(r *http.Request, _ []byte) string {
	switch {
	case IsPath(r.URL.Path) && r.Method == http.MethodGet:
		return "GetSchedule"
	case IsPath(r.URL.Path) && r.Method == http.MethodPut:
		return "UpdateSchedule"
	}
	return r.Method + " " + r.URL.Path
}

// Add adds a schedule. members are the members of UpdateSchedule's request, in JSON.
func (s *Server) Add(name, members string) error {
	schedule := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(members), &schedule); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schedules == nil {
		s.schedules = map[string]map[string]json.RawMessage{}
	}
	s.schedules[name] = schedule
	return nil
}

// Members returns the current members of a schedule, or nil if the schedule does not exist.
func (s *Server) Members(name string) map[string]json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.schedules[name])
}

// ServeHTTP serves the service's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var output any
	if err == nil {
		output, err = s.serve(r, body)
	}
	w.Header().Set("Date", s.Clock.Now().UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Requestid", awsjson.NewUUID())
	if fault, ok := errors.AsType[*awsjson.Fault](err); ok {
		status := http.StatusBadRequest
		if fault.Code == "ResourceNotFoundException" {
			status = http.StatusNotFound
		}
		w.Header().Set("X-Amzn-Errortype", fault.Code)
		w.WriteHeader(status)
		output = map[string]string{"Message": fault.Message}
	}
	_ = json.NewEncoder(w).Encode(output)
}

// required are the members that a schedule must have. members are all members that UpdateSchedule
// accepts besides the name.
var (
	required = []string{"FlexibleTimeWindow", "ScheduleExpression", "Target"}
	members  = append([]string{"ActionAfterCompletion", "ClientToken", "Description", "EndDate", "GroupName",
		"KmsKeyArn", "ScheduleExpressionTimezone", "StartDate", "State"}, required...)
)

func (s *Server) serve(r *http.Request, body []byte) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, prefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	schedule := s.schedules[name]
	if schedule == nil || !IsPath(r.URL.Path) {
		return nil, awsjson.Faultf("ResourceNotFoundException", "Schedule %s does not exist.", name)
	}
	arn := "arn:aws:scheduler:" + s.Region + ":" + s.Account + ":schedule/default/" + name
	if r.Method == http.MethodGet {
		out := maps.Clone(schedule)
		for member, value := range map[string]any{"Arn": arn, "Name": name, "GroupName": "default",
			"CreationDate": 1.7955e9, "LastModificationDate": 1.7956e9} {
			out[member], _ = json.Marshal(value)
		}
		return out, nil
	}
	next := map[string]json.RawMessage{}
	if json.Unmarshal(body, &next) != nil {
		return nil, awsjson.Faultf("ValidationException", "The request body is not JSON.")
	}
	for member := range next {
		if !slices.Contains(members, member) {
			return nil, awsjson.Faultf("ValidationException", "UpdateSchedule has no member %s.", member)
		}
	}
	for _, member := range required {
		if next[member] == nil {
			return nil, awsjson.Faultf("ValidationException", "%s must not be null.", member)
		}
	}
	delete(next, "ClientToken")
	s.schedules[name] = next
	return map[string]string{"ScheduleArn": arn}, nil
}
