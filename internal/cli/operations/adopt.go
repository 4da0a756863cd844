package operations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Adoption is what an existing secret is taken into care with.
type Adoption struct {
	Secret   *managed.Secret // [RotatedByUs]
	Registry *quilt.Client
	Tags     map[string]string // to write; they replace what is there
}

// Adopted tells what was found of a secret that is taken into care, and what was written.
type Adopted struct {
	Secret     string             `json:"secret"`
	ARN        string             `json:"arn"`
	VersionID  string             `json:"versionId"`
	Key        revocation.KeyInfo `json:"key"`
	Identified bool               `json:"identified"` // the key is told from others, so that it can be revoked once it is superseded
	Tags       map[string]string  `json:"tags"`       // that were written; none: they were there already
	Labelled   bool               `json:"labelled"`   // the label of the key was written
	Rotation   Rotation           `json:"rotation"`
	Sweep      *revocation.Result `json:"sweep,omitempty"` // what a sweep would do then
}

// Adopt takes a secret into care that has a key already: it finds the key at the registry, shows what would follow, and writes tags and the label of the
// key. It touches neither the value nor the key, and none of what it writes is needed by anybody else.
//
// Tags come first: they say by which field the label's key is found. A crash between leaves a version without a label, which the next rotation
// writes, or this again. Twice at once: both write the same.
func (d *Operator) Adopt(ctx context.Context, a Adoption) (Adopted, error) {
	s := a.Secret
	if err := CheckTags(a.Tags); err != nil {
		return Adopted{}, err
	}
	tags := maps.Clone(s.Tags)
	maps.Copy(tags, a.Tags)
	rules, err := checkTags(ctx, s, tags)
	if err != nil {
		return Adopted{}, err
	}
	found := &adoption{Operator: d, Adoption: a, rules: rules, tags: tags}
	if err := found.look(ctx); err != nil {
		return Adopted{}, err
	}
	result := found.result()
	found.tell(ctx, &result)
	if len(found.missing) == 0 && !found.unlabelled() {
		d.Tell.Tell(terminal.Noted, s.Name+" is in care already: nothing was done", "")
		return result, nil
	}
	if err := d.Confirm(ctx, found.question(), s.Name); err != nil {
		return result, err
	}
	return result, found.write(ctx, &result)
}

// RotatedByUs refuses a secret that another program rotates. expected is the function that the caller expects, by name or ARN; "": any of ours. Nothing
// is wrong with a secret that none rotates yet.
func RotatedByUs(ctx context.Context, s *managed.Secret, expected string) error {
	function := s.Rotation.Function
	if function == "" {
		return nil // the stack's deployment sets it
	}
	if expected != "" && function != expected && !strings.HasSuffix(function, ":function:"+expected) {
		return terminal.WithHint(fmt.Errorf("the secret %s is rotated by %s, and not by %s", s.Name, function, expected), "see which of them is right: aws secretsmanager describe-secret --secret-id "+s.Name)
	}
	if _, err := s.FunctionRegistryURL(ctx); err != nil {
		if _, foreign := errors.AsType[*managed.ForeignFunctionError](err); !foreign { // not seen, not allowed, interrupted: that tells nothing
			return err
		}
		return terminal.WithHint(fmt.Errorf("another rotation function is set: %w", err), "switch that rotation off first: aws secretsmanager cancel-rotate-secret --secret-id "+s.Name)
	}
	return nil
}

// checkTags keeps the rules of the functions, so that no tag is written that stops them.
func checkTags(ctx context.Context, s *managed.Secret, tags map[string]string) (settings.Rotation, error) {
	rules, err := rotationSettings(ctx, s, tags)
	if err != nil {
		return rules, err
	}
	if _, err := (settings.Revoke{}).ForSecret(tags); err != nil {
		return rules, err
	}
	if _, err := settings.ParseRestart(tags[settings.TagRestart]); err != nil {
		return rules, fmt.Errorf("the tag %s %w", settings.TagRestart, err)
	}
	return rules, nil
}

// adoption is one under way.
type adoption struct {
	*Operator
	Adoption
	rules   settings.Rotation
	tags    map[string]string // as they will be
	missing map[string]string // of them: those to write
	current vault.Version
	value   apikey.Value
	proven  proof
	keys    []quilt.APIKey
	id      string // of the key; "": not told from others
	unseen  string // what could not be looked at for the key; "": nothing
}

// look finds the current key at the registry.
func (a *adoption) look(ctx context.Context) error {
	s := a.Secret
	current, ok := s.Holder(vault.Current)
	if !ok {
		return terminal.WithHint(fmt.Errorf("the secret %s has no value yet", s.Name), "put its first key in: quilt-rotate bootstrap "+s.Name)
	}
	a.current = current
	raw, err := s.Raw(ctx, current.ID)
	if err == nil {
		a.value, err = apikey.ParseValue(raw, a.rules.Field)
	}
	switch {
	case isBlank(err):
		return terminal.WithHint(fmt.Errorf("the secret %s waits for its first key: %w", s.Name, err), "run: quilt-rotate bootstrap "+s.Name)
	case isBad(err):
		return terminal.WithHint(fmt.Errorf("the value of %s cannot be rotated: %w", s.Name, err), "the option --field writes that tag")
	case errors.Is(err, vault.ErrBinary):
		return fmt.Errorf("the value of %s cannot be rotated: %w", s.Name, err)
	case err != nil:
		return err
	}
	if err := a.identify(ctx); err != nil {
		return err
	}
	return a.alone(ctx)
}

