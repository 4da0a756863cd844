package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awsathena"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

type sandboxCommand struct {
	functionsOption
	AWSPort      port `name:"aws-port" placeholder:"N" help:"Port of the AWS services on 127.0.0.1. Default: any free one."`
	RegistryPort port `name:"registry-port" placeholder:"N" help:"Port of the Quilt registry on 127.0.0.1. Default: any free one."`

	// Short, so that somebody who tries by hand sees a key die.
	Grace     period `default:"1m" help:"Grace period of the revoke function."`
	Quiet     period `default:"30s" help:"Quiet period of the revoke function."`
	OrphanAge period `default:"1m" help:"Age at which the revoke function takes a key for an orphan."`
	Logs      bool   `negatable:"" default:"true" help:"Copy the functions' logs to standard error."`
}

// Help says how it is used.
func (sandboxCommand) Help() string {
	return `Runs until Ctrl-C, and prints what to set in another shell, so that every command works on it. Nothing outside of this machine is touched.

  quilt-rotate sandbox
  quilt-rotate sandbox --grace 5m --no-logs`
}

func (o *sandboxCommand) Run(ctx context.Context, c *terminal.Console) (err error) {
	functions, err := o.find()
	if err != nil {
		return err
	}
	options := scene.Options{
		Sandbox:   sandbox.Options{AWSPort: int(o.AWSPort), RegistryPort: int(o.RegistryPort)},
		Functions: functions,
		RevokeEnvironment: map[string]string{
			settings.EnvGrace: o.Grace.String(), settings.EnvQuiet: o.Quiet.String(), settings.EnvOrphanAge: o.OrphanAge.String(),
		},
	}
	if o.Logs {
		options.Sandbox.Logs = c.Err
	}
	s, err := scene.Open(options)
	if errors.Is(err, syscall.EADDRINUSE) {
		return hint.With(err, "choose another port with --aws-port or --registry-port, or leave them out")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := o.prepare(ctx, s, c); err != nil {
		return err
	}
	rotateWhenDue(ctx, s)
	return nil // Ctrl-C is how it ends
}

// prepare makes what there is to try, and prints how to reach it.
func (o *sandboxCommand) prepare(ctx context.Context, s *scene.Scene, c *terminal.Console) error {
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
	s.ServeAthena(awsathena.New(awsathena.Options{Clock: s.Clock, Trail: s.Registry}), awsathena.Operation)
	if err := o.printExports(s, c, own, adminKey); err != nil {
		return err
	}
	o.printHints(c)
	return nil
}

// printExports prints what a shell needs to reach the sandbox, and nothing else, so that it can be sourced. The keys in it are the
// sandbox's own, and worth nothing outside.
func (o *sandboxCommand) printExports(s *scene.Scene, c *terminal.Console, own quilt.CreatedKey, adminKey string) error {
	var lines strings.Builder
	for _, variable := range s.Exports() {
		fmt.Fprintf(&lines, "export %s=%s\n", variable[0], variable[1])
	}
	fmt.Fprintf(&lines, "export QUILT_AUDIT_DATABASE=%s\nexport QUILT_AUDIT_WORKGROUP=%s\n", awsathena.DefaultDatabase, awsathena.DefaultWorkgroup)
	fmt.Fprintf(&lines, "export QUILT_API_KEY=%s\n", own.Secret.Reveal())
	fmt.Fprintf(&lines, "export QUILT_ADMIN_API_KEY=%s\n", adminKey)
	_, err := io.WriteString(c.Out, lines.String())
	return err
}

func (o *sandboxCommand) printHints(c *terminal.Console) {
	fmt.Fprintf(c.Err, `
The sandbox runs until Ctrl-C. In another terminal, paste the lines above, and try:

  quilt-rotate status
  quilt-rotate rotate %[1]s
  quilt-rotate doctor %[1]s
  quilt-rotate trail

The AWS CLI and the AWS SDKs work against it, too.

A replaced key lives for %[2]s, and until nobody has used it for %[3]s.
`, scene.SecretName, o.Grace, o.Quiet)
}

// rotateWhenDue starts the rotations that are due, as the service does, until ctx ends.
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
