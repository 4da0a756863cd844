package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/deadline"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// An installation puts a key into a secret's value, beside everything else that is in it, and makes it current. Its order, and what a crash, or an
// answer that is lost for good, leaves:
//
//  1. Make the key. Before: nothing. After: an orphan with the secret's mark in its name, which the sweep finds.
//  2. Store the value under nothing but the label of its key. Before: that orphan. After: a version that never was current. Running the command
//     again finds it ([installation.leftover]) and goes on from 3; else the sweep marks it, and revokes its key after the grace period.
//  3. Read it back, and log in with what was read. These only look.
//  4. Make it current, as a compare-and-swap from the version whose value it was made from. Before: as after 2. After: done.
//
// Twice at once: each makes a key, and one move of AWSCURRENT wins; the other sees a key where there was none, and leaves its own to the sweep. An
// edit in between wins in the same way: the key goes into the edited value, in another version that takes the label along.
//
// While the current value is blank and a version has the label of a key, a sweep takes the value for overwritten, and says so at the top of its voice
// (fault.Overwritten). From 2 to 4 that takes a second or two. After a crash in between it lasts until the command is run again.
type installation struct {
	*Operator
	secret   *managed.Secret
	registry *quilt.Client
	settings settings.Rotation
	owner    string // whose the key must be; "": whoever makes it
	// put is the current value with the key in it.
	put func(current redact.Text, key apikey.Key) (redact.Text, error)
	// needless tells whether the current value needs no key any more. nil: put tells.
	needless func(ctx context.Context, current redact.Text) (bool, error)
	again    string // the command that goes on after an interruption
}

// aKey is one that goes in.
type aKey struct {
	id      string
	secret  apikey.Key
	version string // that holds it; "": none yet
}

// errFilled says that somebody else put a key in first.
var errFilled = errors.New("somebody else put a key in meanwhile")

// maxEdits bounds how often an edit in between is started over for.
const maxEdits = 5

// fresh makes a key and puts it in.
func (in *installation) fresh(ctx context.Context, session *quilt.Session) (proof, aKey, error) {
	if err := in.check(ctx); err != nil {
		return proof{}, aKey{}, in.left(err)
	}
	var k aKey
	in.Tell.Doing("making a key")
	err := finish(ctx, func(ctx context.Context) (err error) { // in one: a key that was made is stored, whatever is pressed
		if k, err = in.make(ctx, session); err != nil {
			return err
		}
		if _, err = in.store(ctx, &k); refusesPut(err) { // running it again would create another key, so this one goes while the session is at hand
			if revokeErr := session.RevokeKey(ctx, k.id); revokeErr == nil {
				in.Tell.Tell(terminal.Noted, "the new key could not be stored, and was revoked again", k.id)
			}
		}
		return err
	})
	if err != nil {
		return proof{}, k, in.left(err)
	}
	p, err := in.install(ctx, &k)
	return p, k, err
}

// refusesPut reports whether Secrets Manager definitely refused to store a value: no version has it, and none will.
func refusesPut(err error) bool {
	refusal, ok := errors.AsType[*vault.Error](err)
	return ok && refusal.Operation == "PutSecretValue" && slices.Contains([]string{
		"AccessDeniedException", "EncryptionFailure", "DecryptionFailure", "LimitExceededException", "InvalidParameterException", "InvalidRequestException",
	}, refusal.Code)
}

// left says how to go on: everything that has been done is found again.
func (in *installation) left(err error) error {
	return left(err, "nothing current was changed; to go on: "+in.again)
}

// labelsNeeded is how many labels it takes: the key's, AWSPREVIOUS where there was none, and a mark.
const labelsNeeded = 3

// check refuses what would leave a key that cannot be put in.
func (in *installation) check(ctx context.Context) error {
	if free := vault.LabelQuota - in.secret.Labels(); free < labelsNeeded {
		return terminal.WithHint(fmt.Errorf("the secret %s has %d of its %d staging labels free, and this needs %d", in.secret.Name, max(free, 0), vault.LabelQuota, labelsNeeded),
			"take labels off that nobody needs: aws secretsmanager update-secret-version-stage")
	}
	_, raw, err := in.current(ctx)
	if err != nil {
		return err
	}
	probe, err := apikey.Parse("qk_" + fmt.Sprintf("%060d", 0))
	if err == nil {
		_, err = in.put(raw, probe)
	}
	return err
}

