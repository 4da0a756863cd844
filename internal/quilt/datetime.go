package quilt

import (
	"encoding/json"
	"errors"
	"time"
)

// errDatetime does not quote the text: a date is where a confused server could put anything.
var errDatetime = errors.New("a date is not in the form of RFC 3339")

// unmarshalDatetime reads the schema's Datetime: RFC 3339, with "Z" or an offset, with or without a fraction of a second. The
// form is not documented, and servers in Python write one or the other, even within one answer.
func unmarshalDatetime(text []byte, date *time.Time) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return errDatetime
	}
	parsed, err := time.Parse(time.RFC3339, s) // takes a fraction, too
	if err != nil {
		return errDatetime
	}
	*date = parsed
	return nil
}
