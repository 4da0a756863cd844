package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"quilt-rotate/internal/hint"
)

// completion prints what a shell runs to complete this command's lines. The shell then asks this very program at each key press, so that what is
// offered is what it knows; it asks nothing over the network.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help says what to do with it.
func (completionCommand) Help() string {
	return `For the shell that you are in, and for good in its start file (~/.bashrc, ~/.zshrc, ~/.config/fish/config.fish):

  bash, zsh:  source <(quilt-rotate completion bash)
  fish:       quilt-rotate completion fish | source`
}

// Run leaves the code to the library. It writes this program's path as it is, so a path that a shell would take apart is refused.
func (o completionCommand) Run(parsed *kong.Context) error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the path of this program: %w", err)
	}
	if strings.ContainsAny(path, " \t\n'\"$`\\*?[]{}()<>|&;#~!") {
		return hint.With(errors.New("the path of this program has a character that shells take apart, so none can be told to run it"), "put the program in a folder such as ~/bin or /usr/local/bin")
	}
	code := kongcompletion.Completion{Shell: o.Shell, Code: true}
	return code.Run(parsed)
}
