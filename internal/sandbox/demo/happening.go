package demo

import (
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox/demo/scene"
)

// A Happening is something that the story tells. It holds no key and no words of presentation: a
// [Screen] finds those.
type Happening interface{ happening() }

type (
	// Opened: the sandbox is up.
	Opened struct{ AWS, Registry string }
	// Chapter: a part of the story begins.
	Chapter struct {
		Number, Of int
		Title      string
	}
	// Did: something simple was done.
	Did struct{ What, Detail string }
	// Versions: what the secret's versions and labels are now.
	Versions struct {
		When     string
		Versions []scene.Version
	}
	// Began: something that takes a moment is under way.
	Began struct{ What string }
	// Stepped: a step of the rotation is over, as the function's own log line tells it.
	Stepped struct {
		Step    string
		Took    time.Duration
		Outcome string
		Key     string // fingerprint of the pending key
		Error   string // empty: it succeeded
	}
	// Consumed: how a consumer fares. They come all the time.
	Consumed struct {
		Consumer string
		Tally
	}
	// Stopped: a consumer ended.
	Stopped struct{ Consumer string }
	// ClockMoved: the sandbox's time jumped.
	ClockMoved struct {
		By  time.Duration
		Now time.Time
	}
	// Swept: a sweep is over.
	Swept struct {
		At      time.Time
		Actions []revocation.Taken
	}
	// Checked: the demo looked for itself whether a promise was kept.
	Checked struct {
		Promise string
		Kept    bool
		Detail  string // why not, or a figure
	}
	// Ended: the story is over.
	Ended struct {
		Kept, Promises int
		Took           time.Duration
	}
)

func (Opened) happening()     {}
func (Chapter) happening()    {}
func (Did) happening()        {}
func (Versions) happening()   {}
func (Began) happening()      {}
func (Stepped) happening()    {}
func (Consumed) happening()   {}
func (Stopped) happening()    {}
func (ClockMoved) happening() {}
func (Swept) happening()      {}
func (Checked) happening()    {}
func (Ended) happening()      {}
