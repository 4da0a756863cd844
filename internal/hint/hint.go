// Package hint gives an error a second line that says how to go on: what to run, to set or to look at. The sentence stays the error's own.
package hint

import "errors"

type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// With gives err a hint. Nil stays nil.
func With(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// Of is the hint of the error, or of the first one in its chain that has one; "" where none has.
func Of(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	return ""
}
