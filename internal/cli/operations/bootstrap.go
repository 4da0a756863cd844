package operations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Bootstrap is what a first key is put in with.
type Bootstrap struct {
	Name     string          // of the secret
	Secret   *managed.Secret // nil: there is none yet
	Registry *quilt.Client
	Tags     map[string]string // settings that the caller wants; a tag that is there already must say the same
	Alone    bool              // the key is the whole value
	KMSKey   string            // of a new secret
	LogIn    Login
}

// Outcome tells what became of a procedure that puts a key in.
type Outcome string

// The outcomes.
const (
	Installed Outcome = "installed" // a new key is current
	Resumed   Outcome = "resumed"   // a key is current that an interrupted run had stored
	Moved     Outcome = "moved"     // a version is current that was there before, and whose key works
	Reused    Outcome = "reused"    // an older key that works went into the current value
	Works     Outcome = "works"     // the current key logs in: nothing was done
)

// KeyIn tells which key a secret holds now, and what was done for that.
type KeyIn struct {
	Secret        string             `json:"secret"`
	ARN           string             `json:"arn"`
	Outcome       Outcome            `json:"outcome"`
	CreatedSecret bool               `json:"createdSecret,omitempty"`
	MadeBy        string             `json:"madeBy,omitempty"` // whose login made the key: "issuer", or "login"
	VersionID     string             `json:"versionId"`
	Key           revocation.KeyInfo `json:"key"`
	Rotation      Rotation           `json:"rotation"`
}

// Rotation is whether, and by when, the secret is rotated next.
type Rotation struct {
	On   bool      `json:"on"`
	Next time.Time `json:"next,omitzero"`
}

func keyIn(s *managed.Secret, outcome Outcome, version string, key apikey.Key, p proof) KeyIn {
	return KeyIn{
		Secret: s.Name, ARN: s.ARN, Outcome: outcome, VersionID: version, Key: p.info(key),
		Rotation: Rotation{s.Rotation.Enabled, s.Rotation.Next},
	}
}

// day is a date as people write it.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Bootstrap puts the first key of a secret in. It finds one of three states: the secret is not there, and is created
// with the value {}, since the key's name needs its ARN; its value waits for a key, which goes in ([installation]); or
// a key is there, and is told.
//
// A crash after the secret is created leaves one that waits for its first key: running it again goes on. Tags are
// written before a key is made, so that the functions look for it where it will be.
func (d *Operator) Bootstrap(ctx context.Context, b Bootstrap) (KeyIn, error) {
	if err := CheckTags(b.Tags); err != nil {
		return KeyIn{}, err
	}
	var found map[string]string
	if b.Secret != nil {
		found = b.Secret.Tags
	}
	tags, missing, err := merge(b.Name, found, b.Tags)
	if err != nil {
		return KeyIn{}, err
	}
	rules, err := rotationSettings(ctx, b.Secret, tags)
	if err != nil {
		return KeyIn{}, err
	}
	if b.Alone && rules.Field != "" {
		return KeyIn{}, terminal.WithHint(fmt.Errorf("the tag %s says that the key is in the field %q, so it cannot be the whole value", settings.TagField, rules.Field), "leave --plain out, or take the tag off")
	}
	in := &installation{Operator: d, secret: b.Secret, registry: b.Registry, settings: rules, owner: rules.Owner, again: "quilt-rotate bootstrap " + b.Name}
	in.put = func(raw redact.Text, key apikey.Key) (redact.Text, error) {
		if b.Alone {
			return managed.PutKeyAlone(raw, key)
		}
		return managed.PutFirstKey(raw, rules.Field, key)
	}
	if b.Secret != nil {
		if done, there, err := in.there(ctx); there || err != nil {
			return done, err
		}
		if err := in.check(ctx); err != nil {
			return KeyIn{}, unfit(b.Name, err)
		}
		if done, ok, err := in.resume(ctx); ok || err != nil {
			return done, err
		}
	}
	return in.first(ctx, b, missing)
}

// merge gives the tags that hold, and those of them that are not there yet. A wanted one must not contradict one that
// is there: a stack owns those.
func merge(secret string, found, wanted map[string]string) (tags, missing map[string]string, err error) {
	tags, missing = maps.Clone(found), map[string]string{}
	if tags == nil {
		tags = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		switch have, there := tags[name]; {
		case there && have != wanted[name]:
			return nil, nil, terminal.WithHint(fmt.Errorf("the tag %s of %s says %q, and you ask for %q", name, secret, redact.Clip(have, 256), redact.Clip(wanted[name], 256)),
				"leave the option out, or change the tag first (in the stack that made the secret)")
		case !there:
			tags[name], missing[name] = wanted[name], wanted[name]
		}
	}
	return tags, missing, nil
}

