// Command quilt-rotate is for the people who run the rotation of Quilt API keys: it shows the rotation at work on a sandbox, and runs
// the functions by hand.
//
// What goes where: results go to standard output; what is said to people beside goes to standard error. An error is one sentence after
// "quilt-rotate: ", in lower case, and the next line says how to go on.
//
// Exit status: 0 it worked; 1 it did not; 2 it was called in a wrong way; 130 it was interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// commands are the subcommands, each with its options.
type commands struct {
	Demo    demoCommand    `cmd:"" help:"Watch the life of a key: rotated under load, held, revoked; on a sandbox, in a few seconds."`
	Sandbox sandboxCommand `cmd:"" help:"Run the sandbox (Secrets Manager, Lambda, Quilt registry) until interrupted, to try things by hand."`
	Invoke  invokeCommand  `cmd:"" help:"Run a function on an event file, in a sandbox where that event makes sense."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// console is where a command speaks.
type console struct {
	out, err io.Writer
	terminal io.Writer // what out goes to in the end, for what it can show
}

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // `demo | head` must not end without clearing up
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// execute parses the arguments and runs the command. It gives the exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &output{to: stdout}
	c := console{out: out, err: stderr, terminal: stdout}
	status := dispatch(ctx, args, c)
	if err := out.err(); err != nil && status == exitOK {
		return report(c, err)
	}
	return status
}

func dispatch(ctx context.Context, args []string, c console) int {
	var chosen commands
	exit := -1
	parser, err := kong.New(&chosen,
		kong.Name("quilt-rotate"),
		kong.Description("Rotate the API keys of a Quilt registry through AWS Secrets Manager."),
		kong.Writers(c.out, c.err),
		kong.Exit(func(status int) { exit = status }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(c),
	)
	if err != nil {
		return report(c, err)
	}
	parsed, err := parser.Parse(args)
	switch {
	case exit >= 0: // --help was answered
		return exit
	case err != nil:
		return report(c, &usageError{err})
	}
	return report(c, parsed.Run())
}

// report tells of an error and gives the exit status.
func report(c console, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(c.err, "quilt-rotate: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(c.err, "quilt-rotate:", strings.TrimSpace(err.Error()))
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		fmt.Fprintln(c.err, hinted.hint)
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintln(c.err, "see: quilt-rotate --help")
		return exitUsage
	}
	return exitFailure
}
