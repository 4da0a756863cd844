package commandline

import (
	"time"

	"quilt-rotate/internal/settings"
)

// Period is an option with a duration, in the form that the settings of the functions have.
type Period time.Duration

// UnmarshalText applies the rule of the settings.
func (p *Period) UnmarshalText(text []byte) error {
	d, err := settings.Duration(string(text))
	*p = Period(d)
	return err
}

func (p Period) String() string { return time.Duration(p).String() }
