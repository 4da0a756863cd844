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
	"quilt-rotate/internal/terminal"
)

type adoptCommand struct {
	secretArgument
	registryOptions
	keyOptions
	sweeperOption
	yesOption
	jsonOption
	Grace          string   `placeholder:"DURATION" help:"How long a superseded key lives."`
	Quiet          string   `placeholder:"DURATION" help:"How long a superseded key must have gone unused before it is revoked."`
	HoldLimit      string   `placeholder:"DURATION" help:"How long a superseded key is kept at the most while it is used."`
	Issuer         string   `placeholder:"ARN" help:"Secret with the credential that makes keys where the current one cannot."`
	Tag            []string `sep:"none" placeholder:"NAME=VALUE" help:"A tag to write, by its full name: quilt-rotate:… May be given again."`
	RotateFunction string   `placeholder:"ARN" help:"Function that is expected to rotate the secret; another one is refused."`
}

// Help says what the short help does not.
func (adoptCommand) Help() string {
	return `Finds the key at the registry, shows what would follow, asks, and writes tags and the label of the key. Neither the value nor the key is touched.

  quilt-rotate adopt prod/pipeline --registry https://registry.example.com --grace 48h

With --json: an object with secret, arn, versionId, key {keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}, identified, tags, labelled, rotation {on, next}, sweep (what a sweep would do then, as quilt-rotate revoke --dry-run has it). What is not known is left out.`
}

func (o *adoptCommand) Run(ctx context.Context, c *terminal.Console) error {
	tags, err := o.allTags()
	if err != nil {
		return err
	}
	d, closeOperator, err := openOperator(ctx, c, o.JSON, o.Yes)
	if err != nil {
		return err
	}
	defer closeOperator()
	s, err := o.open(ctx, d.Cloud)
	if err != nil {
		return err
	}
	s.RevokeFunction = o.RevokeFunction
	if err := operations.RotatedByUs(ctx, s, o.RotateFunction); err != nil {
		return err
	}
	registry, err := o.ofSecret(ctx, s)
	if err != nil {
		return err
	}
	adopted, err := d.Adopt(ctx, operations.Adoption{Secret: s, Registry: registry, Tags: tags})
	closeOperator()
	if err != nil || !o.JSON {
		return err
	}
	return c.JSON(adopted)
}

// adoptable are the tags that an adoption may write.
var adoptable = []string{
	settings.TagField, settings.TagKeyName, settings.TagExpiresInDays, settings.TagGrace, settings.TagQuiet, settings.TagHoldLimit,
	settings.TagIssuer, settings.TagOwner, settings.TagRestart,
}

// allTags are those of the options with names of their own, and of --tag.
func (o *adoptCommand) allTags() (map[string]string, error) {
	tags := o.tags()
	given := map[string]string{settings.TagGrace: o.Grace, settings.TagQuiet: o.Quiet, settings.TagHoldLimit: o.HoldLimit, settings.TagIssuer: o.Issuer}
	maps.DeleteFunc(given, func(_, value string) bool { return value == "" })
	maps.Copy(tags, given)
	for _, tag := range o.Tag {
		name, value, ok := strings.Cut(tag, "=")
		if !ok || value == "" {
			return nil, &usageError{errors.New("--tag takes NAME=VALUE")}
		}
		if !slices.Contains(adoptable, name) {
			return nil, &usageError{fmt.Errorf("--tag %s: quilt-rotate has no such tag; its tags are %s", redact.Scrub(name), strings.Join(adoptable, ", "))}
		}
		if other, twice := tags[name]; twice && other != value {
			return nil, &usageError{fmt.Errorf("--tag %s: is given twice, and says different things", name)}
		}
		tags[name] = value
	}
	return tags, checkGiven(tags, optionOf)
}
