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

// An installation is the part that bootstrap, adopt and recover share: it writes the tags of a
// secret, logs in with its current key, and stores a new key in its value. A new key becomes
// current in these steps:
//
//  1. Create the key. After a crash, the key is an orphan. Its name has the mark of the secret, so a
//     sweep revokes it.
//  2. Store the value in a new version that has only the label of the key. After a crash, the version
//     exists and was never current. If the command runs again, it finds the version
//     ([installation.leftover]) and continues with step 3. Otherwise a sweep revokes the key after
//     the grace period.
//  3. Read the value back and log in with the key in it. This changes nothing.
//  4. Move AWSCURRENT with a compare-and-swap. It succeeds only if AWSCURRENT is still on the version
//     whose value was the source of the new value.
//
// If two commands run at the same time, each creates a key, and one of them moves AWSCURRENT. The
// other command finds a key in the value, and a sweep revokes its key. If somebody edits the value
// during the steps, the key is stored again, in the edited value and in another version, which gets
// the label.
//
// While the current value is blank and a version has the label of a key, a sweep reports that the
// value was overwritten (fault.Overwritten). This is so for one or two seconds between steps 2 and
// 4. After a crash, it is so until the command runs again.
type installation struct {
	*Operator
	secret   *managed.Secret // nil: bootstrap has not created it yet
	registry *quilt.Client
	settings settings.Rotation
	owner    string            // registry user that the key must belong to; "": the user who creates it
	missing  map[string]string // tags to write
	// unowned is true if no tag names the owner and no tag is from a stack. Then the tag of the
	// owner is written too.
	unowned bool
	// put returns the current value with the key in it.
	put func(current redact.Text, key apikey.Key) (redact.Text, error)
	// needless reports whether the current value no longer needs a key. If it is nil, an error of
	// put reports that.
	needless func(ctx context.Context, current redact.Text) (bool, error)
	again    string // the command that continues after an interruption
}

// aKey is a new key on its way to AWSCURRENT.
type aKey struct {
	id      string
	secret  apikey.Key
	version string // version that holds the key; "": none yet
	sent    bool   // a version may hold the key
}

// errFilled reports that somebody else stored a key first.
var errFilled = errors.New("somebody else stored a key at the same time")

// maxEdits limits how often the installation starts again because somebody edited the secret.
const maxEdits = 5

const sameCommand = "run the same command again"

