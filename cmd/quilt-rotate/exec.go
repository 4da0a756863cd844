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
	"strings"
	"syscall"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// exec gives a program the current key in its environment, and becomes that program: execve replaces this process. So there is no parent that
// holds the key as well, or that would have to pass on signals, the terminal, standard streams and the exit status; all of these are the
// program's by nature. Nothing touches the disk. Whoever may read the program's environment (its user, and root) sees the key there; that
// is what the environment is.
type execCommand struct {
	secretArgument
	Command []string     `arg:"" passthrough:"" help:"Program to run, with its arguments."`
	Env     variableName `default:"QUILT_API_KEY" placeholder:"NAME" help:"Variable that gets the key."`
	Check   bool         `help:"Log in with the key first, and run nothing where that fails. Off by default: a program need not wait for the registry to start."`
	registryOptions
}

// Help says what the short help does not.
func (execCommand) Help() string {
	return `Put -- before the program: quilt-rotate exec prod/pipeline -- python job.py

The program gets QUILT_API_KEY from the secret's current version, and QUILT_REGISTRY_URL where it can be found; variables of these names are replaced, all
others stay. It runs in the place of this process, so that signals and the exit status are its own. It keeps the key that was current when it
started: where that key is replaced, it works on until its grace period is over, so restart the program within that time.

Exit status: the program's; 127 where it is not found, 126 where it cannot be run, as in shells.`
}

// Exit statuses of shells (POSIX, "Exit Status for Commands").
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// A variableName is the name of an environment variable.
type variableName string

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// UnmarshalText takes what a shell takes for a variable's name. It quotes nothing: people paste keys into the wrong place.
func (v *variableName) UnmarshalText(text []byte) error {
	if !variableForm.Match(text) || strings.HasPrefix(string(text), "qk_") {
		return errors.New("must be a variable's name: letters, digits and _, and no digit first")
	}
	*v = variableName(text)
	return nil
}

// Run finds the program before it asks for the key.
func (o *execCommand) Run(ctx context.Context, c *terminal.Console) error {
	command := o.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		return hint.With(&usageError{errors.New("no program is named")}, "name it after --: quilt-rotate exec "+string(o.Secret)+" -- CMD…")
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

// releaseSignals gives the program the signals as this process was started with: execve sets handlers back by itself, but what is ignored stays so, and main
// ignores a closed pipe. Reset alone does not end that, since the Go runtime takes its own handler to be there still; Notify puts it there.
func releaseSignals() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signal.Reset()
}

// lookUp finds a program as a shell does, the working directory included where PATH has it.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil || errors.Is(err, exec.ErrDot):
		return path, nil
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		return "", hint.With(&statusError{fmt.Errorf("there is no program %s", name), exitNotFound}, "see its name and PATH; quilt-rotate exec starts no shell, so it knows no aliases")
	}
	return "", notRun(name, err)
}

func notRun(name string, err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno
	}
	return &statusError{fmt.Errorf("the program %s cannot be run: %w", name, err), exitCannotRun}
}

// environment is this process's, with the key and the registry in it.
func (o *execCommand) environment(ctx context.Context, c *terminal.Console) ([]string, error) {
	aws, err := awsclient.Open(ctx)
	if err != nil {
		return nil, err
	}
	s, err := managed.Open(ctx, aws, string(o.Secret)) // a replica, too: it has the key
	if err != nil {
		return nil, untouched(err)
	}
	key, err := currentKey(ctx, s)
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
	environment := with(os.Environ(), string(o.Env), key.Reveal())
	if url == "" {
		fmt.Fprintf(c.Err, "%s is not set: neither --registry nor a rotation function tells the registry\n", settings.EnvRegistryURL)
		return environment, nil
	}
	return with(environment, settings.EnvRegistryURL, url), nil
}

// currentKey is the key that the secret holds now.
func currentKey(ctx context.Context, s *managed.Secret) (apikey.Key, error) {
	current, ok := s.Holder(vault.Current)
	if !ok {
		return apikey.Key{}, hint.With(fmt.Errorf("the secret %s has no current version", s.Name), "quilt-rotate bootstrap "+s.Name)
	}
	value, err := s.Value(ctx, current.ID)
	if _, blank := errors.AsType[*apikey.BlankValueError](err); blank {
		return apikey.Key{}, hint.With(fmt.Errorf("the secret %s waits for its first key", s.Name), "quilt-rotate bootstrap "+s.Name)
	}
	if _, bad := errors.AsType[*apikey.BadValueError](err); bad {
		return apikey.Key{}, fmt.Errorf("the secret %s: %w", s.Name, err)
	}
	return value.Key(), err
}

// registryURL is the registry that the secret's tag names. Without the tag it is the registry that the options name, else the rotation function's,
// else the environment's: whoever runs programs need not have permission to look at functions.
func (o *execCommand) registryURL(ctx context.Context, s *managed.Secret) (string, error) {
	given, err := o.given(ctx)
	if err != nil {
		return "", err
	}
	if s.RegistryTagged() {
		return s.ResolveRegistry(ctx, given)
	}
	if given != "" {
		given, err = settings.RegistryURL(given)
		if err != nil {
			err = fmt.Errorf("the registry's URL %w", err)
		}
		return given, err
	}
	if url, err := s.RegistryURL(ctx); err == nil {
		return url, nil
	}
	return os.Getenv(settings.EnvRegistryURL), ctx.Err()
}

func (o *execCommand) logIn(ctx context.Context, s *managed.Secret, key apikey.Key) error {
	registry, err := o.ofSecret(ctx, s)
	if err != nil {
		return err
	}
	if _, err := registry.WithKey(key).Me(ctx); err != nil {
		return hint.With(fmt.Errorf("the current key of %s does not log in: %w", s.Name, err), "quilt-rotate doctor "+s.Name)
	}
	return nil
}

// with sets a variable, in the place of every one of that name.
func with(environment []string, name, value string) []string {
	kept := make([]string, 0, len(environment)+1)
	for _, variable := range environment {
		if !strings.HasPrefix(variable, name+"=") {
			kept = append(kept, variable)
		}
	}
	return append(kept, name+"="+value)
}