// rotationSettings are the settings of the secret with these tags. The defaults are those of the deployed function; if there is none, or it cannot be
// looked at, those of every deployment.
func rotationSettings(ctx context.Context, s *managed.Secret, tags map[string]string) (settings.Rotation, error) {
	defaults := settings.Rotate{ExpiresInDays: settings.DefaultExpiresInDays}
	if s == nil || s.Rotation.Function == "" {
		return defaults.ForSecret(tags)
	}
	tagged := *s
	tagged.Tags = tags
	rules, err := tagged.ForRotation(ctx)
	if _, unseen := errors.AsType[*managed.UnseenFunctionError](err); unseen {
		return defaults.ForSecret(tags)
	}
	return rules, err
}

// unfit says of a value that cannot take a key what to do.
func unfit(secret string, err error) error {
	if !isBad(err) {
		return err
	}
	return terminal.WithHint(fmt.Errorf("the value of %s cannot take a key: %w", secret, err), "name the field for it with --field, or mend the value")
}

// there tells of a key that is in the current value already.
func (in *installation) there(ctx context.Context) (KeyIn, bool, error) {
	if err := in.notOverwritten(ctx); err != nil {
		return KeyIn{}, false, err
	}
	current, ok := in.secret.Holder(vault.Current)
	if !ok {
		return KeyIn{}, false, nil
	}
	value, err := in.value(ctx, current.ID)
	if isBlank(err) || isBad(err) { // whether it can take one is checked next
		return KeyIn{}, false, nil
	}
	if err != nil {
		return KeyIn{}, false, err
	}
	in.Tell.Doing("logging in with the key that is there")
	p, err := logIn(ctx, in.registry, value.Key(), current.Key())
	if quilt.RefusesLogin(err) {
		return KeyIn{}, false, terminal.WithHint(fmt.Errorf("the secret %s has a key already, %s, and the registry refuses it: it has expired or was revoked", in.secret.Name, value.Key()), "run: quilt-rotate recover "+in.secret.Name)
	}
	if err != nil {
		return KeyIn{}, false, err
	}
	in.Tell.Tell(terminal.Noted, in.secret.Name+" has a key already, and it logs in: nothing was done", "")
	return keyIn(in.secret, Works, current.ID, value.Key(), p), true, nil
}

// notOverwritten refuses to take a blank value for one that waits for its first key, where a version was current that
// holds one.
func (in *installation) notOverwritten(ctx context.Context) error {
	current, _, err := in.current(ctx)
	if err != nil {
		return err
	}
	if current != "" {
		if _, err := in.value(ctx, current); !isBlank(err) {
			return nil
		}
	}
	for _, v := range in.secret.Versions {
		if len(v.Keys) > 0 && v.ID != current && (v.Has(vault.Previous) || len(v.Marks) > 0) {
			return in.overwritten(v.ID)
		}
	}
	return nil
}

func (in *installation) overwritten(version string) error {
	return terminal.WithHint(fmt.Errorf("the value of %s is blank, and the version %s was current before and holds a key: somebody overwrote it", in.secret.Name, version),
		"run: quilt-rotate recover "+in.secret.Name)
}

// resume goes on where an interrupted run stopped. Nobody has to log in for that: the key proves itself.
func (in *installation) resume(ctx context.Context) (KeyIn, bool, error) {
	in.Tell.Doing("looking for a key that an interrupted run has stored")
	k, ok, err := in.leftover(ctx)
	if !ok || err != nil {
		return KeyIn{}, false, err
	}
	if current, err := in.holdsCurrent(ctx, k); err != nil {
		return KeyIn{}, false, err
	} else if !current && !in.secret.Rotation.Last.IsZero() { // of a secret that was rotated before: an old version
		return KeyIn{}, false, in.overwritten(k.version)
	}
	in.Tell.Tell(terminal.Noted, "an interrupted run has stored a key: going on with it", k.id)
	p, err := in.install(ctx, &k)
	return in.ended(ctx, Resumed, &k, p, err)
}

// first creates what is not there, and puts a new key in.
func (in *installation) first(ctx context.Context, b Bootstrap, missing map[string]string) (KeyIn, error) {
	in.Tell.Tell(terminal.Noted, "the registry is "+in.registry.Host(), "")
	session, me, err := b.LogIn(ctx, in.registry)
	if err != nil {
		return KeyIn{}, left(err, "nothing was done")
	}
	if err := checkOwner(b.Name, in.owner, me); err != nil {
		return KeyIn{}, err
	}
	in.owner = me.Email
	in.Tell.Tell(terminal.Done, "logged in at "+in.registry.Host(), me.Email)
	created := b.Secret == nil
	if created {
		if err := in.create(ctx, b, missing); err != nil {
			return KeyIn{}, left(err, "see whether the secret was created; to go on: "+in.again)
		}
	} else if err := in.prepare(ctx, missing); err != nil {
		return KeyIn{}, in.left(err)
	}
	p, k, err := in.fresh(ctx, session)
	result, _, err := in.ended(ctx, Installed, &k, p, err)
	result.CreatedSecret = created
	return result, err
}

