package awssecrets

import (
	"sort"
	"time"
)

// The names of the events, as in CloudTrail and EventBridge.
const (
	RotationStarted       = "RotationStarted"
	RotationSucceeded     = "RotationSucceeded"
	RotationFailed        = "RotationFailed" // one for each failed attempt
	RotationAbandoned     = "RotationAbandoned"
	TestRotationStarted   = "TestRotationStarted"
	TestRotationSucceeded = "TestRotationSucceeded"
	TestRotationFailed    = "TestRotationFailed"
	LabelUpdated          = "Secret Label Updated" // a label moved to another version; not AWSPENDING and AWSPREVIOUS
)

// An Event is an event that the service published.
type Event struct {
	Time      time.Time
	Name      string
	SecretARN string
	VersionID string // of the rotation, or the version that received the label
	Label     string // only for LabelUpdated
	Message   string // only for failures
}

// Events returns all events so far, oldest first.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Event(nil), s.events...)
}

func (s *Server) emit(e Event) {
	e.Time = s.now()
	s.events = append(s.events, e)
}

// emitLabels emits an event for each label that moved between two states.
func (s *Server) emitLabels(before, after *secret) {
	var moved []string
	for label, id := range after.labels {
		if label == pending || label == previous {
			continue
		}
		if before == nil || before.labels[label] != id {
			moved = append(moved, label)
		}
	}
	sort.Strings(moved)
	for _, label := range moved {
		s.emit(Event{Name: LabelUpdated, SecretARN: after.arn, VersionID: after.labels[label], Label: label})
	}
}

// deliver passes new events to OnEvent, in order and without the lock, so that OnEvent may call the
// service. If another goroutine is already delivering, that goroutine delivers these events too.
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
