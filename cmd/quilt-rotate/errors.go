package main

import (
	"fmt"
)

// A usageError is a wrong call of the command.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// An exitError ends the command with a status, and says nothing more.
type exitError struct{ status int }

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// failed is the end of a command that has told what is wrong, as its result.
func failed() error { return &exitError{exitFailure} }

// A statusError is an error that ends the command with a status of its own.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }
