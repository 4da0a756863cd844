package demo

import (
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox/demo/scene"
)

// An Event is one event of the demo. It contains no key and no text of the presentation, which
// [Screen] adds.
type Event interface{ event() }

type (
	// Opened: the sandbox was started.
	Opened struct{ AWS, Registry string }
	// Chapter: a chapter begins.
	Chapter struct {
		Number, Of int
		Title      string
	}
	// Did: a simple action was done.
	Did struct{ What, Detail string }
	// Versions: the versions of the secret and their labels.
	Versions struct {
		When     string
		Versions []scene.Version
	}
	// Began: an action that takes some time has begun.
	Began struct{ What string }
	// Stepped: a step of the rotation ended. The fields are those of the function's log line.
	Stepped struct {
		Step    string
		Took    time.Duration
		Outcome string
		Key     string // fingerprint of the pending key
		Error   string // empty: it succeeded
	}
	// Consumed: the figures of a consumer. This event is repeated.
	Consumed struct {
		Consumer string
		Tally
	}
	// Stopped: a consumer ended.
	Stopped struct{ Consumer string }
	// ClockMoved: the sandbox's clock was advanced.
	ClockMoved struct {
		By  time.Duration
		Now time.Time
	}
	// Swept: a sweep ended.
	Swept struct {
		At      time.Time
		Actions []revocation.Taken
	}
	// Checked: the demo checked a promise itself.
	Checked struct {
		Promise string
		Kept    bool
		Detail  string // the reason, or a figure
	}
	// Ended: the demo ended.
	Ended struct {
		Kept, Promises int
		Took           time.Duration
	}
)

func (Opened) event()     {}
func (Chapter) event()    {}
func (Did) event()        {}
func (Versions) event()   {}
func (Began) event()      {}
func (Stepped) event()    {}
func (Consumed) event()   {}
func (Stopped) event()    {}
func (ClockMoved) event() {}
func (Swept) event()      {}
func (Checked) event()    {}
func (Ended) event()      {}
