package operations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/retry"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// An installation is what bootstrap, adopt and recover share: it writes a secret's tags, logs in
// with its current key, and puts a new key into its value. A new key becomes current in this order.
// After a crash:
//
//  1. Create the key. Before: nothing. After: an orphan with the secret's mark in its name, which the sweep revokes.
//  2. Store the value with only the label of its key. Before: that orphan. After: a version that never was current. If the
//     command runs again, it finds the version ([installation.leftover]) and continues from 3. Otherwise the sweep
//     revokes the key after the grace period.
//  3. Read the value back, and log in with the key in it. Nothing changes.
//  4. Move AWSCURRENT, as a compare-and-swap from the version whose value the new one was made from. Before: as after 2.
//     After: done.
//
// If two run at the same time, each creates a key, and one move of AWSCURRENT wins. The other finds
// a key in the value and leaves its own to the sweep. An edit in between wins in the same way: the
// key goes into the edited value, in another version that takes the label.
//
// While the current value is blank and a version has the label of a key, a sweep reports the value
// as overwritten (fault.Overwritten). From 2 to 4 that takes a second or two, and after a crash
// until the command runs again.
type installation struct {
	*Operator
	secret   *managed.Secret // nil: bootstrap has not created it yet
	registry *quilt.Client
	settings settings.Rotation
	owner    string            // registry user that the key must belong to; "": whoever creates it
	missing  map[string]string // tags to write
	// no tag says whose the keys are, and none of a stack's is there: the owner is written, too
	unowned bool
	// put is the current value with the key in it.
	put func(current redact.Text, key apikey.Key) (redact.Text, error)
	// needless reports whether the current value needs no key any more. If it is nil, put reports
	// it.
	needless func(ctx context.Context, current redact.Text) (bool, error)
	again    string // what continues after an interruption
}

// aKey is a key that becomes current.
type aKey struct {
	id      string
	secret  apikey.Key
	version string // that holds it; "": none yet
	sent    bool   // a version may hold it
}

// errFilled says that somebody else stored a key first.
var errFilled = errors.New("somebody else stored a key at the same time")

// maxEdits limits how often the installation starts over because somebody edited the secret.
const maxEdits = 5

const sameCommand = "run the same command again"

// newInstallation compares the wanted tags with those of the secret, before anything is asked or
// written. s is nil if there is no secret yet. If a wanted tag differs from the secret's, it
// replaces that one, or is refused.
func (d *Operator) newInstallation(ctx context.Context, s *managed.Secret, r *quilt.Client, wanted map[string]string,
	replace bool) (*installation, error) {
	in := &installation{Operator: d, secret: s, registry: r, missing: map[string]string{}, unowned: true,
		again: sameCommand}
	tags := map[string]string{}
	if s != nil {
		maps.Copy(tags, s.Tags)
	}
	for name := range tags { // a stack has no need of an owner, and would take the tag off
		_, given := wanted[name]
		if strings.HasPrefix(name, settings.TagPrefix) && name != settings.TagRegistry && !given {
			in.unowned = false
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		have, there := tags[name]
		switch want := wanted[name]; {
		case name != settings.TagField && apikey.HasKey(want): // a field's name is compared with those in the value
			return nil, terminal.WithHint(fmt.Errorf("the tag %s must not hold a key, because whoever sees the tags "+
				"would see it", name),
				"shells keep a history of arguments: if it was a key, treat it as leaked (quilt-rotate emergency)")
		case there && have != want && !replace:
			return nil, terminal.WithHint(fmt.Errorf("the tag %s of %s is %q, and the option asks for %q", name, s.Name,
				redact.Clip(have, 256), redact.Clip(want, 256)),
				"leave the option out, or change the tag first, in the tool that owns the secret")
		case have != want:
			tags[name], in.missing[name] = want, want
		}
	}
	in.unowned = in.unowned && tags[settings.TagOwner] == ""
	if s == nil || !s.RegistryTagged() {
		in.missing[settings.TagRegistry] = r.URL()
	}
	var err error
	in.settings, err = rotationSettings(ctx, s, tags)
	in.owner = in.settings.Owner
	return in, err
}

// rotationSettings are the settings of the secret with these tags. The defaults are those of the
// deployed function, or those of every deployment if there is no function or it cannot be looked
// at.
func rotationSettings(ctx context.Context, s *managed.Secret, tags map[string]string) (settings.Rotation, error) {
	defaults := settings.Rotate{ExpiresInDays: settings.DefaultExpiresInDays}
	if s == nil || !s.Deployed() {
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

// tag writes the missing tags in one call.
func (in *installation) tag(ctx context.Context) error {
	if len(in.missing) == 0 {
		return nil
	}
	err := finish(ctx, func(ctx context.Context) error { return in.Cloud.Tag(ctx, in.secret.ARN, in.missing) })
	if err == nil {
		in.Tell.Tell(terminal.Done, "wrote the tags "+strings.Join(slices.Sorted(maps.Keys(in.missing)), ", "), "")
	}
	return err
}

// command is what to type for another operation on the secret. It names the registry if the secret
// does not.
func (in *installation) command(verb string) string {
	command := "quilt-rotate " + verb + " " + in.secret.Name
	if !in.secret.NamesRegistry() {
		command += " --registry " + in.registry.URL()
	}
	return command
}

// currentKey logs in with the key in the current value. It fails as apikey.ParseValue does if there
// is none.
func (in *installation) currentKey(ctx context.Context) (vault.Version, apikey.Value, proof, error) {
	id, raw, err := in.current(ctx)
	current := in.secret.Versions[id]
	var value apikey.Value
	if err == nil {
		value, err = apikey.ParseValue(raw, in.settings.Field)
	}
	if err != nil {
		return current, value, proof{}, err
	}
	in.Tell.Doing("logging in with the current key")
	p, err := logIn(ctx, in.registry, value.Key(), current.Key())
	if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry %s refuses the current key of %s, %s: it has expired, was "+
			"revoked, or belongs to another registry",
			in.registry.Host(), in.secret.Name, value.Key()), "if that is the right registry, run: "+
			in.command("recover"))
	}
	return current, value, p, err
}

