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
	Secret secretID `arg:"" optional:"" help:"Name or ARN of the secret. With --leaked-key, it may be left out."`
	registryOptions
	jsonOption
	yesOption
	loginOptions
	LeakedKey   standardInput      `placeholder:"-" help:"Read the leaked key from standard input, or type it unseen, and find the secret and version that hold it."`
	Version     string             `placeholder:"ID" help:"Version whose key leaked: its id, or the start of it. Default: the current one."`
	Anyway      bool               `help:"Revoke the leaked key even if another managed secret holds it, or that is not known."`
	Admin       bool               `help:"Log in as an administrator, to see whether the leaked key exists, if its user was deactivated."`
	SkipRestart bool               `help:"Do not restart the services that the tag quilt-rotate:restart names."`
	RestartFor  commandline.Period `default:"10m" placeholder:"10m" help:"How long to wait for the restart of each service."`
	Timeout     commandline.Period `default:"10m" help:"How long to wait for the rotation."`
	RetryFor    commandline.Period `default:"30s" help:"How long to wait for Secrets Manager to try again after a step of the rotation failed."`
}

// standardInput is an option whose only value is "-".
type standardInput bool

// UnmarshalText refuses anything else, which may be a key, without quoting it.
func (s *standardInput) UnmarshalText(text []byte) error {
	if string(text) != "-" {
		return errors.New("must be -, so that the key comes from standard input: shells keep a history of arguments")
	}
	*s = true
	return nil
}

// Help says what is done, in its order.
func (emergencyCommand) Help() string {
	return `For a key that leaked. The command does the following and reports each step with its time: it replaces the key by a rotation or, if no function can rotate the secret, by a key that is created after you log in; restarts the services that the secret's tag quilt-rotate:restart names; revokes the leaked key at once, and no other; proves that the registry refuses it; and lists the user's keys that no managed secret holds, newest first, because whoever had the key could create more.

If it is interrupted, continue with: quilt-rotate emergency SECRET --version ID. The same command revokes one superseded key early. Exit status 1: it is not proved that the leaked key no longer works.

  quilt-rotate emergency prod/pipeline
  quilt-rotate emergency --leaked-key - < leaked.txt

With --json: an object with secret, arn, leaked {versionId, keyId, fingerprint}, newVersionId, newKeyId, leakedKeyRefused, untrackedKeys [{keyId, keyName, createdAt, expiresAt, lastUsedAt, mayBeHeldElsewhere}], untrackedKnown, timeline [{time, afterSeconds, outcome, what, detail}]; it is also printed if the command failed. Unknown values are left out.`
}

func (o *emergencyCommand) Run(ctx context.Context, c *terminal.Console) error {
	if o.Secret == "" && !bool(o.LeakedKey) {
		return &usageError{errors.New("name the secret, or give the leaked key with --leaked-key -")}
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
	key, err := askKey(ctx, c, d.Cloud.Place(ctx).String()+"; the secret and the registry are those of the key",
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
		beside := fmt.Sprintf("created %s, %s, %s", status.Clock(k.CreatedAt), used, k.KeyName)
		if k.HeldElsewhere {
			beside += "; a secret in another region or account may hold it"
		}
		_ = c.Tell(terminal.Warned, k.KeyID, beside) // a closed output is reported at the end
	}
	if len(keys) > 0 {
		fmt.Fprintln(c.Err, "revoke those that you do not know: quilt-rotate keys revoke ID")
	}
}
