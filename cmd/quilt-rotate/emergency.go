package main

import (
	"context"
	"fmt"
	"time"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/cli/wording"
	"quilt-rotate/internal/commandline"
	"quilt-rotate/internal/terminal"
)

type emergencyCommand struct {
	secretOptions
	loginOptions
	Version     string             `placeholder:"ID" help:"Version whose key has leaked: its id, or how it begins. Default: the current one."`
	Anyway      bool               `help:"Revoke the leaked key even where another secret in care holds it, or that cannot be seen."`
	SkipRestart bool               `help:"Do not restart the services that the tag quilt-rotate:restart names."`
	RestartFor  commandline.Period `default:"10m" placeholder:"10m" help:"How long to wait for each service's restart."`
	Timeout     commandline.Period `default:"10m" help:"How long to wait for the rotation."`
	RetryFor    commandline.Period `default:"30s" help:"How long to wait, after a step of the rotation failed, whether Secrets Manager tries again."`
}

// Help says what is done, in its order.
func (emergencyCommand) Help() string {
	return `For a key that has leaked. In this order, each with its time: ends a rotation that is stuck; rotates; restarts the services that the secret's tag quilt-rotate:restart names; revokes the leaked key at once, and no other; logs in with it, to see that it is refused; and lists the user's keys that no secret in care keeps, newest first, since whoever had the key could make more.

It goes on from where it was cut off: quilt-rotate emergency SECRET --version ID. Exit status 1: the leaked key may still log in.

  quilt-rotate emergency prod/pipeline

With --json: an object with secret, arn, leaked {versionId, keyId, fingerprint}, newVersionId, newKeyId, leakedKeyRefused, strays [{keyId, keyName, createdAt, expiresAt, lastUsedAt}], straysKnown, timeline [{time, afterSeconds, outcome, what, detail}]; it is printed too where the command failed. What is not known is left out.`
}

func (o *emergencyCommand) Run(ctx context.Context, c *terminal.Console) error {
	d, err := o.openOperator(ctx, c)
	if err != nil {
		return err
	}
	defer d.close()
	done, err := d.Emergency(ctx, d.secret, operations.EmergencyOptions{
		Registry: d.registry, LogIn: o.logIn(c), Version: o.Version, Anyway: o.Anyway, Unasked: o.Yes || !c.Interactive(), SkipRestart: o.SkipRestart,
		RestartTime: time.Duration(o.RestartFor),
		Patience:    operations.Patience{Whole: time.Duration(o.Timeout), Retry: time.Duration(o.RetryFor)},
	})
	d.close()
	if o.JSON {
		if jsonErr := c.JSON(done); jsonErr != nil {
			return jsonErr
		}
		return err
	}
	o.printStrays(c, done.Strays)
	return err
}

func (o *emergencyCommand) printStrays(c *terminal.Console, strays []operations.StrayKey) {
	for _, k := range strays {
		used := "never used"
		if k.LastUsedAt != nil {
			used = "last used " + wording.Clock(*k.LastUsedAt)
		}
		_ = c.Tell(terminal.Warned, k.KeyID, fmt.Sprintf("made %s, %s, %s", wording.Clock(k.CreatedAt), used, k.KeyName)) // an output that is gone is told at the end
	}
	if len(strays) > 0 {
		fmt.Fprintln(c.Err, "revoke those that you do not know: quilt-rotate keys revoke ID")
	}
}
