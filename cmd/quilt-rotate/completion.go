package main

import (
	_ "embed"
	"io"

	"quilt-rotate/internal/terminal"
)

// The scripts contain the names of commands and options, and the values of options that have a
// fixed list. A test compares the scripts with the commands. With -golden, it writes the scripts.
var (
	//go:embed completion/quilt-rotate.bash
	bashCompletion string
	//go:embed completion/quilt-rotate.fish
	fishCompletion string
)

// zshStart lets zsh run the bash script.
const zshStart = "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n"

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: bash, zsh or fish."`
}

// Help is the long help.
func (completionCommand) Help() string {
	return `To load the script in the current shell, run the line below. To load it in every shell, add the line to
~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish:

  bash, zsh:  source <(quilt-rotate completion bash)
  fish:       quilt-rotate completion fish | source

After an upgrade of quilt-rotate, load the script again. It contains the options of the version that printed it.`
}

func (o completionCommand) Run(c *terminal.Console) error {
	script := map[string]string{"bash": bashCompletion, "zsh": zshStart + bashCompletion,
		"fish": fishCompletion}[o.Shell]
	_, err := io.WriteString(c.Out, script)
	return err
}
