// Command quilt-rotate is for the people who run the rotation of Quilt API keys, from the first key to the worst day; and it shows the rotation at
// work on a sandbox.
//
// What goes where: results go to standard output; what is said to people beside goes to standard error, and so does progress where the result is JSON.
// An error is one sentence after "quilt-rotate: ", in lower case, and the next line says how to go on. What is secret is typed unseen or read
// from standard input, and never an argument.
//
// Exit status: 0 it worked; 1 it did not; 2 it was called in a wrong way; 130 it was interrupted. `exec` has that of the program it ran.
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
	kongcompletion "github.com/jotaen/kong-completion"

	"quilt-rotate/internal/cloud"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/legible"
	"quilt-rotate/internal/terminal"
)

const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // `demo | head` must not end without clearing up
	return execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// execute parses the arguments and runs the command. It gives the exit status.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &output{to: stdout}
	c := terminal.NewConsole(stdin, out, stdout, stderr, os.Environ())
	status := dispatch(ctx, args, c)
	if err := out.err(); err != nil && status == exitOK {
		return report(c, err)
	}
	return status
}

func dispatch(ctx context.Context, args []string, c *terminal.Console) int {
	var chosen commands
	exit := -1
	parser, err := kong.New(&chosen,
		kong.Name("quilt-rotate"),
		kong.Description("Rotate the API keys of a Quilt registry through AWS Secrets Manager. AWS credentials, region and endpoints are found as the AWS SDK finds them."),
		kong.Writers(c.Out, c.Err),
		kong.Exit(func(status int) { exit = status }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ExplicitGroups(groups),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(c),
	)
	if err != nil {
		return report(c, err)
	}
	kongcompletion.Register(parser, kongcompletion.WithExitFunc(func(status int) { exit = status }))
	if exit >= 0 { // a shell asked how a line may go on
		return exit
	}
	parsed, err := parser.Parse(args)
	switch {
	case exit >= 0: // --help was answered
		return exit
	case err != nil:
		return report(c, parseError(err))
	}
	return report(c, inCommand(parsed, parsed.Run()))
}

// report tells of an error and gives the exit status.
func report(c *terminal.Console, err error) int {
	if err == nil {
		return exitOK
	}
	if ended, ok := errors.AsType[*exitError](err); ok {
		return ended.status // it spoke for itself
	}
	err = cloud.Explain(err)
	status := exitFailure
	switch _, usage := errors.AsType[*usageError](err); {
	case errors.Is(err, context.Canceled):
		status = exitInterrupted
		fmt.Fprintln(c.Err, "quilt-rotate: interrupted")
	default:
		fmt.Fprintln(c.Err, "quilt-rotate:", legible.Lines(strings.TrimSpace(err.Error())))
		if usage {
			status = exitUsage
		}
		if own, ok := errors.AsType[*statusError](err); ok {
			status = own.status
		}
	}
	if text := hint.Of(err); text != "" {
		fmt.Fprintln(c.Err, legible.Lines(text))
	}
	if status == exitUsage {
		fmt.Fprintf(c.Err, "see: %s --help\n", called(err))
	}
	return status
}
