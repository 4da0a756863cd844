package main

import (
	"context"
	"fmt"
	"time"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/commandline"
	"quilt-rotate/internal/terminal"
)

type rotateCommand struct {
	secretArgument
	jsonOption
	Timeout  commandline.Period `default:"10m" help:"How long to wait for the end."`
	RetryFor commandline.Period `default:"30s" help:"How long to wait, after a step failed, whether Secrets Manager tries again."`
}

// Help says what the short help does not.
func (rotateCommand) Help() string {
	return `Follows the rotation by the secret's labels and the function's log. A Ctrl-C ends only the wait: the rotation goes on at AWS.

  quilt-rotate rotate prod/pipeline

With --json: an object with secret, arn, versionId, keyId (of the new key), complete, steps [{step, durationMs, errorType, error}]. It is printed too where the rotation failed after its start. What is not known is left out.`
}

func (o *rotateCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, closeOperator, err := openOperator(ctx, c, o.JSON, true)
	if err != nil {
		return err
	}
	defer closeOperator()
	s, err := o.open(ctx, d.Cloud)
	if err != nil {
		return err
	}
	rotated, err := d.Rotate(ctx, s, operations.Patience{Whole: time.Duration(o.Timeout), Retry: time.Duration(o.RetryFor)})
	closeOperator()
	if o.JSON && rotated.VersionID != "" {
		if jsonErr := c.JSON(rotated); jsonErr != nil {
			return jsonErr
		}
	}
	if err != nil || o.JSON {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "%s\n%s\n", terminal.Line(terminal.Done, "AWSCURRENT is the new version "+rotated.VersionID, ""), terminal.Line(terminal.Done, "which holds the key           "+rotated.KeyID, ""))
	return err
}
