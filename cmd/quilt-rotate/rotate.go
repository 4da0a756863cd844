package main

import (
	"context"
	"time"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/terminal/commandline"
)

type rotateCommand struct {
	secretArgument
	jsonOption
	Timeout  commandline.Period `default:"10m" help:"How long to wait for the rotation to end."`
	RetryFor commandline.Period `default:"30s" help:"How long to wait for a retry by Secrets Manager after a step failed."`
}

// Help is the long help.
func (rotateCommand) Help() string {
	return `Starts a rotation, shows each step, and waits until the new key is current. If another rotation is already under
way, the command follows that rotation and starts no second one.

Ctrl-C ends only the wait. The rotation continues at AWS.

  quilt-rotate rotate prod/pipeline

With --json: an object with secret, arn, versionId, keyId (of the new key), complete, replaced, steps [{step, durationMs,
errorType, error}]. It is also printed if the rotation failed after its start. Unknown values are left out.

Exit status 0: the rotation completed, even if another rotation replaced the new key before this command saw it
become current.`
}

func (o *rotateCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openSecret(ctx, c, o.jsonOption, yesOption{Yes: true})
	if err != nil {
		return err
	}
	rotated, err := d.Rotate(ctx, d.secret, operations.Patience{Whole: time.Duration(o.Timeout),
		Retry: time.Duration(o.RetryFor)})
	return d.finish(rotated, rotated.VersionID != "", err, func() error {
		what := "AWSCURRENT is the new version " + rotated.VersionID
		if rotated.Replaced {
			what = "the rotation completed, and another rotation then replaced its version " + rotated.VersionID
		}
		_ = c.Print(terminal.Done, what, "") // a closed output is reported at the end
		return c.Print(terminal.Done, "the version holds the key "+rotated.KeyID, "")
	})
}