// alone refuses a key that another secret in care keeps: once one of them is rotated, its sweep revokes the key under the other.
func (a *adoption) alone(ctx context.Context) error {
	a.Tell.Doing("looking whether another secret has the key")
	all, err := managed.Scan(ctx, a.Cloud, nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		a.unseen = "the other secrets in care"
		a.Tell.Tell(terminal.Warned, "not checked whether another secret in care has the key", awsclient.Explain(err).Error())
		return nil
	}
	others := all.Without(a.Secret.ARN)
	for _, h := range append(others.OfKey(a.value.Key()), others.Of(quilt.APIKey{ID: a.id})...) {
		return terminal.WithHint(fmt.Errorf("the key in %s is also a key of %s: when one of them is rotated, the other's consumers would lose it", a.Secret.Name, h.Secret),
			"store another key in "+a.Secret.Name+" first: quilt-rotate keys create --help")
	}
	for _, u := range others.Unread {
		a.unseen = "the secret " + u.Secret
		a.Tell.Tell(terminal.Warned, "not checked whether the secret "+u.Secret+" has the key", awsclient.Explain(u.Err).Error())
	}
	return nil
}

func (a *adoption) question() string {
	what := a.Secret.Name + " comes into the care of quilt-rotate"
	if a.unseen != "" {
		what += "; if " + a.unseen + " should have the same key, its consumers lose it when this one is rotated"
	}
	return what
}

// identify logs in with the current key and finds its id.
func (a *adoption) identify(ctx context.Context) error {
	a.Tell.Doing("logging in with the current key")
	session := a.Registry.WithKey(a.value.Key())
	account, err := session.Account(ctx)
	if err != nil && quilt.Refused(err) && !quilt.RefusesLogin(err) { // it may not list keys
		account.Identity, err = session.Me(ctx)
	}
	if quilt.RefusesLogin(err) {
		return terminal.WithHint(fmt.Errorf("the registry %s refuses the current key of %s: it has expired, was revoked, or is another registry's", a.Registry.Host(), a.Secret.Name),
			"if that is the right registry, run: quilt-rotate recover "+a.Secret.Name)
	}
	if err != nil {
		return err
	}
	if err := a.checkOwner(account.Email); err != nil {
		return err
	}
	a.keys, a.proven = account.Keys, proof{Identity: account.Identity}
	row, fits := quilt.OnlyFit(account.Keys, a.value.Key())
	if a.id = a.current.Key(); a.id == "" && fits {
		a.id = row.ID
	}
	for _, k := range account.Keys {
		if k.ID == a.id {
			a.proven.row = &k
		}
	}
	if labelled := a.proven.row; fits && row.ID != a.id || labelled != nil && !a.value.Key().Fits(labelled.Fingerprint) {
		return terminal.WithHint(fmt.Errorf("the current version of %s has the label of the key %s, and holds another key", a.Secret.Name, a.id),
			"see what is wrong: quilt-rotate doctor "+a.Secret.Name)
	}
	a.missing = map[string]string{}
	for name, value := range withOrigin(a.Secret.Tags, a.Tags, account.Email, a.Registry) {
		if have, there := a.Secret.Tags[name]; !there || have != value {
			a.missing[name] = value
			a.tags[name] = value
		}
	}
	return nil
}

func (a *adoption) checkOwner(email string) error {
	if a.rules.Owner == "" || quilt.SameUser(a.rules.Owner, email) {
		return nil
	}
	return terminal.WithHint(fmt.Errorf("the key in %s is %s's, and the tag %s says %s", a.Secret.Name, email, settings.TagOwner, a.rules.Owner), "give --owner "+email+", or store a key of "+a.rules.Owner+" first")
}

func (a *adoption) unlabelled() bool { return a.id != "" && a.current.Key() == "" }

func (a *adoption) result() Adopted {
	s := a.Secret
	return Adopted{
		Secret: s.Name, ARN: s.ARN, VersionID: a.current.ID, Key: a.proven.info(a.value.Key()), Identified: a.id != "", Tags: map[string]string{},
		Rotation: Rotation{s.Rotation.Enabled, s.Rotation.Next},
	}
}

