package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// execCommand sets the current key in its environment and calls execve, which replaces this process
// with the program. So no parent process holds the key, and signals, standard streams and the exit
// status need no forwarding. Nothing is written to disk. The user of the program and root can read
// its environment.
type execCommand struct {
	secretArgument
	Command []string     `arg:"" optional:"" passthrough:"" help:"Program to run and its arguments. Optional with --check."`
	Env     variableName `default:"QUILT_API_KEY" placeholder:"NAME" help:"Environment variable for the key. Default: QUILT_API_KEY."`
	Check   bool         `help:"Log in to the registry with the key first. If the login fails, do not run the program. Without a program, only check the key. By default, no request is sent to the registry."`
	registryOptions
}

// Help is the long help.
func (execCommand) Help() string {
	return `Put -- before the program:

  quilt-rotate exec prod/pipeline -- python job.py

To check whether the current key works, leave the program out. The command then logs in to the registry with the key,
and prints the user and when the key expires:

  quilt-rotate exec prod/pipeline --check

The command sets QUILT_API_KEY to the secret's current key, and QUILT_REGISTRY_URL and QUILT_API_KEY_REGISTRY to the
registry of the key. If the registry is not known, it removes these two variables. With --env NAME, it sets only NAME
and NAME_REGISTRY. If the program runs quilt-rotate, quilt-rotate refuses to send the key to another registry.

The program replaces this process, so it receives signals directly. It keeps the key that was current when it started.
If a rotation replaces that key, the key works until its grace period is over. Restart the program within that time.

Exit status: the status of the program. As in shells, 127 if the program is not found, and 126 if it cannot be run. With
--check, 1 if the key does not log in.`
}

// Exit statuses of shells (POSIX, "Exit Status for Commands").
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// A variableName is the name of an environment variable.
type variableName string

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// UnmarshalText accepts the names that shells accept. The error does not quote the text, which may
// be a key.
func (v *variableName) UnmarshalText(text []byte) error {
	if !variableForm.Match(text) || strings.HasPrefix(string(text), "qk_") {
		return errors.New("must be the name of a variable: letters, digits and _, and no digit at the start")
	}
	*v = variableName(text)
	return nil
}

// Run finds the program before it reads the key.
func (o *execCommand) Run(ctx context.Context, c *terminal.Console) error {
	command := o.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 && o.Check {
		return o.check(ctx, c)
	}
	if len(command) == 0 {
		return terminal.WithHint(&usageError{errors.New("no program is given")}, "add the program after --: "+
			"quilt-rotate exec "+string(o.Secret)+" -- PROGRAM ARGUMENTS…")
	}
	path, err := lookUp(command[0])
	if err != nil {
		return err
	}
	environment, err := o.environment(ctx, c)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	releaseSignals()
	return notRun(command[0], syscall.Exec(path, command, environment))
}

// releaseSignals restores the signal handling that this process was started with. execve resets
// handlers, but an ignored signal stays ignored, and package commandline ignores SIGPIPE. Reset
// alone does not change that, because the Go runtime assumes that its own handler is still
// installed. Notify installs it.
func releaseSignals() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signal.Reset()
}

// lookUp finds a program as a shell does. It searches the working directory only if PATH contains
// it.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil || errors.Is(err, exec.ErrDot):
		return path, nil
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		return "", terminal.WithHint(&statusError{fmt.Errorf("the program %s was not found", name), exitNotFound},
			"check its name and PATH; quilt-rotate exec uses no shell, so aliases do not work")
	}
	return "", notRun(name, err)
}

func notRun(name string, err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno
	}
	return &statusError{fmt.Errorf("the program %s cannot be run: %w", name, err), exitCannotRun}
}

// check logs in with the key, and prints the user and when the key expires.
func (o *execCommand) check(ctx context.Context, c *terminal.Console) error {
	s, key, err := o.key(ctx, c)
	if err != nil {
		return err
	}
	registry, err := o.ofSecret(ctx, s)
	if err != nil {
		return err
	}
	current, _ := s.Holder(vault.Current)
	user, row, err := operations.LogIn(ctx, registry, key, current.Key())
	if err != nil {
		return doesNotLogIn(s, err)
	}
	expires := "the registry does not show when it expires"
	if row != nil {
		expires = "it expires " + keyExpires(*row)
	}
	fmt.Fprintf(c.Out, "the current key of %s logs in at %s as %s; %s\n", s.Name, registry.URL(),
		terminal.Legible(user.Email), expires)
	return nil
}

