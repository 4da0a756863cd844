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
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// execCommand gives a program the current key in its environment, and becomes that program: execve replaces this process. So no parent process holds the key,
// too, or has to forward signals, standard streams and the exit status. Nothing is written to disk. Whoever may read the program's environment, which is
// its user and root, sees the key there.
type execCommand struct {
	secretArgument
	Command []string     `arg:"" passthrough:"" help:"Program to run, with its arguments."`
	Env     variableName `default:"QUILT_API_KEY" placeholder:"NAME" help:"Variable that gets the key."`
	Check   bool         `help:"Log in with the key first, and run nothing if that fails. By default the program starts without a request to the registry."`
	registryOptions
}

// Help says what the short help does not.
func (execCommand) Help() string {
	return `Put -- before the program: quilt-rotate exec prod/pipeline -- python job.py

The program gets QUILT_API_KEY from the secret's current version, and QUILT_REGISTRY_URL and QUILT_API_KEY_REGISTRY with the registry that the key belongs to, as
far as it is known. Other variables stay. The commands of quilt-rotate refuse to send the key to another registry. The program runs in place of this process,
so signals and the exit status are its own. It keeps the key that was current when it started. If that key is replaced, it works until its grace period is
over: restart the program within that time.

Exit status: the program's; 127 if it is not found, 126 if it cannot be run, as in shells.`
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
		return terminal.WithHint(&usageError{errors.New("no program is named")}, "name it after --: quilt-rotate exec "+string(o.Secret)+" -- CMD…")
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
		return "", terminal.WithHint(&statusError{fmt.Errorf("there is no program %s", name), exitNotFound}, "see its name and PATH; quilt-rotate exec starts no shell, so it knows no aliases")
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
	aws, err := awsclient.Open(ctx, c)
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
	if url == "" { // another key's registry must not stay beside this key
		fmt.Fprintf(c.Err, "%s is not set: neither --registry, nor the secret's tag, nor its function names the registry\n", settings.EnvRegistryURL)
		return without(without(environment, settings.EnvRegistryURL), registryVariable(string(o.Env))), nil
	}
	return with(with(environment, settings.EnvRegistryURL, url), registryVariable(string(o.Env)), url), nil
}

// currentKey is the key that the secret holds now.
func currentKey(ctx context.Context, s *managed.Secret) (apikey.Key, error) {
	current, ok := s.Holder(vault.Current)
	if !ok {
		return apikey.Key{}, terminal.WithHint(fmt.Errorf("the secret %s has no current version", s.Name), "quilt-rotate bootstrap "+s.Name)
	}
	value, err := s.Value(ctx, current.ID)
	if _, blank := errors.AsType[*apikey.BlankValueError](err); blank {
		return apikey.Key{}, terminal.WithHint(fmt.Errorf("the secret %s waits for its first key", s.Name), "quilt-rotate bootstrap "+s.Name)
	}
	if _, bad := errors.AsType[*apikey.BadValueError](err); bad {
		return apikey.Key{}, fmt.Errorf("the secret %s: %w", s.Name, err)
	}
	return value.Key(), err
}

// registryURL is the registry that the secret's tag or its function names. If neither says it, it is the one that the options name, or "": the user
// that runs programs need not have permission to look at functions. The environment may name another key's registry, so it does not count.
func (o *execCommand) registryURL(ctx context.Context, s *managed.Secret) (string, error) {
	given, err := o.given(ctx)
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
		return terminal.WithHint(fmt.Errorf("the current key of %s does not log in: %w", s.Name, err), "quilt-rotate doctor "+s.Name)
	}
	return nil
}

// with sets a variable, in place of every one of that name.
func with(environment []string, name, value string) []string {
	return append(without(environment, name), name+"="+value)
}

func without(environment []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(variable string) bool { return strings.HasPrefix(variable, name+"=") })
}