// fresh creates a key and makes it current.
func (in *installation) fresh(ctx context.Context, session *quilt.Session) (proof, aKey, error) {
	if err := in.check(ctx); isBad(err) { // it was checked before
		return proof{}, aKey{}, errors.Join(errFilled, err)
	} else if err != nil {
		return proof{}, aKey{}, in.left(err)
	}
	var k aKey
	in.Tell.Doing("creating a key")
	// in one, so that Ctrl-C does not leave a key that is not stored
	err := finish(ctx, func(ctx context.Context) (err error) {
		if k, err = in.create(ctx, session); err == nil {
			_, err = in.store(ctx, &k)
		}
		if err != nil && k.id != "" && !k.sent {
			in.discard(ctx, session, k.id)
		}
		return err
	})
	if err != nil {
		return proof{}, k, in.left(err)
	}
	p, err := in.install(ctx, &k)
	return p, k, err
}

// discard revokes a new key that no version holds or will hold. To run the command again would
// create another one.
func (in *installation) discard(ctx context.Context, session *quilt.Session, id string) {
	if err := session.RevokeKey(ctx, id); err != nil {
		in.Tell.Tell(terminal.Warned, "the new key was not stored and could not be revoked",
			"run: quilt-rotate keys revoke "+id+" --registry "+in.registry.URL())
		return
	}
	in.Tell.Tell(terminal.Noted, "the new key was not stored, and was revoked", id)
}

// refusesPut reports whether Secrets Manager definitely refused to store a value: no version has
// it, and none will.
func refusesPut(err error) bool {
	refusal, ok := errors.AsType[*vault.Error](err)
	return ok && refusal.Operation == "PutSecretValue" && slices.Contains([]string{
		"AccessDeniedException", "EncryptionFailure", "DecryptionFailure", "LimitExceededException",
		"InvalidParameterException", "InvalidRequestException",
	}, refusal.Code)
}

// left says how to continue after an interruption.
func (in *installation) left(err error) error {
	return left(err, "the current value was not changed; to continue: "+in.again)
}

// labelsNeeded is how many labels an installation needs: the key's, AWSPREVIOUS if there was none,
// and a mark.
const labelsNeeded = 3

// check refuses a secret whose value or labels cannot take a key.
func (in *installation) check(ctx context.Context) error {
	if free := vault.LabelQuota - in.secret.Labels(); free < labelsNeeded {
		return terminal.WithHint(fmt.Errorf("the secret %s has %d of its %d staging labels free, and this needs %d",
			in.secret.Name, max(free, 0), vault.LabelQuota, labelsNeeded),
			"remove labels that nobody needs: aws secretsmanager update-secret-version-stage")
	}
	_, raw, err := in.current(ctx)
	if err != nil {
		return err
	}
	probe, err := apikey.Parse("qk_" + strings.Repeat("0", 60))
	if err == nil {
		_, err = in.put(raw, probe)
	}
	return err
}

// current reads the current version. A secret that never had a value counts as one that waits for
// its first key.
func (in *installation) current(ctx context.Context) (id string, raw redact.Text, err error) {
	version, ok := in.secret.Holder(vault.Current)
	if !ok {
		return "", redact.New("{}"), nil
	}
	raw, err = in.secret.Raw(ctx, version.ID)
	return version.ID, raw, err
}

