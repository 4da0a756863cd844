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
	RetryFor commandline.Period `default:"30s" help:"How long to wait for Secrets Manager to try again after a step failed."`
}

// Help is the long help.
func (rotateCommand) Help() string {
	return `Starts a rotation and follows it by the secret's labels and the function's log. Ctrl-C ends only the wait: the rotation continues at AWS. If another rotation is under way and active, that one is followed, and no second one is started. If another rotation replaces the new key before this command has seen it become current, it says so and exits with status 0.

  quilt-rotate rotate prod/pipeline

With --json: an object with secret, arn, versionId, keyId (of the new key), complete, replaced, steps [{step, durationMs, errorType, error}]. It is also printed if the rotation failed after its start. Unknown values are left out.`
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
		_ = c.Tell(terminal.Done, what, "") // a closed output is reported at the end
		return c.Tell(terminal.Done, "it holds the key "+rotated.KeyID, "")
	})
}