// ended tells what came of it; where somebody else was faster, what that is.
func (in *installation) ended(ctx context.Context, outcome Outcome, k *aKey, p proof, err error) (KeyIn, bool, error) {
	ctx, cancel := ending(ctx)
	defer cancel()
	if errors.Is(err, errFilled) {
		in.Tell.Tell(terminal.Warned, "somebody else put a key in meanwhile: that one stays", "the key "+k.id+" is left to the sweep")
		if lookErr := in.secret.Look(ctx); lookErr != nil {
			return KeyIn{}, false, lookErr
		}
		if done, there, thereErr := in.there(ctx); there || thereErr != nil {
			return done, there, thereErr
		}
	}
	if err != nil {
		return KeyIn{}, false, err
	}
	if err := in.secret.Look(ctx); err != nil {
		return KeyIn{}, false, err
	}
	return keyIn(in.secret, outcome, k.version, k.secret, p), true, nil
}

// create creates the secret, with the value that every deployment begins with. Who created it at the same time, or in a
// run whose answer was lost, is taken as it is.
func (in *installation) create(ctx context.Context, b Bootstrap, tags map[string]string) error {
	if strings.HasPrefix(b.Name, "arn:") {
		return fmt.Errorf("there is no secret %s; to have it created, give its name", redact.Clip(b.Name, 512))
	}
	err := finish(ctx, func(ctx context.Context) error {
		_, err := in.Cloud.CreateSecret(ctx, awsclient.NewSecret{
			Name: b.Name, Description: "A Quilt API key, rotated by quilt-rotate", Value: redact.New("{}"), Tags: in.owned(nil, tags), KMSKey: b.KMSKey,
		}, uuid.NewString())
		return err
	})
	if err != nil && !awsclient.Exists(err) {
		return err
	}
	for range 5 { // a new secret may not be seen at once
		if in.secret, err = managed.Open(ctx, in.Cloud, b.Name); !awsclient.NotFound(err) {
			break
		}
		if err := in.sleep(ctx); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	in.Tell.Tell(terminal.Done, "created the secret "+b.Name, "")
	return nil
}

// prepare writes the tags that are missing, and gives a secret that never had a value its first one: that becomes
// current at once, so it must not be one with a key that nobody has seen log in.
func (in *installation) prepare(ctx context.Context, missing map[string]string) error {
	if err := in.tag(ctx, missing); err != nil {
		return err
	}
	if _, ok := in.secret.Holder(vault.Current); ok {
		return nil
	}
	return finish(ctx, func(ctx context.Context) error {
		if err := in.Cloud.PutFirst(ctx, in.secret.ARN, redact.New("{}"), uuid.NewString()); err != nil {
			return err
		}
		now, err := in.Cloud.Vault.Await(ctx, in.secret.ARN, func(s vault.Secret) bool {
			_, ok := s.Holder(vault.Current)
			return ok
		})
		in.secret.Secret = now
		return err
	})
}

// tag writes the tags that are missing.
func (in *installation) tag(ctx context.Context, missing map[string]string) error {
	missing = in.owned(in.secret.Tags, missing)
	if len(missing) == 0 {
		return nil
	}
	err := finish(ctx, func(ctx context.Context) error { return in.Cloud.Tag(ctx, in.secret.ARN, missing) })
	if err == nil {
		in.Tell.Tell(terminal.Done, "wrote the tags "+strings.Join(slices.Sorted(maps.Keys(missing)), ", "), "")
	}
	return err
}

// owned adds to the tags what every managed secret says of its keys.
func (in *installation) owned(found, tags map[string]string) map[string]string {
	return withOrigin(found, tags, in.owner, in.registry)
}

// withOrigin adds to the tags where the secret's keys come from: their registry, and, if the secret has no tag of ours
// yet, their owner. Tags that were found stay as they are.
func withOrigin(found, tags map[string]string, owner string, registry *quilt.Client) map[string]string {
	tags = maps.Clone(tags)
	if tags == nil {
		tags = map[string]string{}
	}
	ours := func(name string) bool { return strings.HasPrefix(name, settings.TagPrefix) }
	if tags[settings.TagOwner] == "" && !slices.ContainsFunc(slices.Collect(maps.Keys(found)), ours) {
		tags[settings.TagOwner] = owner
	}
	if found[settings.TagRegistry] == "" {
		tags[settings.TagRegistry] = registry.URL()
	}
	return tags
}