// current reads the current version. A secret that never had a value counts as one that waits for its key.
func (in *installation) current(ctx context.Context) (id string, raw redact.Text, err error) {
	version, ok := in.secret.Holder(vault.Current)
	if !ok { // [installation.prepare]
		return "", redact.New("{}"), nil
	}
	raw, err = in.secret.Raw(ctx, version.ID)
	return version.ID, raw, err
}

// make makes the key. The registry gives each key out once, and knows no idempotency: after a lost answer, the key is made once more. The one that may
// be there stays, for the sweep to find by its name and judge by its age: it may as well be the key of a twin that is about to store it.
func (in *installation) make(ctx context.Context, session *quilt.Session) (aKey, error) {
	ctx, cancel := deadline.WithShare(ctx, makeShare)
	defer cancel()
	before, err := session.Account(ctx)
	if err != nil {
		return aKey{}, err
	}
	name := in.settings.NameOfKey(in.secret.Name, in.secret.ARN, before.RegistryTime)
	made, err := session.CreateKey(ctx, name, in.settings.ExpiresInDays)
	if _, lost := errors.AsType[*quilt.AnswerLostError](err); lost {
		in.Tell.Tell(terminal.Noted, "an answer of the registry was lost: making another key", "a key that was made is revoked by the sweep")
		made, err = session.CreateKey(ctx, name, in.settings.ExpiresInDays)
	}
	if err != nil {
		return aKey{}, err
	}
	err = vault.CheckLabel(made.ID)
	if err == nil {
		err = checkOwner(in.secret.Name, before.Email, quilt.Identity{Email: made.UserEmail})
	}
	if err != nil { // it was never stored, and never will be
		_ = session.RevokeKey(ctx, made.ID) // else the sweep finds it
		return aKey{}, err
	}
	in.Tell.Tell(terminal.Done, "made the key "+made.Name, "expires on "+day(made.ExpiresAt))
	return aKey{id: made.ID, secret: made.Secret}, nil
}

// makeShare is what the registry gets of the time of a write: one that hangs must not leave a key that there is no time to store.
const makeShare = 0.6

// store writes the current value with the key in it into a version of its own, unless the one that holds the key is that value already. It gives the
// version that was current.
func (in *installation) store(ctx context.Context, k *aKey) (from string, err error) {
	if err := in.secret.Look(ctx); err != nil {
		return "", err
	}
	from, raw, err := in.current(ctx)
	if err != nil {
		return "", err
	}
	if in.needless != nil {
		needless, err := in.needless(ctx, raw)
		if err != nil {
			return "", err
		}
		if needless {
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
	if err := in.Cloud.Vault.Put(ctx, n); err != nil {
		if err := in.readBack(ctx, n, err); err != nil {
			return "", terminal.WithHint(err, "to go on: "+in.again)
		}
	}
	k.version = n.VersionID
	return from, nil
}

// readBack learns whether a put whose answer is an error was carried out. A value never changes, so what stands there is the answer; the label may be
// missing, and is attached.
func (in *installation) readBack(ctx context.Context, n vault.NewValue, putErr error) error {
	stored, err := in.secret.Raw(ctx, n.VersionID)
	switch {
	case errors.Is(err, vault.ErrNoValue), errors.Is(err, vault.ErrBinary), err == nil && !stored.Equal(n.Value):
		return putErr
	case err != nil: // An earlier attempt may have stored the value, so this is no refusal: its key must not be revoked.
		return fmt.Errorf("%w; it is not known whether the value was stored: %s", err, putErr.Error())
	}
	if err := in.secret.Look(ctx); err != nil {
		return err
	}
	label := vault.KeyLabel(n.KeyID)
	holder, held := in.secret.Holder(label)
	switch {
	case !held:
		return in.Cloud.Vault.Attach(ctx, n.SecretARN, label, n.VersionID)
	case holder.ID != n.VersionID:
		return in.Cloud.Vault.Move(ctx, n.SecretARN, label, n.VersionID, holder.ID)
	}
	return nil
}

// install proves the stored key and makes its version current.
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
		in.Tell.Tell(terminal.Warned, "somebody edited the secret meanwhile: starting over with the edited value", "")
	}
	return proof{}, terminal.WithHint(fmt.Errorf("the secret %s was edited %d times meanwhile: the edits are kept", in.secret.Name, maxEdits), "when nobody edits it any more: "+in.again)
}