func doesNotLogIn(s *managed.Secret, err error) error {
	return terminal.WithHint(fmt.Errorf("the current key of %s does not log in: %w", s.Name, err),
		"quilt-rotate doctor "+s.Name)
}

// key returns the secret and its current key.
func (o *execCommand) key(ctx context.Context, c *terminal.Console) (*managed.Secret, apikey.Key, error) {
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return nil, apikey.Key{}, err
	}
	s, err := managed.Open(ctx, aws, string(o.Secret)) // a replica has the key, too
	if err != nil {
		return nil, apikey.Key{}, untouched(err)
	}
	key, err := currentKey(ctx, s)
	return s, key, err
}

// environment returns the environment of this process with the key and its registry.
// QUILT_REGISTRY_URL names the registry of the key in QUILT_API_KEY. If the new key is set in
// another variable, QUILT_REGISTRY_URL does not change, so that a key that is already in
// QUILT_API_KEY is not sent to another registry.
func (o *execCommand) environment(ctx context.Context, c *terminal.Console) ([]string, error) {
	s, key, err := o.key(ctx, c)
	if err != nil {
		return nil, err
	}
	url, err := o.registryURL(ctx, s)
	if err != nil {
		return nil, err
	}
	if o.Check {
		if err := o.logIn(ctx, s, key); err != nil {
			return nil, err
		}
	}
	if url == "" {
		fmt.Fprintf(c.Err, "%s is not set, because the registry is not known: to set it, add --registry, or set the "+
			"tag %s of the secret\n", registryVariable(string(o.Env)), settings.TagRegistry)
	}
	environment := with(os.Environ(), string(o.Env), key.Reveal())
	if o.Env == environmentKey {
		environment = with(environment, settings.EnvRegistryURL, url)
	}
	return with(environment, registryVariable(string(o.Env)), url), nil
}

// currentKey returns the key in AWSCURRENT.
func currentKey(ctx context.Context, s *managed.Secret) (apikey.Key, error) {
	current, ok := s.Holder(vault.Current)
	if !ok {
		return apikey.Key{}, terminal.WithHint(fmt.Errorf("the secret %s has no current version", s.Name),
			"quilt-rotate bootstrap "+s.Name)
	}
	value, err := s.Value(ctx, current.ID)
	if _, blank := errors.AsType[*apikey.BlankValueError](err); blank {
		return apikey.Key{}, terminal.WithHint(fmt.Errorf("the secret %s waits for its first key", s.Name),
			"quilt-rotate bootstrap "+s.Name)
	}
	if _, bad := errors.AsType[*apikey.BadValueError](err); bad {
		return apikey.Key{}, fmt.Errorf("the secret %s: %w", s.Name, err)
	}
	return value.Key(), err
}

// registryURL returns the registry that the secret's tag or its function names. If neither names
// one, it returns the registry that the options name, or "", because a user who runs programs may
// not have permission to read functions. A variable does not count, because it may name the
// registry of another key.
func (o *execCommand) registryURL(ctx context.Context, s *managed.Secret) (string, error) {
	given, _, err := o.given(ctx)
	if err != nil {
		return "", err
	}
	_, err = s.RegistryURL(ctx)
	_, differ := errors.AsType[*fault.WrongRegistry](err)
	switch {
	case err == nil || differ || s.RegistryTagged() || ctx.Err() != nil:
		return s.ResolveRegistry(ctx, given)
	case given == "":
		return "", nil
	}
	return settings.RegistryURL(given)
}

func (o *execCommand) logIn(ctx context.Context, s *managed.Secret, key apikey.Key) error {
	registry, err := o.ofSecret(ctx, s)
	if err != nil {
		return err
	}
	if _, err := registry.WithKey(key).Me(ctx); err != nil {
		return doesNotLogIn(s, err)
	}
	return nil
}

// with sets a variable, or removes it if the value is empty.
func with(environment []string, name, value string) []string {
	environment = slices.DeleteFunc(slices.Clone(environment),
		func(variable string) bool { return strings.HasPrefix(variable, name+"=") })
	if value == "" {
		return environment
	}
	return append(environment, name+"="+value)
}
