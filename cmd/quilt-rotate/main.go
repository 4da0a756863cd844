// Command quilt-rotate is the command that operators use for the rotation of Quilt API keys. It
// sets up secrets, checks them, and handles incidents. Each subcommand has a file of its own.
//
// Results go to standard output. Messages go to standard error, and so does progress if the result
// is JSON. Secret text is read from standard input or typed without an echo. It is never an
// argument. Package commandline defines the exit statuses. `exec` exits with the status of the
// program that it runs.
package main

import (
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/terminal/commandline"
)

func main() { program().Main() }

func program() commandline.Program {
	return commandline.Program{
		Name: "quilt-rotate",
		Description: "Operate the rotation of Quilt API keys in AWS Secrets Manager. A secret is managed if our " +
			"functions rotate its key. A superseded key is one that a newer key replaced. A sweep, which runs every " +
			"hour, revokes superseded keys when their grace period is over and nobody uses them. AWS credentials, " +
			"the region and endpoints come from the same places as for the AWS CLI: profiles, AWS_ variables, single " +
			"sign-on.",
		Commands: &commands{},
		Groups:   groups,
		Explain:  awsclient.Explain,
	}
}