// prove reads the stored value back and logs in with the key in it.
func (in *installation) prove(ctx context.Context, k *aKey) (proof, error) {
	in.Tell.Doing("logging in with what was stored")
	value, err := in.value(ctx, k.version)
	if err != nil {
		return proof{}, err
	}
	if !value.Key().Equal(k.secret) {
		return proof{}, fmt.Errorf("the version %s of %s does not hold the key that was stored in it", k.version, in.secret.Name)
	}
	p, err := in.logInSoon(ctx, in.registry, value.Key(), k.id)
	if quilt.RefusesLogin(err) {
		return proof{}, terminal.WithHint(fmt.Errorf("the registry does not let the new key %s in", k.id), "nothing current was changed; to try again: "+in.again)
	}
	if err != nil {
		return proof{}, err
	}
	if err := checkOwner(in.secret.Name, in.owner, p.Identity); err != nil {
		return proof{}, err
	}
	in.Tell.Tell(terminal.Done, "logged in with the key as it is stored", p.Email)
	return p, nil
}

// value takes a version's value apart, by the field that these settings name.
func (in *installation) value(ctx context.Context, version string) (apikey.Value, error) {
	raw, err := in.secret.Raw(ctx, version)
	if err != nil {
		return apikey.Value{}, err
	}
	return apikey.ParseValue(raw, in.settings.Field)
}

// seeCurrent logs in once more: a twin that took the key for what a lost answer had left may have revoked it in that very second.
func seeCurrent(ctx context.Context, registry *quilt.Client, s *managed.Secret, key apikey.Key) error {
	ctx, cancel := ending(ctx)
	defer cancel()
	_, err := registry.WithKey(key).Me(ctx)
	if quilt.RefusesLogin(err) {
		return terminal.WithHint(fmt.Errorf("the key that is current in %s now was revoked in this very moment: %w", s.Name, err), "run: quilt-rotate recover "+s.Name)
	}
	return nil // it was seen to log in a moment ago: no answer is no evidence
}

// leftover is a key that an interrupted run stored: its version has the label of a key, and neither stage nor mark, so it never was current, as far as
// labels tell. One that logs in and is young enough is put in instead of another. ok is false where there is none.
func (in *installation) leftover(ctx context.Context) (k aKey, ok bool, err error) {
	var best quilt.APIKey
	for _, v := range in.secret.Sorted() {
		if !neverCurrent(v) {
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
		fits := err == nil && p.row != nil && p.row.Status == quilt.Active && value.Key().Fits(p.row.Fingerprint) && !p.row.Old(p.RegistryTime)
		if fits && (in.owner == "" || quilt.SameUser(in.owner, p.Email)) && p.row.CreatedAt.After(best.CreatedAt) {
			best, k, ok = *p.row, aKey{v.Key(), value.Key(), v.ID}, true
		}
	}
	return k, ok, nil
}

// holdsCurrent tells whether the version that holds the key is the current value with the key in it, to the byte.
func (in *installation) holdsCurrent(ctx context.Context, k aKey) (bool, error) {
	_, raw, err := in.current(ctx)
	if err != nil {
		return false, err
	}
	stored, err := in.secret.Raw(ctx, k.version)
	if err != nil {
		return false, err
	}
	value, err := in.put(raw, k.secret)
	return err == nil && value.Equal(stored), nil
}

func neverCurrent(v vault.Version) bool {
	stage := v.Has(vault.Current) || v.Has(vault.Pending) || v.Has(vault.Previous)
	return len(v.Keys) == 1 && len(v.Marks) == 0 && !stage
}

// cutOver moves AWSCURRENT, as a compare-and-swap. When the call fails, what DescribeSecret says counts, once it had time to catch up: the answer to a
// move that was carried out may be lost. It is false without an error where somebody else moved it first.
func (d *Operator) cutOver(ctx context.Context, s *managed.Secret, to, from string) (moved bool, err error) {
	err = finish(ctx, func(ctx context.Context) error {
		moveErr := d.Cloud.Vault.Promote(ctx, s.ARN, to, from)
		if moveErr == nil {
			moved = true
			return nil
		}
		holds := func(v vault.Secret) string {
			current, _ := v.Holder(vault.Current)
			return current.ID
		}
		now, err := d.Cloud.Vault.Await(ctx, s.ARN, func(v vault.Secret) bool { return holds(v) != from })
		if err != nil {
			return errors.Join(moveErr, err)
		}
		if moved = holds(now) == to; moved || holds(now) != from {
			return nil
		}
		return moveErr
	})
	return moved, err
}
