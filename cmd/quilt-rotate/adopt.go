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
	secretOptions
	keyOptions
	Grace     string   `placeholder:"DURATION" help:"How long a superseded key stays valid."`
	Quiet     string   `placeholder:"DURATION" help:"How long a superseded key must be unused before it is revoked."`
	HoldLimit string   `placeholder:"DURATION" help:"How long a superseded key that is in use is kept at most."`
	Issuer    string   `placeholder:"ARN" help:"Secret with the issuing credential, which creates keys if the current key cannot."`
	Tag       []string `sep:"none" placeholder:"NAME=VALUE" help:"A tag to write, with its full name: quilt-rotate:… Can be repeated."`
	Anyway    bool     `help:"Go on if it could not be checked whether another secret holds the key."`
}

// Help says what the short help does not.
func (adoptCommand) Help() string {
	return `Finds the key at the registry, shows what will be written, asks, and writes tags and the label of the key. It changes neither the value nor the key. To see what the next sweep will do after that: quilt-rotate status SECRET

  quilt-rotate adopt prod/pipeline --registry https://registry.example.com --grace 48h

With --json: an object with secret, arn, versionId, key {keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}, identified, tags, labelled, rotation {on, next}. Unknown values are left out.`
}

func (o *adoptCommand) Run(ctx context.Context, c *terminal.Console) error {
	tags, err := o.allTags()
	if err != nil {
		return err
	}
	d, err := o.openOperator(ctx, c)
	if err != nil {
		return err
	}
	defer d.close()
	adopted, err := d.Adopt(ctx, operations.Adoption{Secret: d.secret, Registry: d.registry, Tags: tags, Anyway: o.Anyway})
	d.close()
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

// allTags are the tags that the options stand for, and those of --tag.
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
			return nil, &usageError{fmt.Errorf("--tag %s: is given twice, with different values", name)}
		}
		tags[name] = value
	}
	return tags, checkGiven(tags, optionOf)
}
