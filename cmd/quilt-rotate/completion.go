package main

import (
	_ "embed"
	"io"

	"quilt-rotate/internal/terminal"
)

// The scripts contain the names of commands, options and listed values. A test compares them with
// the commands, and writes them anew with -golden.
var (
	//go:embed completion/quilt-rotate.bash
	bashCompletion string
	//go:embed completion/quilt-rotate.fish
	fishCompletion string
)

// zshStart lets zsh run the script of bash.
const zshStart = "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n"

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help is the long help.
func (completionCommand) Help() string {
	return `Load the script in the current shell, or put the line into the start file of the shell (~/.bashrc, ~/.zshrc, ~/.config/fish/config.fish):

  bash, zsh:  source <(quilt-rotate completion bash)
  fish:       quilt-rotate completion fish | source

After an upgrade, load the script again: it completes the options of the version that printed it.`
}

func (o completionCommand) Run(c *terminal.Console) error {
	script := map[string]string{"bash": bashCompletion, "zsh": zshStart + bashCompletion,
		"fish": fishCompletion}[o.Shell]
	_, err := io.WriteString(c.Out, script)
	return err
}
