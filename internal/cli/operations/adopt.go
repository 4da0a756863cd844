package operations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Adoption has the parameters of [Operator.Adopt].
type Adoption struct {
	Secret   *managed.Secret
	Registry *quilt.Client
	Tags     map[string]string // tags to write; they replace existing values
	Anyway   bool              // continue if it could not be checked whether another secret holds the key

	Schedule, Window string // rotation schedule and window to set
	Function         string // rotate function; "": the only one for the registry
}

// Adopted is the result of an adoption.
type Adopted struct {
	Secret    string             `json:"secret"`
	ARN       string             `json:"arn"`
	VersionID string             `json:"versionId"`
	Key       revocation.KeyInfo `json:"key"`
	// the id of the key is known, so that the key can be revoked when it is superseded
	Identified bool              `json:"identified"`
	Tags       map[string]string `json:"tags"`     // tags that were written
	Labelled   bool              `json:"labelled"` // the key's label was written
	Rotation   Rotation          `json:"rotation"`
}

// An adoption is the state of [Operator.Adopt].
type adoption struct {
	*installation
	Adoption
	current vault.Version
	value   apikey.Value
	proven  proof
	id      string // id of the key; "": not known
	gone    bool   // the function that rotated the secret was deleted
	plan    *rotationPlan
}

// Adopt starts to manage a secret that holds a key: it finds the key at the registry, asks for
// confirmation, writes tags and the key label, and turns rotation on. It changes neither the value
// nor the key.
//
// The tags are written first, because the functions need the tag of the field to find the key.
// Rotation is turned on last, because a rotation that started before the tags were written would
// use other settings. A crash in between leaves a version without the label, or a managed secret
// with rotation off, which `quilt-rotate status` reports. If the command runs again, it continues.
// Two commands at the same time write the same data.
func (d *Operator) Adopt(ctx context.Context, a Adoption) (Adopted, error) {
	s := a.Secret
	gone := false
	if s.Deployed() {
		_, err := s.FunctionRegistryURL(ctx)
		// as after the stack of another release was deleted
		if unseen, ok := errors.AsType[*managed.UnseenFunctionError](err); ok && unseen.Deleted {
			gone = true
		} else if err != nil { // the function may belong to another program
			return Adopted{}, err
		}
	}
	in, err := d.newInstallation(ctx, s, a.Registry, a.Tags, true)
	if err != nil {
		return Adopted{}, err
	}
	x := &adoption{installation: in, Adoption: a, gone: gone}
	if err := x.identify(ctx); err != nil {
		return Adopted{}, err
	}
	unsure, err := x.otherHolders(ctx)
	if err != nil {
		return Adopted{}, err
	}
	if x.plan, err = x.planRotation(ctx); err != nil {
		return Adopted{}, err
	}
	label := x.id != "" && x.current.Key() == ""
	x.show(label)
	result := Adopted{
		Secret: s.Name, ARN: s.ARN, VersionID: x.current.ID, Key: x.proven.info(x.value.Key()), Identified: x.id != "",
		Tags:     map[string]string{},
		Rotation: Rotation{s.Rotation.Enabled, s.Rotation.Next},
	}
	if len(in.missing) == 0 && !label && x.plan == nil {
		d.Progress.Report(terminal.Noted, s.Name+" is already managed: nothing was changed", "")
		return result, nil
	}
	question := s.Name + " becomes managed: its key is rotated, and the old key is revoked after the grace period"
	if unsure != "" {
		question += "; if another secret holds the same key, that key is revoked there too"
	}
	if err := d.Confirm(ctx, question, s.Name); err != nil {
		return result, err
	}
	if err := in.tag(ctx); err != nil {
		return result, in.left(err)
	}
	result.Tags = in.missing
	if label {
		result.Labelled, err = x.label(ctx)
		result.Identified = result.Labelled
	}
	if x.plan != nil && err == nil {
		err = x.switchOn(ctx, x.plan)
		result.Rotation = Rotation{s.Rotation.Enabled, s.Rotation.Next}
	}
	return result, in.left(err)
}

// identify finds the current key at the registry, and the user that it belongs to.
func (x *adoption) identify(ctx context.Context) (err error) {
	s := x.secret
	x.current, x.value, x.proven, err = x.currentKey(ctx)
	switch {
	case isBlank(err):
		if err := x.notOverwritten(x.current.ID); err != nil {
			return err
		}
		return terminal.WithHint(fmt.Errorf("the secret %s waits for its first key: %w", s.Name, err),
			"run: "+x.command("bootstrap"))
	case isBad(err), errors.Is(err, vault.ErrBinary):
		return terminal.WithHint(fmt.Errorf("the value of %s cannot be rotated: %w", s.Name, err),
			"correct the value, or name the key's field with --field")
	case err != nil:
		return err
	}
	label, row, owner := x.current.Key(), x.proven.row, x.settings.Owner
	switch {
	case label != "" && row == nil && !x.proven.limited:
		return terminal.WithHint(fmt.Errorf("the current version of %s has the label of the key %s, but holds "+
			"another key", s.Name, label),
			"to see what is wrong: "+x.command("doctor"))
	case owner != "" && !quilt.SameUser(owner, x.proven.Email):
		return terminal.WithHint(fmt.Errorf("the key in %s belongs to %s, but the tag %s is %s", s.Name, x.proven.Email,
			settings.TagOwner, owner),
			"add --owner "+x.proven.Email+", or store a key of "+owner+" first")
	}
	if x.id = label; label == "" && row != nil {
		x.id = row.ID
	}
	if x.unowned {
		x.missing[settings.TagOwner] = x.proven.Email
	}
	return nil
}

