// Package commandline runs the commands of a program: it parses the arguments, reports errors and
// chooses the exit status.
//
// Results go to standard output, and everything else goes to standard error. An error is one line
// in lower case after the program's name. The next line says what to do. The exit status is 0 for
// success, 1 for a failure, 2 for wrong usage, 130 if the command was interrupted, and 141 if the
// reader of standard output has ended. An error may set another exit status.
package commandline

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

	"quilt-rotate/internal/terminal"
)

// The exit statuses.
const (
	OK          = 0
	Failure     = 1
	Usage       = 2
	Interrupted = 130
	brokenPipe  = 128 + int(syscall.SIGPIPE) // as for a program that SIGPIPE ended
)

// A Program is a set of commands.
type Program struct {
	Name        string
	Description string
	Commands    any // pointer to a struct of commands, as kong reads it
	Groups      []kong.Group
	Explain     func(error) error // rewords an error before it is reported; may be nil
}

// Main runs the program with the arguments of the process, and ends the process.
func (p Program) Main() { os.Exit(p.run()) }

func (p Program) run() int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup sets it to ignored
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // so that a command finishes its work if the reader of its output has ended
	return p.Execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// Execute runs the command in the arguments and returns the exit status.
func (p Program) Execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &output{to: stdout}
	c := terminal.NewConsole(stdin, out, stdout, stderr, os.Environ())
	err := p.dispatch(ctx, usual(args), c)
	// if the command itself failed, its error is reported
	if lost := out.err(); lost != nil && (err == nil || err.Error() == lost.Error()) {
		if errors.Is(lost, syscall.EPIPE) { // as with `| head -1`
			return brokenPipe
		}
		err = lost
	}
	return p.report(c, err)
}

// usual translates the forms that most programs accept: `help`, `help COMMAND`, `-v`, `--version`,
// and no arguments.
func usual(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(args[1:len(args):len(args)], "--help")
	case len(args) == 1 && (args[0] == "-v" || args[0] == "--version"):
		return []string{"version"}
	}
	return args
}

func (p Program) dispatch(ctx context.Context, args []string, c *terminal.Console) error {
	helped := false
	parser, err := kong.New(p.Commands,
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.Writers(c.Out, c.Err),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ExplicitGroups(p.Groups),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(c),
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return nil
	case err != nil:
		return parseError(err)
	}
	return inCommand(parsed, parsed.Run())
}

// report prints an error and returns the exit status.
func (p Program) report(c *terminal.Console, err error) int {
	if err == nil {
		return OK
	}
	if errors.Is(err, ErrReported) {
		return Failure
	}
	status := statusOf(err)
	if p.Explain != nil {
		err = p.Explain(err)
	}
	message := strings.TrimSpace(err.Error())
	if status == Interrupted {
		message = "interrupted"
	}
	fmt.Fprintf(c.Err, "%s: %s\n", p.Name, terminal.LegibleLines(message))
	if text := terminal.Hint(err); text != "" {
		fmt.Fprintln(c.Err, terminal.LegibleLines(text))
	}
	if status == Usage {
		fmt.Fprintf(c.Err, "see: %s --help\n", commandOf(err, p.Name))
	}
	return status
}

// statusOf returns the exit status for an error: that of its method ExitStatus, if it has one.
func statusOf(err error) int {
	var own interface{ ExitStatus() int }
	switch {
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.As(err, &own):
		return own.ExitStatus()
	}
	return Failure
}