// create creates the key. The registry shows a key once and has no idempotency, so after a lost
// answer another one is created. The first may be there; it is left to the sweep, which finds it by
// its name and judges it by its age, because it may be the key of somebody else who is about to
// store it.
func (in *installation) create(ctx context.Context, session *quilt.Session) (aKey, error) {
	ctx, cancel := retry.WithShare(ctx, createShare)
	defer cancel()
	before, err := session.Account(ctx)
	if err != nil {
		return aKey{}, err
	}
	name := in.settings.NameOfKey(in.secret.Name, in.secret.ARN, before.RegistryTime)
	created, err := session.CreateKey(ctx, name, in.settings.ExpiresInDays)
	if _, lost := errors.AsType[*quilt.AnswerLostError](err); lost {
		in.Tell.Tell(terminal.Noted, "an answer of the registry was lost: creating another key",
			"the sweep revokes the first one")
		created, err = session.CreateKey(ctx, name, in.settings.ExpiresInDays)
	}
	if err != nil {
		return aKey{}, err
	}
	k := aKey{id: created.ID, secret: created.Secret}
	if err := vault.CheckLabel(created.ID); err != nil {
		return k, err
	}
	in.Tell.Tell(terminal.Done, "created the key "+created.Name, "expires on "+day(created.ExpiresAt))
	return k, checkOwner(in.secret.Name, before.Email, quilt.Identity{Email: created.UserEmail})
}

// createShare is the registry's share of the time of a write, so that enough is left to store the
// key.
const createShare = 0.6

// store writes the current value with the key in it into a version of its own, unless the version
// that holds the key has that value already. It returns the version that was current.
func (in *installation) store(ctx context.Context, k *aKey) (from string, err error) {
	if err := in.secret.Look(ctx); err != nil {
		return "", err
	}
	from, raw, err := in.current(ctx)
	if err != nil {
		return "", err
	}
	if in.needless != nil {
		if needless, err := in.needless(ctx, raw); err != nil {
			return "", err
		} else if needless {
			return "", errFilled
		}
	}
	value, err := in.put(raw, k.secret)
	if err != nil {
		return "", errors.Join(errFilled, err)
	}
	if k.version != "" {
		if stored, err := in.secret.Raw(ctx, k.version); err == nil && stored.Equal(value) {
			return from, nil
		}
	}
	n := vault.NewValue{SecretARN: in.secret.ARN, VersionID: uuid.NewString(), Value: value, KeyID: k.id}
	err = in.Cloud.Vault.Put(ctx, n)
	if err != nil {
		err = in.readBack(ctx, n, err)
	}
	if err != nil {
		k.sent = k.sent || !refusesPut(err)
		return "", terminal.WithHint(err, "to continue: "+in.again)
	}
	k.version, k.sent = n.VersionID, true
	return from, nil
}

// readBack finds out whether a put that failed was carried out. A value never changes, so what is
// there decides. The label may be missing, and is attached.
func (in *installation) readBack(ctx context.Context, n vault.NewValue, putErr error) error {
	stored, err := in.secret.Raw(ctx, n.VersionID)
	switch {
	case errors.Is(err, vault.ErrNoValue), errors.Is(err, vault.ErrBinary), err == nil && !stored.Equal(n.Value):
		return putErr
	case err != nil: // an earlier attempt may have stored the value, so this is no refusal: its key must not be revoked
		return fmt.Errorf("%w; it is not known whether the value was stored: %s", err, putErr.Error())
	}
	if err := in.secret.Look(ctx); err != nil {
		return err
	}
	label := vault.KeyLabel(n.KeyID)
	if holder, held := in.secret.Holder(label); held && holder.ID != n.VersionID {
		return in.Cloud.Vault.Move(ctx, n.SecretARN, label, n.VersionID, holder.ID)
	}
	return in.Cloud.Vault.Attach(ctx, n.SecretARN, label, n.VersionID)
}

// install verifies the stored key and makes its version current.
func (in *installation) install(ctx context.Context, k *aKey) (proof, error) {
	for range maxEdits {
		var from string
		err := finish(ctx, func(ctx context.Context) (err error) {
			from, err = in.store(ctx, k)
			return err
		})
		if err != nil {
			return proof{}, in.left(err)
		}
		proven, err := in.prove(ctx, k)
		if err != nil {
			return proof{}, in.left(err)
		}
		in.Tell.Doing("making it current")
		moved, err := in.cutOver(ctx, in.secret, k.version, from)
		if err != nil {
			return proof{}, in.left(err)
		}
		if moved {
			in.Tell.Tell(terminal.Done, "moved AWSCURRENT to the version "+short(k.version), "")
			return proven, seeCurrent(ctx, in.registry, in.secret, k.secret)
		}
		in.Tell.Tell(terminal.Warned,
			"somebody edited the secret at the same time: starting over with the edited value", "")
	}
	return proof{}, terminal.WithHint(fmt.Errorf("the secret %s was edited %d times at the same time; the edits are "+
		"kept", in.secret.Name, maxEdits),
		"when nobody edits it any more: "+in.again)
}

