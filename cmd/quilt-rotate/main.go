// Command quilt-rotate is the operators' command for the rotation of Quilt API keys: setting up a
// secret, daily checks, incidents.
//
// Results go to standard output; messages, and progress if the result is JSON, go to standard
// error. A secret text is read from standard input or typed without an echo. It is never an
// argument. Package commandline has the exit statuses; `exec` has that of the program that it runs.
package main

import (
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/terminal/commandline"
)

func main() { program().Main() }

func program() commandline.Program {
	return commandline.Program{
		Name: "quilt-rotate",
		Description: "Rotate the API keys of a Quilt registry through AWS Secrets Manager. " +
			"AWS credentials, region and endpoints come from the usual places of the AWS SDK: profiles, AWS_ " +
			"variables, single sign-on.",
		Commands: &commands{},
		Groups:   groups,
		Explain:  awsclient.Explain,
	}
}
