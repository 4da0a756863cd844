package commandline

import (
	"errors"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// ErrReported ends a command that failed and has already reported the failure as its result.
var ErrReported = errors.New("the command has reported a failure")

// A parseFailure is the error for arguments that the program does not accept.
type parseFailure struct{ error }

func (e *parseFailure) Unwrap() error { return e.error }

// ExitStatus returns the exit status for wrong usage.
func (e *parseFailure) ExitStatus() int { return Usage }

// A commandError names the command that failed.
type commandError struct {
	error
	command string // "quilt-rotate keys list"
}

func (e *commandError) Unwrap() error { return e.error }

func inCommand(parsed *kong.Context, err error) error {
	if err == nil || parsed == nil {
		return err
	}
	words := []string{parsed.Model.Name}
	for _, part := range parsed.Path {
		if part.Command != nil {
			words = append(words, part.Command.Name)
		}
	}
	return &commandError{err, strings.Join(words, " ")}
}

// commandOf returns the command that failed, or the program's name if none was chosen.
func commandOf(err error, program string) string {
	if e, ok := errors.AsType[*commandError](err); ok {
		return e.command
	}
	return program
}

// takenForFlag matches the parser's message for a value that begins with a dash.
var takenForFlag = regexp.MustCompile(`expected \S+ value but got .* \((?:short|long) flag\)`)

// parseError rewords an error of the parser.
func parseError(err error) error {
	var at *kong.Context
	if e, ok := errors.AsType[*kong.ParseError](err); ok {
		at = e.Context
	}
	text := takenForFlag.ReplaceAllLiteralString(err.Error(), "needs a value")
	// an empty value means that the option is omitted
	text = strings.Replace(text, `must be one of "",`, "must be one of ", 1)
	if text != err.Error() {
		err = errors.New(text)
	}
	return inCommand(at, &parseFailure{err})
}
