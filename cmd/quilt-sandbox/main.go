// Command quilt-sandbox runs the rotation on a sandbox on loopback: as a demo, for commands typed
// by hand, or for one event. It needs no AWS account and no registry, and reaches nothing outside
// this machine.
package main

import (
	"github.com/alecthomas/kong"

	"quilt-rotate/internal/terminal/commandline"
)

// commands are the subcommands, in the order of the help.
type commands struct {
	Demo    demoCommand         `cmd:"" help:"Watch the life of a key: rotated under load, held, revoked. Takes a few seconds."`
	Serve   serveCommand        `cmd:"" help:"Run the sandbox (AWS services and a Quilt registry) until interrupted, to try commands by hand."`
	Invoke  invokeCommand       `cmd:"" help:"Run a function on an event file, in a sandbox in a state that suits the event."`
	Version commandline.Version `cmd:"" help:"Print the version."`
}

func main() { program().Main() }

func program() commandline.Program {
	return commandline.Program{
		Name: "quilt-sandbox",
		Description: "Run the rotation of Quilt API keys on a sandbox: Secrets Manager, Lambda and a Quilt registry " +
			"on loopback.",
		Commands: &commands{},
		Groups:   []kong.Group{},
	}
}
