package awssecrets

import (
	"sort"
	"time"
)

// Names of the events, as CloudTrail and EventBridge spell them.
const (
	RotationStarted       = "RotationStarted"
	RotationSucceeded     = "RotationSucceeded"
	RotationFailed        = "RotationFailed" // one for each try that failed
	RotationAbandoned     = "RotationAbandoned"
	TestRotationStarted   = "TestRotationStarted"
	TestRotationSucceeded = "TestRotationSucceeded"
	TestRotationFailed    = "TestRotationFailed"
	LabelUpdated          = "Secret Label Updated" // any label but AWSPENDING and AWSPREVIOUS got to another version
)

// An Event is something that the service told the account about.
type Event struct {
	Time      time.Time
	Name      string
	SecretARN string
	VersionID string // of the rotation, or the version that received the label
	Label     string // of LabelUpdated
	Message   string // of the failures
}

// Events are all events so far, oldest first.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Event(nil), s.events...)
}

func (s *Server) emit(e Event) {
	e.Time = s.now()
	s.events = append(s.events, e)
}

// emitLabels tells which labels moved between two states.
func (s *Server) emitLabels(was, is *secret) {
	var moved []string
	for label, id := range is.labels {
		if label == pending || label == previous {
			continue
		}
		if was == nil || was.labels[label] != id {
			moved = append(moved, label)
		}
	}
	sort.Strings(moved)
	for _, label := range moved {
		s.emit(Event{Name: LabelUpdated, SecretARN: is.arn, VersionID: is.labels[label], Label: label})
	}
}

// deliver hands new events to the observer, in order and outside the lock, so that the observer may
// call the service. Whoever finds another goroutine at it leaves its events to that one.
func (s *Server) deliver() {
	if s.options.OnEvent == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delivering {
		return
	}
	s.delivering = true
	for s.delivered < len(s.events) {
		event := s.events[s.delivered]
		s.delivered++
		s.mu.Unlock()
		s.options.OnEvent(event)
		s.mu.Lock()
	}
	s.delivering = false
}
