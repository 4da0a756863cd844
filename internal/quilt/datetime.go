package quilt

import (
	"encoding/json"
	"errors"
	"time"
)

// errDatetime does not contain the text, which may be a secret.
var errDatetime = errors.New("a date is not in the form of RFC 3339")

// datetime is the schema's Datetime in the form of RFC 3339: with "Z" or an offset, and with or
// without a fraction of a second. The form is not documented, and Python servers write all of
// these, even in one answer.
//
// It has its own UnmarshalJSON, because with a function that the generated code calls, each key of
// a long list would be decoded twice.
type datetime struct{ time.Time }

func (d *datetime) UnmarshalJSON(text []byte) error {
	if string(text) == null {
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return errDatetime
	}
	parsed, err := time.Parse(time.RFC3339, s) // also accepts a fraction
	if err != nil {
		return errDatetime
	}
	d.Time = parsed
	return nil
}

// timeOf returns nil if there is no date.
func timeOf(d *datetime) *time.Time {
	if d == nil {
		return nil
	}
	return &d.Time
}