// newInstallation compares the wanted tags with the tags of the secret, before it asks or writes
// anything. s is nil if the secret does not exist yet. If a wanted tag has another value than the
// tag of the secret, the new value is written if replace is true, and refused otherwise.
func (d *Operator) newInstallation(ctx context.Context, s *managed.Secret, r *quilt.Client, wanted map[string]string,
	replace bool) (*installation, error) {
	in := &installation{Operator: d, secret: s, registry: r, missing: map[string]string{}, unowned: true,
		again: sameCommand}
	tags := map[string]string{}
	if s != nil {
		maps.Copy(tags, s.Tags)
	}
	for name := range tags { // a stack sets other tags, and would remove a tag that it does not set
		_, given := wanted[name]
		if strings.HasPrefix(name, settings.TagPrefix) && name != settings.TagRegistry && !given {
			in.unowned = false
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		have, there := tags[name]
		switch want := wanted[name]; {
		case name != settings.TagField && apikey.HasKey(want): // the name of a field may look like a key
			return nil, terminal.WithHint(fmt.Errorf("the tag %s must not hold a key, because whoever sees the tags "+
				"would see it", name),
				"shells keep a history of arguments: if this was a key, treat it as leaked (quilt-rotate emergency)")
		case there && have != want && !replace:
			return nil, terminal.WithHint(fmt.Errorf("the tag %s of %s is %q, but the option says %q", name, s.Name,
				redact.Clip(have, 256), redact.Clip(want, 256)),
				"leave the option out, or first change the tag in the tool that owns the secret")
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

// rotationSettings returns the settings of the secret with these tags. Defaults come from the
// environment of the deployed function. If there is no function, or it cannot be read, the defaults
// of a deployment apply.
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
		in.Progress.Report(terminal.Done,
			"wrote the tags "+strings.Join(slices.Sorted(maps.Keys(in.missing)), ", "), "")
	}
	return err
}

// command returns the command line for another operation on the secret. It includes --registry if
// the secret does not name its registry.
func (in *installation) command(verb string) string {
	command := "quilt-rotate " + verb + " " + in.secret.Name
	if !in.secret.NamesRegistry() {
		command += " --registry " + in.registry.URL()
	}
	return command
}

// currentKey logs in with the key in the current value. If the value holds no key, it returns the
// error of apikey.ParseValue.
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
	in.Progress.Doing("logging in with the current key")
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
	in.Progress.Doing("creating a key")
	// both requests in one write, so that Ctrl-C does not leave a key that is not stored
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

// discard revokes a new key that no version holds or will hold. If the command runs again, it
// creates another key.
func (in *installation) discard(ctx context.Context, session *quilt.Session, id string) {
	if err := session.RevokeKey(ctx, id); err != nil {
		in.Progress.Report(terminal.Warned, "the new key was not stored and could not be revoked",
			"run: quilt-rotate keys revoke "+id+" --registry "+in.registry.URL())
		return
	}
	in.Progress.Report(terminal.Noted, "the new key was not stored, and was revoked", id)
}

// refusesPut reports whether Secrets Manager certainly refused to store a value, so that no version
// holds it or will hold it.
func refusesPut(err error) bool {
	refusal, ok := errors.AsType[*vault.Error](err)
	return ok && refusal.Operation == "PutSecretValue" && slices.Contains([]string{
		"AccessDeniedException", "EncryptionFailure", "DecryptionFailure", "LimitExceededException",
		"InvalidParameterException", "InvalidRequestException",
	}, refusal.Code)
}

// left adds to an interruption how to continue.
func (in *installation) left(err error) error {
	return left(err, "the current value was not changed; to continue: "+in.again)
}

// labelsNeeded is the number of labels that an installation needs: the key label, AWSPREVIOUS, and
// a superseded mark.
const labelsNeeded = 3

// check refuses a secret whose value cannot hold a key, or that has too few free labels.
func (in *installation) check(ctx context.Context) error {
	if free := vault.LabelQuota - in.secret.Labels(); free < labelsNeeded {
		return terminal.WithHint(fmt.Errorf("the secret %s has %d free staging labels of %d, and this command needs %d",
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

// current reads the current version. If the secret never had a value, it returns the value {},
// which waits for the first key.
func (in *installation) current(ctx context.Context) (id string, raw redact.Text, err error) {
	version, ok := in.secret.Holder(vault.Current)
	if !ok {
		return "", redact.New("{}"), nil
	}
	raw, err = in.secret.Raw(ctx, version.ID)
	return version.ID, raw, err
}

// create creates the key. The registry returns the text of a key once and has no idempotency token,
// so if the answer is lost, create creates another key. The first key may exist. A sweep finds it
// by its name and revokes it when it is old enough. It is not revoked here, because it could be the
// key of another command that is about to store it.
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
		in.Progress.Report(terminal.Noted, "the registry's answer was lost: creating another key",
			"a sweep revokes the first key")
		created, err = session.CreateKey(ctx, name, in.settings.ExpiresInDays)
	}
	if err != nil {
		return aKey{}, err
	}
	k := aKey{id: created.ID, secret: created.Secret}
	if err := vault.CheckLabel(created.ID); err != nil {
		return k, err
	}
	in.Progress.Report(terminal.Done, "created the key "+created.Name, "expires on "+day(created.ExpiresAt))
	return k, checkOwner(in.secret.Name, before.Email, quilt.Identity{Email: created.UserEmail})
}

// createShare is the part of the time of a write that the creation of a key may use. The rest is
// for storing the key.
const createShare = 0.6

// store writes the current value with the key in it into a new version, unless the version that
// holds the key already has this value. It returns the version that was current.
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
		in.Progress.Doing("making it current")
		moved, err := in.cutOver(ctx, in.secret, k.version, from)
		if err != nil {
			return proof{}, in.left(err)
		}
		if moved {
			in.Progress.Report(terminal.Done, "moved AWSCURRENT to the version "+short(k.version), "")
			return proven, seeCurrent(ctx, in.registry, in.secret, k.secret)
		}
		in.Progress.Report(terminal.Warned,
			"somebody edited the secret at the same time: starting again with the edited value", "")
	}
	return proof{}, terminal.WithHint(fmt.Errorf("the secret %s was edited %d times while this command ran; the edits "+
		"are kept", in.secret.Name, maxEdits),
		"when nobody edits the secret any more: "+in.again)
}

// prove reads the stored value back and logs in with the key in it.
func (in *installation) prove(ctx context.Context, k *aKey) (proof, error) {
	in.Progress.Doing("logging in with the stored key")
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
	in.Progress.Report(terminal.Done, "logged in with the stored key", p.Email)
	return p, nil
}

// value parses a version's value with the field that the settings name.
func (in *installation) value(ctx context.Context, version string) (apikey.Value, error) {
	raw, err := in.secret.Raw(ctx, version)
	if err != nil {
		return apikey.Value{}, err
	}
	return apikey.ParseValue(raw, in.settings.Field)
}

// seeCurrent logs in with the new current key once more. Somebody may just have revoked it because
// it looked like the orphan of a lost answer.
func seeCurrent(ctx context.Context, registry *quilt.Client, s *managed.Secret, key apikey.Key) error {
	ctx, cancel := ending(ctx)
	defer cancel()
	_, err := registry.WithKey(key).Me(ctx)
	if quilt.RefusesLogin(err) {
		return terminal.WithHint(fmt.Errorf("the new current key of %s was revoked at the same time: %w", s.Name, err),
			"run: quilt-rotate recover "+s.Name)
	}
	return nil // the key logged in a moment ago, and a missing answer shows nothing
}

// leftover finds a key that an interrupted run stored: its version has a key label but neither a
// stage nor a mark, so it was never current. The key must log in and must not be old. ok is false
// if there is no such key.
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

// cutOver moves AWSCURRENT with a compare-and-swap. If the call fails, it reads the labels, because
// the move may have been carried out and only its answer lost. moved is false without an error if
// somebody else moved AWSCURRENT first.
//
// The version that was current may still have AWSPENDING from the rotation that made it current.
// Without AWSCURRENT, that label would block the next rotation, and a retry of the old rotation would
// make its version current again. So AWSPENDING is removed first: after a crash in between, the
// version is current without AWSPENDING, as after every rotation. If another rotation has the label
// by then, it keeps it.
func (d *Operator) cutOver(ctx context.Context, s *managed.Secret, to, from string) (moved bool, err error) {
	err = finish(ctx, func(ctx context.Context) error {
		if s.Versions[from].Has(vault.Pending) {
			if err := d.Cloud.Vault.Detach(ctx, s.ARN, vault.Pending, from); err != nil {
				return err
			}
		}
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
