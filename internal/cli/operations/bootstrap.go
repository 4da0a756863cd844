package operations

import (
	"context"
	"errors"
	"fmt"
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

// Bootstrap has the parameters of [Operator.Bootstrap].
type Bootstrap struct {
	Name     string          // of the secret
	Secret   *managed.Secret // nil: it does not exist
	Registry *quilt.Client
	Tags     map[string]string // tags that the options set; an existing tag must have the same value
	Alone    bool              // the key is the whole value
	KMSKey   string            // of a new secret
	LogIn    Login
}

// Outcome is the result of an operation that stores a key.
type Outcome string

// The outcomes.
const (
	Installed Outcome = "installed" // a new key is current
	Resumed   Outcome = "resumed"   // the key that an interrupted run stored is current
	Moved     Outcome = "moved"     // an older version is current again, because its key works
	Reused    Outcome = "reused"    // an older key that works was stored in the current value
	Works     Outcome = "works"     // the current key logs in, so nothing was changed
)

// KeyIn is the key that a secret now holds, and how it got there.
type KeyIn struct {
	Secret        string             `json:"secret"`
	ARN           string             `json:"arn"`
	Outcome       Outcome            `json:"outcome"`
	CreatedSecret bool               `json:"createdSecret,omitempty"`
	MadeBy        string             `json:"madeBy,omitempty"` // login that created the key: "issuer", or "login"
	VersionID     string             `json:"versionId"`
	Key           revocation.KeyInfo `json:"key"`
	Rotation      Rotation           `json:"rotation"`
}

// Rotation is whether rotation is on, and when the next rotation is due.
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

// day formats a date for messages.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Bootstrap creates and stores the first key of a secret. A secret that does not exist is created
// with the value {}, because the name of the key contains a mark of the ARN. If the current value
// holds a key, nothing is changed.
//
// The secret and its tags are written before the login, so that a refused name or a missing
// permission does not use up a one-time login code. A crash in between leaves a secret that waits
// for its first key, and the same command continues. [installation] describes crashes after the
// login.
func (d *Operator) Bootstrap(ctx context.Context, b Bootstrap) (KeyIn, error) {
	in, err := d.newInstallation(ctx, b.Secret, b.Registry, b.Tags, false)
	if err != nil {
		return KeyIn{}, err
	}
	field := in.settings.Field
	if b.Alone && field != "" {
		return KeyIn{}, terminal.WithHint(fmt.Errorf("the tag %s says that the key is in the field %q, so it cannot "+
			"be the whole value", settings.TagField, field),
			"leave --plain out, or remove the tag")
	}
	in.put = func(raw redact.Text, key apikey.Key) (redact.Text, error) {
		if b.Alone {
			return managed.PutKeyAlone(raw, key)
		}
		return managed.PutFirstKey(raw, field, key)
	}
	if b.Secret != nil {
		if done, there, err := in.there(ctx); there || err != nil {
			return done, err
		}
		if err := in.check(ctx); isBad(err) {
			return KeyIn{}, terminal.WithHint(fmt.Errorf("the value of %s cannot take a key: %w", b.Name, err),
				"name the field for it with --field, or correct the value")
		} else if err != nil {
			return KeyIn{}, err
		}
		if done, ok, err := in.resume(ctx); ok || err != nil {
			return done, err
		}
	}
	return in.first(ctx, b)
}

// there returns the key in the current value, and false if the value holds no key.
func (in *installation) there(ctx context.Context) (KeyIn, bool, error) {
	current, value, p, err := in.currentKey(ctx)
	switch {
	case isBlank(err):
		return KeyIn{}, false, in.notOverwritten(current.ID)
	case isBad(err): // check then reports whether the value can hold a key
		return KeyIn{}, false, nil
	case err != nil:
		return KeyIn{}, false, err
	}
	in.Progress.Report(terminal.Noted, in.secret.Name+" already has a key that logs in: nothing was changed", "")
	return keyIn(in.secret, Works, current.ID, value.Key(), p), true, nil
}

// notOverwritten refuses a blank value if a version that holds a key was current before.
func (in *installation) notOverwritten(current string) error {
	for _, v := range in.secret.Sorted() {
		if len(v.Keys) > 0 && v.ID != current && (v.Has(vault.Previous) || len(v.Marks) > 0) {
			return in.overwritten(v.ID)
		}
	}
	return nil
}

func (in *installation) overwritten(version string) error {
	return terminal.WithHint(fmt.Errorf("the value of %s is blank, but the version %s was current before and holds a "+
		"key: somebody overwrote the value", in.secret.Name, version),
		"run: "+in.command("recover"))
}

// resume continues an interrupted run. Nobody has to log in, because the stored key can.
func (in *installation) resume(ctx context.Context) (KeyIn, bool, error) {
	in.Progress.Doing("looking for a key that an interrupted run stored")
	k, ok, err := in.leftover(ctx)
	if !ok || err != nil {
		return KeyIn{}, false, err
	}
	if !in.secret.Rotation.Last.IsZero() { // the secret was rotated before, so this is an old version
		return KeyIn{}, false, in.overwritten(k.version)
	}
	in.Progress.Report(terminal.Noted, "continuing with the key that an interrupted run stored", k.id)
	if err := in.tag(ctx); err != nil {
		return KeyIn{}, false, in.left(err)
	}
	p, err := in.install(ctx, &k)
	return in.ended(ctx, Resumed, &k, p, err)
}

// first creates the secret and its tags if they are missing, asks a person to log in, and stores a
// new key.
func (in *installation) first(ctx context.Context, b Bootstrap) (KeyIn, error) {
	created := b.Secret == nil
	if created {
		if err := in.createSecret(ctx, b); err != nil {
			return KeyIn{}, left(err, "if the secret was created, it waits for its first key; to continue: "+in.again)
		}
	} else if err := in.prepare(ctx); err != nil {
		return KeyIn{}, in.left(err)
	}
	in.Progress.Report(terminal.Noted, in.Place, in.Cloud.Place(ctx).String())
	session, me, err := b.LogIn(ctx, in.registry)
	if err == nil {
		err = checkOwner(b.Name, in.owner, me)
	}
	if err != nil {
		return KeyIn{}, in.left(err)
	}
	in.Progress.Report(terminal.Done, "logged in at "+in.registry.Host(), me.Email)
	in.owner = me.Email
	if in.missing = nil; in.unowned {
		in.missing = map[string]string{settings.TagOwner: me.Email}
	}
	if err := in.tag(ctx); err != nil {
		return KeyIn{}, in.left(err)
	}
	p, k, err := in.fresh(ctx, session)
	result, _, err := in.ended(ctx, Installed, &k, p, err)
	result.CreatedSecret = created
	return result, err
}

// ended returns the result. If somebody else stored a key first, the result describes that key.
func (in *installation) ended(ctx context.Context, outcome Outcome, k *aKey, p proof, err error) (KeyIn, bool, error) {
	ctx, cancel := ending(ctx)
	defer cancel()
	if err == nil || errors.Is(err, errFilled) {
		if lookErr := in.secret.Look(ctx); lookErr != nil {
			return KeyIn{}, false, lookErr
		}
	}
	if errors.Is(err, errFilled) {
		in.Progress.Report(terminal.Warned, "somebody else stored a key at the same time: that key stays current", "")
		if done, there, thereErr := in.there(ctx); there || thereErr != nil {
			return done, there, thereErr
		}
	}
	if err != nil {
		return KeyIn{}, false, err
	}
	return keyIn(in.secret, outcome, k.version, k.secret, p), true, nil
}

// createSecret asks for confirmation and creates the secret. If the answer is lost, the same
// command finds the secret when it runs again. A secret that somebody else created at the same time
// is not used, because its tags may name another registry.
func (in *installation) createSecret(ctx context.Context, b Bootstrap) error {
	if strings.HasPrefix(b.Name, "arn:") {
		return terminal.WithHint(fmt.Errorf("there is no secret %s", redact.Clip(b.Name, 512)),
			"check the ARN; to create a secret, give its name instead of an ARN")
	}
	if err := in.Confirm(ctx, "the secret "+b.Name+" does not exist and will be created", b.Name); err != nil {
		return err
	}
	var arn string
	err := finish(ctx, func(ctx context.Context) (err error) {
		arn, err = in.Cloud.CreateSecret(ctx, awsclient.NewSecret{
			Name: b.Name, Description: "A Quilt API key, rotated by quilt-rotate", Value: redact.New("{}"),
			Tags: in.missing, KMSKey: b.KMSKey,
		}, uuid.NewString())
		return err
	})
	if awsclient.Exists(err) {
		return terminal.WithHint(fmt.Errorf("somebody else created the secret %s at the same time", b.Name),
			sameCommand)
	}
	if err != nil {
		return err
	}
	for range 5 { // a new secret may not be visible at once
		if in.secret, err = managed.Open(ctx, in.Cloud, arn); !awsclient.NotFound(err) {
			break
		}
		if err := in.sleep(ctx); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	in.Progress.Report(terminal.Done, "created the secret "+b.Name, "")
	in.missing = nil
	return in.prepare(ctx)
}

// prepare writes the missing tags and checks the permission to store a value. If the secret never
// had a value, it stores {}, which becomes current at once and therefore must not hold a key.
// Otherwise it stores the current value again with the id of its own version: Secrets Manager
// checks the permission and changes nothing (API reference, PutSecretValue).
func (in *installation) prepare(ctx context.Context) error {
	if err := in.tag(ctx); err != nil {
		return err
	}
	id, raw, err := in.current(ctx)
	if err != nil {
		return err
	}
	if id == "" {
		id = uuid.NewString()
	}
	return finish(ctx, func(ctx context.Context) error {
		if err := in.Cloud.PutFirst(ctx, in.secret.ARN, raw, id); err != nil {
			return err
		}
		in.secret.Secret, err = in.Cloud.Vault.Await(ctx, in.secret.ARN, func(s vault.Secret) bool {
			_, ok := s.Holder(vault.Current)
			return ok
		})
		return err
	})
}
