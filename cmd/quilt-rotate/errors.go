package main

// A usageError is a wrong call of the command.
type usageError struct{ error }

// A hintedError says how to go on.
type hintedError struct {
	error
	hint string
}

func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hintedError{err, hint}
}

func (e *usageError) Unwrap() error  { return e.error }
func (e *hintedError) Unwrap() error { return e.error }
