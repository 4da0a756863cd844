// Command quilt-sandbox runs the rotation in a sandbox on loopback: as a demo, as servers for
// commands that a person types, or for one event. It needs no AWS account and no registry, and
// sends nothing to other machines.
package main

import (
	"github.com/alecthomas/kong"

	"quilt-rotate/internal/terminal/commandline"
)

// commands are the subcommands, in the order of the help.
type commands struct {
	Demo    demoCommand         `cmd:"" help:"Show the life of a key: it is rotated under load, held and revoked. Takes a few seconds."`
	Serve   serveCommand        `cmd:"" help:"Run the sandbox (AWS services and a Quilt registry) until it is interrupted, so that you can try commands."`
	Invoke  invokeCommand       `cmd:"" help:"Invoke a function with an event file. The sandbox is first brought into the state that the event needs."`
	Version commandline.Version `cmd:"" help:"Print the version."`
}

func main() { program().Main() }

func program() commandline.Program {
	return commandline.Program{
		Name:        "quilt-sandbox",
		Description: "Run the rotation of Quilt API keys in a sandbox: AWS services and a Quilt registry on loopback.",
		Commands:    &commands{},
		Groups:      []kong.Group{},
	}
}
