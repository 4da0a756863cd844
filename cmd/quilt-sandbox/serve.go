package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/terminal/commandline"
)

// A port is a port to listen on. 0 is any free port.
type port uint16

// UnmarshalText parses a number of 16 bits.
func (p *port) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return errors.New("must be a port number from 1 to 65535, or 0 for any free port")
	}
	*p = port(n)
	return nil
}

type serveCommand struct {
	functionsOption
	AWSPort      port `name:"aws-port" placeholder:"N" help:"Port of the AWS services on 127.0.0.1. Default: any free port."`
	RegistryPort port `name:"registry-port" placeholder:"N" help:"Port of the Quilt registry on 127.0.0.1. Default: any free port."`

	// The defaults are short, so that a person can watch how a key is revoked.
	Grace     commandline.Period `default:"1m" help:"Grace period of the revoke function."`
	Quiet     commandline.Period `default:"30s" help:"Quiet period of the revoke function."`
	OrphanAge commandline.Period `default:"1m" help:"Age at which the revoke function treats a key that no version holds as an orphan."`
	Logs      bool               `negatable:"" default:"true" help:"Copy the functions' logs to standard error."`
}

// Help describes how to use the sandbox.
func (serveCommand) Help() string {
	return `The sandbox runs until you press Ctrl-C. It prints environment variables to set in another shell. With these variables, every quilt-rotate command uses the sandbox, and
nothing outside this machine is changed.

  quilt-sandbox serve
  quilt-sandbox serve --grace 5m --no-logs`
}

func (o *serveCommand) Run(ctx context.Context, c *terminal.Console) (err error) {
	functions, err := o.find()
	if err != nil {
		return err
	}
	options := scene.Options{
		Sandbox:   sandbox.Options{AWSPort: int(o.AWSPort), RegistryPort: int(o.RegistryPort)},
		Functions: functions,
		RevokeEnvironment: map[string]string{
			settings.EnvGrace: o.Grace.String(), settings.EnvQuiet: o.Quiet.String(),
			settings.EnvOrphanAge: o.OrphanAge.String(),
		},
	}
	if o.Logs {
		options.Sandbox.Logs = c.Err
	}
	s, err := scene.Open(options)
	if errors.Is(err, syscall.EADDRINUSE) {
		return terminal.WithHint(err, "choose another port with --aws-port or --registry-port, or omit these options")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := o.prepare(ctx, s, c); err != nil {
		return err
	}
	rotateWhenDue(ctx, s)
	return nil // Ctrl-C is the normal end
}

// prepare creates a secret and keys, and prints how to use them.
func (o *serveCommand) prepare(ctx context.Context, s *scene.Scene, c *terminal.Console) error {
	own, err := s.MakeKey(ctx, "by-hand")
	if err != nil {
		return err
	}
	_, adminKey := s.Registry.MintKey(sandbox.AdminEmail, "by-hand-admin", settings.DefaultExpiresInDays)
	first, err := s.MakeKey(ctx, "pipeline-prod-first")
	if err != nil {
		return err
	}
	arn, err := s.StoreSecret(ctx, scene.SecretName, first.Secret)
	if err != nil {
		return err
	}
	if err := s.ConfigureRotation(ctx, arn); err != nil {
		return err
	}
	audit := serveAthena(s)
	if err := o.printExports(s, c, own, adminKey, audit); err != nil {
		return err
	}
	o.printHints(c)
	return nil
}

// printExports prints the variables that a shell needs to use the sandbox. It prints nothing else,
// so that a shell can source the output. The keys in it are keys of the sandbox.
func (o *serveCommand) printExports(s *scene.Scene, c *terminal.Console, own quilt.CreatedKey, adminKey string,
	audit [][2]string) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the folder of this program: %w", err)
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "export PATH=%s:\"$PATH\"\n", quoted(filepath.Dir(program)))
	for _, variable := range append(s.Exports(), audit...) {
		fmt.Fprintf(&lines, "export %s=%s\n", variable[0], variable[1])
	}
	fmt.Fprintf(&lines, "export QUILT_API_KEY=%s\n", own.Secret.Reveal())
	fmt.Fprintf(&lines, "export QUILT_ADMIN_API_KEY=%s\n", adminKey)
	_, err = io.WriteString(c.Out, lines.String())
	return err
}

// quoted returns the text as one word of a POSIX shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func (o *serveCommand) printHints(c *terminal.Console) {
	fmt.Fprintf(c.Err, `
The sandbox runs until you press Ctrl-C. Paste the lines above into another terminal. Then you can run, for example:

  quilt-rotate status
  quilt-rotate rotate %[1]s
  quilt-rotate doctor %[1]s
  quilt-rotate trail

The AWS CLI and the AWS SDKs work with the sandbox too.

A superseded key remains valid for %[2]s, and until nobody has used it for %[3]s.
`, scene.SecretName, o.Grace, o.Quiet)
}

// rotateWhenDue starts the rotations that are due, as Secrets Manager does, until ctx ends.
func rotateWhenDue(ctx context.Context, s *scene.Scene) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.Secrets.RotateDue()
		case <-ctx.Done():
			return
		}
	}
}
