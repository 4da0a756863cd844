package quilt

import (
	"encoding/json"
	"errors"
	"time"
)

// errDatetime does not quote the text, which could be anything.
var errDatetime = errors.New("a date is not in the form of RFC 3339")

// datetime is the schema's Datetime in the form of RFC 3339: with "Z" or an offset, with or without
// a fraction of a second. The form is not documented, and servers in Python write either, even
// within one answer.
//
// It is a type with its own UnmarshalJSON, because a function that the generated code calls would
// decode each key of a long list twice.
type datetime struct{ time.Time }

func (d *datetime) UnmarshalJSON(text []byte) error {
	if string(text) == null {
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return errDatetime
	}
	parsed, err := time.Parse(time.RFC3339, s) // also takes a fraction
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
