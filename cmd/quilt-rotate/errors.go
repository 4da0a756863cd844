package main

import "quilt-rotate/internal/terminal/commandline"

// A usageError is a wrong call of the command.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// ExitStatus is the status of a wrong call.
func (e *usageError) ExitStatus() int { return commandline.Usage }

// A statusError is an error with an exit status of its own.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

// ExitStatus is the error's own status.
func (e *statusError) ExitStatus() int { return e.status }
