package commandline

import (
	"time"

	"quilt-rotate/internal/settings"
)

// Period is an option with a duration, in the same form as the settings of the functions.
type Period time.Duration

// UnmarshalText parses the text with [settings.Duration].
func (p *Period) UnmarshalText(text []byte) error {
	d, err := settings.Duration(string(text))
	*p = Period(d)
	return err
}

func (p Period) String() string { return time.Duration(p).String() }