// tell shows what was found, and what would follow.
func (a *adoption) tell(ctx context.Context, result *Adopted) {
	a.Tell.Tell(terminal.Done, "the current key logs in", a.value.Key().Fingerprint()+" of "+a.proven.Email)
	if a.id == "" {
		a.Tell.Tell(terminal.Warned, "the key cannot be told from others at the registry", "once superseded, it is left to expire")
	}
	if row := a.proven.row; row != nil {
		a.Tell.Tell(terminal.Noted, "it is the key "+row.Name, "expires on "+day(row.ExpiresAt))
	}
	for _, name := range slices.Sorted(maps.Keys(a.missing)) {
		a.Tell.Tell(terminal.Later, "will write the tag "+name, a.missing[name])
	}
	if a.unlabelled() {
		a.Tell.Tell(terminal.Later, "will write the label of the key", a.id)
	}
	a.tellRotation()
	a.preview(ctx, result)
}

func (a *adoption) tellRotation() {
	switch r := a.Secret.Rotation; {
	case !r.Enabled:
		a.Tell.Tell(terminal.Warned, "rotation is off", "put the secret into a stack (infra/README.md), and deploy that")
	case r.Next.IsZero():
		a.Tell.Tell(terminal.Later, "rotation is on", "")
	default:
		a.Tell.Tell(terminal.Later, "will be rotated by "+day(r.Next), "")
	}
}

// preview looks at what a sweep would do with the new tags. What goes wrong with that is told, and holds nothing up.
func (a *adoption) preview(ctx context.Context, result *Adopted) {
	a.Tell.Doing("looking at what a sweep would do")
	sweeper := &revocation.Sweeper{
		Vault: tagged{a.Cloud.Vault, a.tags}, Registry: a.Registry, Settings: a.sweepSettings(ctx), Log: slog.New(slog.DiscardHandler),
	}
	sweep, err := sweeper.Sweep(ctx, revocation.Request{SecretID: a.Secret.ARN, DryRun: true})
	switch {
	case err != nil:
		a.Tell.Tell(terminal.Warned, "a sweep would fail", err.Error())
		return
	case sweep.WouldFail != nil:
		a.Tell.Tell(terminal.Warned, "a sweep would fail", sweep.WouldFail.Error)
	}
	sweep.Secret = a.Secret.Name // as everywhere in what the command prints; the function says the ARN
	result.Sweep = &sweep
	quiet := true
	for _, t := range sweep.Actions {
		if t.Reason != revocation.SameKey && t.Reason != revocation.Unidentified {
			quiet = false
			l := status.Planned(t, a.registryTime(sweep))
			if strings.HasPrefix(l.Text, "will ") {
				l.Text = "the next sweep " + l.Text
			}
			a.Tell.Tell(l.Mark, l.Text, l.Detail)
		}
	}
	if quiet {
		a.Tell.Tell(terminal.Later, "the next sweep has nothing to revoke", "")
	}
}

// registryTime is what the plan's dates are compared with: the registry's clock, where it was asked.
func (a *adoption) registryTime(r revocation.Result) time.Time {
	if r.Registry != nil {
		return r.Registry.Time
	}
	return a.Secret.Now
}

// sweepSettings are the deployed revoke function's, and the defaults where none is found.
func (a *adoption) sweepSettings(ctx context.Context) settings.Revoke {
	defaults := managed.DefaultSweeps(a.Registry)
	name, err := a.Secret.Sweeper(ctx)
	if err != nil {
		return defaults
	}
	f, err := a.Cloud.Function(ctx, name)
	if err != nil {
		return defaults
	}
	env, err := settings.LoadRevoke(settings.Deployed(f.Environment))
	if err != nil {
		return defaults
	}
	return env
}

// tagged is Secrets Manager as it will be with the new tags, for a dry run.
type tagged struct {
	*vault.Vault
	tags map[string]string
}

func (t tagged) Describe(ctx context.Context, secretID string) (vault.Secret, error) {
	s, err := t.Vault.Describe(ctx, secretID)
	s.Tags = t.tags
	return s, err
}

// write writes the tags, and then the label.
func (a *adoption) write(ctx context.Context, result *Adopted) error {
	s := a.Secret
	state := "what is missing is written when this is run again: quilt-rotate adopt " + s.Name
	if len(a.missing) > 0 {
		if err := finish(ctx, func(ctx context.Context) error { return a.Cloud.Tag(ctx, s.ARN, a.missing) }); err != nil {
			return left(err, state)
		}
		result.Tags = a.missing
		a.Tell.Tell(terminal.Done, "wrote the tags", "")
	}
	if !a.unlabelled() {
		return nil
	}
	err := finish(ctx, func(ctx context.Context) error {
		if err := s.Look(ctx); err != nil {
			return err
		}
		if now, _ := s.Holder(vault.Current); now.ID != a.current.ID {
			return terminal.WithHint(fmt.Errorf("the value of %s was changed meanwhile, so no label was written", s.Name), "run this again")
		}
		id, err := rotation.LabelCurrent(ctx, a.Cloud.Vault, s.Secret, a.value, a.rules.Field, a.keys)
		result.Labelled, result.Identified = err == nil && id != "", id != ""
		return err
	})
	if err != nil {
		return left(err, state)
	}
	if result.Labelled {
		a.Tell.Tell(terminal.Done, "wrote the label of the key", "")
	}
	return nil
}
