package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/settings/schedule"
	"quilt-rotate/internal/terminal"
)

type adoptCommand struct {
	secretOptions
	keyOptions
	Schedule       string `placeholder:"EXPR" help:"Rotation schedule in UTC, such as 'rate(30 days)' or 'cron(0 4 ? * SUN *)'. Required to turn rotation on."`
	Window         string `placeholder:"DURATION" help:"Rotation window: how long after the scheduled time a rotation may start, such as 2h. Default: the default of Secrets Manager."`
	RotateFunction string `placeholder:"NAME" help:"Function that rotates the secret. Default: the only rotate function for the registry in the account and region."`

	Grace     string   `placeholder:"DURATION" help:"How long a superseded key stays valid."`
	Quiet     string   `placeholder:"DURATION" help:"How long a superseded key must be unused before it is revoked."`
	HoldLimit string   `placeholder:"DURATION" help:"How long a superseded key that is still in use is kept after its grace period."`
	Issuer    string   `placeholder:"ARN" help:"Secret with the issuing credential, which creates keys if the current key cannot."`
	Tag       []string `sep:"none" placeholder:"NAME=VALUE" help:"Tag to write, with its full name: quilt-rotate:… Can be repeated."`
	Anyway    bool     `help:"Continue even if it could not be checked whether another secret holds the key."`
}

// Help is the long help.
func (adoptCommand) Help() string {
	return `The command finds the key at the registry, shows what it will write, and asks for confirmation. Then it writes the
tags and the label of the key, and turns rotation on. It does not change the value or the key, and it does not rotate
the secret now.

If rotation is on already, its schedule does not change. A secret that another function rotates is refused.

  quilt-rotate adopt prod/pipeline --registry https://registry.example.com --schedule 'rate(30 days)'

To see what the next sweep will do, run quilt-rotate status SECRET afterwards.

With --json: an object with secret, arn, versionId, key {keyId, keyName, fingerprint, owner, status, createdAt,
expiresAt, lastUsedAt}, identified, tags, labelled, rotation {on, next}. Unknown values are left out.`
}

func (o *adoptCommand) Run(ctx context.Context, c *terminal.Console) error {
	tags, err := o.allTags()
	if err != nil {
		return err
	}
	switch every, err := schedule.Parse(o.Schedule); {
	case o.Schedule == "" && o.Window != "":
		return &usageError{errors.New("--window: requires --schedule")}
	case o.Schedule == "":
	case err != nil:
		return &usageError{fmt.Errorf("--schedule: %w", err)}
	case o.Window != "":
		window, err := every.ParseWindow(o.Window)
		if err != nil {
			return &usageError{fmt.Errorf("--window: %w", err)}
		}
		o.Window = fmt.Sprintf("%dh", int(window.Hours())) // the only format that Secrets Manager accepts
	}
	d, err := o.openOperator(ctx, c)
	if err != nil {
		return err
	}
	defer d.close()
	adopted, err := d.Adopt(ctx, operations.Adoption{
		Secret: d.secret, Registry: d.registry, Tags: tags, Anyway: o.Anyway, Schedule: o.Schedule, Window: o.Window,
		Function: o.RotateFunction,
	})
	return d.finish(adopted, err == nil, err, func() error { return nil })
}

// adoptable are the tags that adopt may write.
var adoptable = []string{
	settings.TagField, settings.TagKeyName, settings.TagExpiresInDays, settings.TagGrace, settings.TagQuiet,
	settings.TagHoldLimit, settings.TagIssuer, settings.TagOwner, settings.TagOnNeed, settings.TagRestart,
}

// allTags returns the tags that the options set, including --tag.
func (o *adoptCommand) allTags() (map[string]string, error) {
	tags := o.tags()
	given := map[string]string{settings.TagGrace: o.Grace, settings.TagQuiet: o.Quiet,
		settings.TagHoldLimit: o.HoldLimit, settings.TagIssuer: o.Issuer}
	maps.DeleteFunc(given, func(_, value string) bool { return value == "" })
	maps.Copy(tags, given)
	for _, tag := range o.Tag {
		name, value, ok := strings.Cut(tag, "=")
		if !ok || value == "" {
			return nil, &usageError{errors.New("--tag: must be NAME=VALUE")}
		}
		if !slices.Contains(adoptable, name) {
			return nil, &usageError{fmt.Errorf("--tag %s: not a tag of quilt-rotate; its tags are %s",
				redact.Scrub(name), strings.Join(adoptable, ", "))}
		}
		if other, twice := tags[name]; twice && other != value {
			return nil, &usageError{fmt.Errorf("--tag %s: given twice with different values", name)}
		}
		tags[name] = value
	}
	return tags, checkGiven(tags, optionOf)
}
