package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A runner runs the commands that a person would type.
type runner struct {
	root        string // of the checkout
	command     string // path of quilt-rotate
	environment []string
	in          *os.File // for the login
	out         io.Writer
}

// cdk runs the cdk command in infra and shows its output.
func (r *runner) cdk(ctx context.Context, arguments ...string) error {
	command := r.prepare(ctx, filepath.Join(r.root, "infra", "node_modules", ".bin", "cdk"), arguments)
	command.Dir = filepath.Join(r.root, "infra")
	command.Stdout, command.Stderr = r.out, r.out
	if err := command.Run(); err != nil {
		return fmt.Errorf("cdk %s: %w", arguments[0], err)
	}
	return nil
}

// rotate runs quilt-rotate and decodes its output into result if result is not nil. input is its
// standard input.
func (r *runner) rotate(ctx context.Context, result any, input string, arguments ...string) error {
	command := r.prepare(ctx, r.command, arguments)
	command.Stdin = strings.NewReader(input)
	var output, failure bytes.Buffer
	command.Stdout, command.Stderr = &output, &failure
	err := command.Run()
	if result != nil {
		decoded := json.Unmarshal(output.Bytes(), result) // also of a command that failed
		if err == nil {
			err = decoded
		}
	}
	if err != nil {
		return fmt.Errorf("quilt-rotate %s: %w: %s", arguments[0], err, oneLine(failure.String()))
	}
	return nil
}

// logIn runs a command that may ask for a login, on the terminal of the user.
func (r *runner) logIn(ctx context.Context, arguments ...string) error {
	command := r.prepare(ctx, r.command, arguments)
	command.Stdin, command.Stdout, command.Stderr = r.in, r.out, r.out
	if err := command.Run(); err != nil {
		return fmt.Errorf("quilt-rotate %s: %w", arguments[0], err)
	}
	return nil
}

func (r *runner) prepare(ctx context.Context, program string, arguments []string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), r.environment...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	return command
}

// errExit returns the exit status of a command, or -1.
func errExit(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}
