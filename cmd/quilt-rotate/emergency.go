package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/terminal/commandline"
)

type emergencyCommand struct {
	Secret secretID `arg:"" optional:"" help:"Name or ARN of the secret. Optional with --leaked-key."`
	registryOptions
	jsonOption
	yesOption
	loginOptions
	LeakedKey   standardInput      `placeholder:"-" help:"Read the leaked key from standard input. A terminal asks for it and does not show it. Find the secret and the version that hold it."`
	Version     string             `placeholder:"ID" help:"Version whose key leaked: its id, or the start of its id. Default: the current version."`
	Anyway      bool               `help:"Revoke the leaked key even if another managed secret holds it, or if that is not known."`
	Admin       bool               `help:"Log in as an administrator to see whether the leaked key still exists. Needed if its user was deactivated."`
	SkipRestart bool               `help:"Do not restart the services that the tag quilt-rotate:restart names."`
	RestartFor  commandline.Period `default:"10m" placeholder:"10m" help:"How long to wait for the restart of each service."`
	Timeout     commandline.Period `default:"10m" help:"How long to wait for the rotation."`
	RetryFor    commandline.Period `default:"30s" help:"How long to wait for a retry by Secrets Manager after a step of the rotation failed."`
}

// standardInput is an option whose only value is "-".
type standardInput bool

// UnmarshalText refuses any other text and does not quote it, because it may be a key.
func (s *standardInput) UnmarshalText(text []byte) error {
	if string(text) != "-" {
		return errors.New("must be -: the key is read from standard input, because shells keep a history of arguments")
	}
	*s = true
	return nil
}

// Help describes the steps, in their order.
func (emergencyCommand) Help() string {
	return `Use this command if a key leaked. It reports each of these steps with its time:

  1. Replace the key with a rotation. If no function can rotate the secret, you
     log in, and the command creates and stores a new key.
  2. Restart the ECS services that the secret's tag quilt-rotate:restart names.
  3. Revoke the leaked key at once. No other key is revoked.
  4. Verify that the registry refuses the leaked key.
  5. List the user's untracked keys, newest first. An untracked key is a key that
     no managed secret holds. Whoever had the leaked key could have created it.

Examples:

  quilt-rotate emergency prod/pipeline
  quilt-rotate emergency --leaked-key - < leaked.txt

If the command is interrupted, continue with: quilt-rotate emergency SECRET --version ID. The same command revokes one
superseded key before its grace period is over.

With --json: an object with secret, arn, leaked {versionId, keyId, fingerprint}, newVersionId, newKeyId,
leakedKeyRefused, untrackedKeys [{keyId, keyName, createdAt, expiresAt, lastUsedAt, mayBeHeldElsewhere}],
untrackedKnown, timeline [{time, afterSeconds, outcome, what, detail}]. It is also printed if the command failed.
Unknown values are left out.

Exit status 1: the command failed, or it could not verify that the leaked key no longer works.`
}

func (o *emergencyCommand) Run(ctx context.Context, c *terminal.Console) error {
	if o.Secret == "" && !bool(o.LeakedKey) {
		return &usageError{errors.New("give the name of the secret, or the leaked key with --leaked-key -")}
	}
	leaked, scanned, err := o.find(ctx, c)
	if err != nil {
		return err
	}
	d, err := secretOptions{secretArgument{o.Secret}, o.registryOptions, o.jsonOption, o.yesOption}.openOperator(ctx, c)
	if err != nil {
		return err
	}
	defer d.close()
	done, err := d.Emergency(ctx, d.secret, operations.EmergencyOptions{
		Registry: d.registry, LogIn: o.logIn(c), Admin: o.Admin, Version: o.Version, Leaked: leaked, Scanned: scanned,
		Anyway: o.Anyway, Unasked: o.Yes || !c.Interactive(), SkipRestart: o.SkipRestart,
		RestartTime: time.Duration(o.RestartFor),
		Patience:    operations.Patience{Whole: time.Duration(o.Timeout), Retry: time.Duration(o.RetryFor)},
	})
	d.close()
	if !o.JSON {
		o.printUntracked(c, done.Untracked)
	}
	return d.finish(done, true, err, func() error { return nil })
}

// find reads the leaked key, if it is given, and finds the secret and the version that hold it.
func (o *emergencyCommand) find(ctx context.Context, c *terminal.Console) (apikey.Key, *managed.Holders, error) {
	if !bool(o.LeakedKey) {
		return apikey.Key{}, nil, nil
	}
	d, closeOperator, err := openOperator(ctx, c, o.JSON, o.Yes)
	if err != nil {
		return apikey.Key{}, nil, err
	}
	defer closeOperator()
	key, err := askKey(ctx, c, d.Cloud.Place(ctx).String()+"; the key decides which secret and registry are used",
		"the leaked key",
		"pipe the key into the command: quilt-rotate emergency --leaked-key - < FILE; or name the secret that holds it")
	if err != nil {
		return key, nil, err
	}
	found, scanned, err := d.FindLeaked(ctx, key, string(o.Secret))
	if err == nil {
		o.Secret = secretID(found.Secret)
		if o.Version == "" {
			o.Version = found.VersionID
		}
	}
	return key, scanned, err
}

func (o *emergencyCommand) printUntracked(c *terminal.Console, keys []operations.UntrackedKey) {
	for _, k := range keys {
		used := "never used"
		if k.LastUsedAt != nil {
			used = "last used " + status.Clock(*k.LastUsedAt)
		}
		detail := fmt.Sprintf("created %s, %s, %s", status.Clock(k.CreatedAt), used, k.KeyName)
		if k.HeldElsewhere {
			detail += "; a secret in another region or account may hold it"
		}
		_ = c.Print(terminal.Warned, k.KeyID, detail) // a closed output is reported at the end
	}
	if len(keys) > 0 {
		fmt.Fprintln(c.Err, "revoke the keys that you do not recognize: quilt-rotate keys revoke ID")
	}
}
