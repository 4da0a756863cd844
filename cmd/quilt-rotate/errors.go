package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// A usageError is a wrong call of the command.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// A commandError knows which command failed, whose help says how it is called.
type commandError struct {
	error
	command string // "quilt-rotate keys list"
}

func (e *commandError) Unwrap() error { return e.error }

func inCommand(parsed *kong.Context, err error) error {
	if err == nil || parsed == nil {
		return err
	}
	words := []string{"quilt-rotate"}
	for _, part := range parsed.Path {
		if part.Command != nil {
			words = append(words, part.Command.Name)
		}
	}
	return &commandError{err, strings.Join(words, " ")}
}

// called is the command that the error is of.
func called(err error) string {
	if e, ok := errors.AsType[*commandError](err); ok {
		return e.command
	}
	return "quilt-rotate"
}

// takenForFlag is how the parser says that a value begins with a dash.
var takenForFlag = regexp.MustCompile(`expected \S+ value but got .* \((?:short|long) flag\)`)

// parseError is a wrong call, as the parser saw it.
func parseError(err error) error {
	var at *kong.Context
	if e, ok := errors.AsType[*kong.ParseError](err); ok {
		at = e.Context
	}
	text := takenForFlag.ReplaceAllLiteralString(err.Error(), "needs a value")
	text = strings.Replace(text, `must be one of "",`, "must be one of ", 1) // nothing is how the option is left out
	if text != err.Error() {
		err = errors.New(text)
	}
	return inCommand(at, &usageError{err})
}

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
