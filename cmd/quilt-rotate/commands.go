package main

import (
	"github.com/alecthomas/kong"

	"quilt-rotate/internal/terminal/commandline"
)

// commands are the subcommands, in the order that the help shows.
type commands struct {
	Bootstrap bootstrapCommand `cmd:"" group:"secret" help:"Create the first key of a secret and store it. A secret that does not exist is created."`
	Adopt     adoptCommand     `cmd:"" group:"secret" help:"Start to manage a secret that already holds a key."`
	Status    statusCommand    `cmd:"" group:"secret" help:"Show the versions and keys of secrets, their rotation, and what the next sweep will do."`
	Rotate    rotateCommand    `cmd:"" group:"secret" help:"Rotate a secret now and wait until the rotation ends."`
	Revoke    revokeCommand    `cmd:"" group:"secret" help:"Sweep a secret now: revoke superseded keys that nobody uses."`
	Retire    retireCommand    `cmd:"" group:"secret" help:"Revoke the keys of a secret that is no longer needed, and stop managing it."`
	Exec      execCommand      `cmd:"" group:"secret" help:"Run a program with the current key in its environment."`

	Doctor    doctorCommand    `cmd:"" group:"incident" help:"Check secrets and their deployment for problems, and print a fix for each problem."`
	Emergency emergencyCommand `cmd:"" group:"incident" help:"Replace a leaked key, revoke it, verify that it no longer works, and list untracked keys."`
	Rollback  rollbackCommand  `cmd:"" group:"incident" help:"Move AWSCURRENT back to the version that was current before."`
	Recover   recoverCommand   `cmd:"" group:"incident" help:"Store a key that works if the registry refuses the current key."`
	Unstick   unstickCommand   `cmd:"" group:"incident" help:"End a rotation that cannot finish."`
	Pause     pauseCommand     `cmd:"" group:"incident" help:"Pause the sweeps of a secret for a limited time, or the sweeps of all secrets with --all."`
	Resume    resumeCommand    `cmd:"" group:"incident" help:"Resume the sweeps of a secret, or of all secrets with --all."`

	Keys   keysCommand   `cmd:"" group:"registry" help:"List, show, create and revoke API keys at the registry."`
	Audit  auditCommand  `cmd:"" group:"registry" help:"Report all keys of the registry, with findings such as unused or expiring. For administrators."`
	Report reportCommand `cmd:"" group:"registry" help:"Report the rotations of secrets for auditors, with key ages, revocations, gaps and exceptions."`
	Trail  trailCommand  `cmd:"" group:"registry" help:"Show who used which key, when and from where. Queries the registry's audit trail with Athena."`

	Version    commandline.Version `cmd:"" group:"other" help:"Print the version, as --version does."`
	Completion completionCommand   `cmd:"" group:"other" help:"Print the completion script for a shell: bash, zsh or fish."`
}

// groups are the headings in the help.
var groups = []kong.Group{
	{Key: "secret", Title: "One secret"},
	{Key: "incident", Title: "When something is wrong"},
	{Key: "registry", Title: "Keys at the registry"},
	{Key: "other", Title: "Other"},
}