// otherHolders refuses a key that another managed secret holds: after a rotation of one secret, a
// sweep revokes the key of both. unsure is the reason if this is not known: a secret could not be
// read, or the name of the key says that it was created for a secret of another account or region.
func (x *adoption) otherHolders(ctx context.Context) (unsure string, err error) {
	s := x.secret
	var all *managed.Holders
	all, err = x.startScan(ctx).result(ctx)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		unsure = awsclient.Explain(err).Error()
	default:
		others, found := all.Without(s.ARN), []managed.Holder(nil)
		if row := x.proven.row; row != nil {
			found = others.Of(*row)
			if others.Elsewhere(row.Name) {
				unsure = "its name, " + row.Name + ", says that it was created for a secret of another account or " +
					"region"
			}
		}
		for _, h := range append(others.OfKey(x.value.Key()), found...) {
			return "", terminal.WithHint(fmt.Errorf("the secret %s also holds the key of %s: when one of the secrets "+
				"is "+
				"rotated, the key is revoked for both", h.Secret, s.Name),
				"first store another key in "+s.Name+": "+x.command("recover")+" --replace")
		}
		for _, u := range others.Unread {
			unsure = "the secret " + u.Secret + " could not be read: " + awsclient.Explain(u.Err).Error()
		}
		x.Progress.Report(terminal.Noted, "searched the managed secrets for the key", all.Scope())
	}
	const what = "it is not known whether another secret holds the key"
	switch {
	case unsure == "":
	case x.Anyway:
		x.Progress.Report(terminal.Warned, what, unsure)
	default:
		return "", terminal.WithHint(fmt.Errorf("%s: %s", what, unsure), "if you know that no other secret holds the "+
			"key, add --anyway")
	}
	return unsure, nil
}

const noStack = "no stack is deployed in this account and region: deploy it (infra/README.md), then run this command " +
	"again with --schedule"

// show prints the findings, and the changes that will be made.
func (x *adoption) show(label bool) {
	x.Progress.Report(terminal.Done, "the current key logs in", x.value.Key().Fingerprint()+" of "+x.proven.Email)
	if row := x.proven.row; row != nil {
		x.Progress.Report(terminal.Noted, "its name is "+row.Name, "expires on "+day(row.ExpiresAt))
	}
	if x.proven.limited {
		x.Progress.Report(terminal.Warned, "the key has no permission to create keys", "give the secret an issuing "+
			"credential (docs/runbook/NoCreator.md)")
	}
	if x.id == "" {
		x.Progress.Report(terminal.Warned,
			"the id of the key is not known",
			"when the key is superseded, it is not revoked and stays valid until it expires")
	}
	for _, name := range slices.Sorted(maps.Keys(x.missing)) {
		x.Progress.Report(terminal.Later, "will write the tag "+name, x.missing[name])
	}
	if label {
		x.Progress.Report(terminal.Later, "will write the label of the key", x.id)
	}
	switch r := x.secret.Rotation; {
	case x.plan != nil:
		x.Progress.Report(terminal.Later, "will turn rotation on: "+x.plan.rules.Schedule, "by "+x.plan.function.Name+
			"; the secret is not rotated now")
		if row := x.proven.row; row != nil && row.ExpiresAt.Before(x.secret.Now.Add(x.plan.longest)) {
			x.Progress.Report(terminal.Warned, "the current key may expire before the first rotation",
				"after this command, run: quilt-rotate rotate "+x.secret.Name)
		}
	case x.gone:
		x.Progress.Report(terminal.Warned, "the function that rotated the secret was deleted", noStack)
	case !r.Enabled:
		x.Progress.Report(terminal.Warned, "rotation is off", noStack)
	case !r.Next.IsZero():
		x.Progress.Report(terminal.Later, "the next rotation is by "+day(r.Next), "")
	}
}

// label writes the key label, unless the value has changed since it was read.
func (x *adoption) label(ctx context.Context) (written bool, err error) {
	s := x.secret
	err = finish(ctx, func(ctx context.Context) error {
		if err := s.Look(ctx); err != nil {
			return err
		}
		if now, _ := s.Holder(vault.Current); now.ID != x.current.ID {
			return terminal.WithHint(fmt.Errorf("the value of %s was changed at the same time, so no label was written",
				s.Name), sameCommand)
		}
		id, err := rotation.LabelCurrent(ctx, x.Cloud.Vault, s.Secret, x.value, x.settings.Field,
			[]quilt.APIKey{*x.proven.row})
		written = err == nil && id != ""
		return err
	})
	if written {
		x.Progress.Report(terminal.Done, "wrote the label of the key", x.id)
	}
	return written, err
}