// prove reads the stored value back and logs in with the key in it.
func (in *installation) prove(ctx context.Context, k *aKey) (proof, error) {
	in.Tell.Doing("logging in with the stored key")
	value, err := in.value(ctx, k.version)
	if err != nil {
		return proof{}, err
	}
	if !value.Key().Equal(k.secret) {
		return proof{}, fmt.Errorf("the version %s of %s does not hold the key that was stored in it", k.version,
			in.secret.Name)
	}
	p, err := in.logInSoon(ctx, in.registry, value.Key(), k.id)
	if quilt.RefusesLogin(err) {
		err = terminal.WithHint(fmt.Errorf("the registry refuses the new key %s", k.id),
			"the current value was not changed; to try again: "+in.again)
	}
	if err == nil {
		err = checkOwner(in.secret.Name, in.owner, p.Identity)
	}
	if err != nil {
		return proof{}, err
	}
	in.Tell.Tell(terminal.Done, "logged in with the stored key", p.Email)
	return p, nil
}

// value parses a version's value, by the field that these settings name.
func (in *installation) value(ctx context.Context, version string) (apikey.Value, error) {
	raw, err := in.secret.Raw(ctx, version)
	if err != nil {
		return apikey.Value{}, err
	}
	return apikey.ParseValue(raw, in.settings.Field)
}

// seeCurrent logs in once more: somebody who took the key for one that a lost answer left may just
// have revoked it.
func seeCurrent(ctx context.Context, registry *quilt.Client, s *managed.Secret, key apikey.Key) error {
	ctx, cancel := ending(ctx)
	defer cancel()
	_, err := registry.WithKey(key).Me(ctx)
	if quilt.RefusesLogin(err) {
		return terminal.WithHint(fmt.Errorf("the new current key of %s was revoked at the same time: %w", s.Name, err),
			"run: quilt-rotate recover "+s.Name)
	}
	return nil // it logged in a moment ago, and no answer is no evidence
}

// leftover finds a key that an interrupted run stored: its version has the label of a key and
// neither a stage nor a mark, so it never was current. It must log in and be young enough. ok is
// false if there is none.
func (in *installation) leftover(ctx context.Context) (k aKey, ok bool, err error) {
	var best quilt.APIKey
	for _, v := range in.secret.Sorted() {
		if len(v.Keys) != 1 || len(v.Marks) > 0 || v.Has(vault.Current) || v.Has(vault.Pending) ||
			v.Has(vault.Previous) {
			continue
		}
		value, err := in.value(ctx, v.ID)
		if isBlank(err) || isBad(err) || errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) {
			continue
		}
		if err != nil {
			return aKey{}, false, err
		}
		p, err := logIn(ctx, in.registry, value.Key(), v.Key())
		if err != nil && !quilt.Refused(err) {
			return aKey{}, false, err
		}
		fits := err == nil && p.row != nil && p.row.Status == quilt.Active && value.Key().Fits(p.row.Fingerprint) &&
			!p.row.Old(p.RegistryTime)
		if fits && (in.owner == "" || quilt.SameUser(in.owner, p.Email)) && p.row.CreatedAt.After(best.CreatedAt) {
			best, k, ok = *p.row, aKey{v.Key(), value.Key(), v.ID, true}, true
		}
	}
	return k, ok, nil
}

// cutOver moves AWSCURRENT, as a compare-and-swap. If the call fails, the labels decide: the answer
// to a move that was carried out may be lost. moved is false without an error if somebody else
// moved AWSCURRENT first.
func (d *Operator) cutOver(ctx context.Context, s *managed.Secret, to, from string) (moved bool, err error) {
	err = finish(ctx, func(ctx context.Context) error {
		moveErr := d.Cloud.Vault.Promote(ctx, s.ARN, to, from)
		if moveErr == nil {
			moved = true
			return nil
		}
		if err := s.Look(ctx); err != nil {
			return errors.Join(moveErr, err)
		}
		now, _ := s.Holder(vault.Current)
		if moved = now.ID == to; moved || now.ID != from {
			return nil
		}
		return moveErr
	})
	return moved, err
}
