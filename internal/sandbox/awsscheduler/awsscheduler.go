// Package awsscheduler is Amazon EventBridge Scheduler on loopback, as far as a schedule is looked
// at and switched: GetSchedule and UpdateSchedule of the default group. A test declares the
// schedules. Nothing here ever starts a target.
//
// It follows the EventBridge Scheduler API Reference (2021-06-30), a REST API with JSON.
// UpdateSchedule replaces the whole schedule, as on AWS: a member that the request leaves out is
// gone, and one of the members that a schedule must have is missed. It never checks a signature or
// a permission.
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
	schedules map[string]map[string]json.RawMessage // by name: the members of UpdateSchedule
}

// Path reports whether a request's path is one of this service.
func Path(path string) bool { return strings.HasPrefix(path, prefix) }

// Operation names the operation that a request asks for.
func Operation(r *http.Request, _ []byte) string {
	switch {
	case Path(r.URL.Path) && r.Method == http.MethodGet:
		return "GetSchedule"
	case Path(r.URL.Path) && r.Method == http.MethodPut:
		return "UpdateSchedule"
	}
	return r.Method + " " + r.URL.Path
}

// Add declares a schedule: the members that UpdateSchedule takes, in JSON.
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

// Members are those of a schedule, as the last request left them; nil: there is none of the name.
func (s *Server) Members(name string) map[string]json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.schedules[name])
}

// ServeHTTP is the service's API.
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

// required are the members without which no schedule is; members are all that UpdateSchedule takes
// beside the name.
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
	if schedule == nil || !Path(r.URL.Path) {
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
