package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/cenkalti/backoff/v5"

	"quilt-rotate/internal/redact"
)

// PendingValue is a new value, to be stored as the pending one.
type PendingValue struct {
	SecretARN     string
	VersionID     string // the rotation's ClientRequestToken
	RotationToken redact.Text
	Value         redact.Text
	KeyID         string // of the key in the value
}

// PutPending stores the value under AWSPENDING and the label of its key, in one call.
//
// A crash before it leaves a key at the registry that no version holds: an orphan, which the sweep finds by its name. A crash after
// it leaves value, stage and key label together, so the next createSecret finds them. When the answer is lost, or the request
// lands late, the version's value is either still missing or this one or a twin's, and never changes again: the caller reads
// it back to learn which. AWS documents the labels as part of the same write, but nobody has published a look at it: so the
// answer's labels are checked, and a key label that did not stick is attached at once.
func (v *Vault) PutPending(ctx context.Context, p PendingValue) error {
	label := KeyLabel(p.KeyID)
	in := &secretsmanager.PutSecretValueInput{
		SecretId:           &p.SecretARN,
		ClientRequestToken: &p.VersionID,
		SecretString:       aws.String(p.Value.Reveal()),
		VersionStages:      []string{Pending, label},
	}
	if !p.RotationToken.Empty() { // emulators send none
		in.RotationToken = aws.String(p.RotationToken.Reveal())
	}
	return v.put(ctx, in, label, p.Value, p.RotationToken)
}

// NewValue is a value that a person puts in, to be made current once it is proved.
type NewValue struct {
	SecretARN string
	VersionID string // chosen by the caller, so that the same call again makes no second version
	Value     redact.Text
	KeyID     string // of the key in the value
}

// Put stores a value under nothing but the label of its key: no consumer reads it until [Vault.Promote], which is a compare-and-swap, so that no
// edit of the secret is ever overwritten.
//
// A crash before it leaves an orphan, as with [Vault.PutPending]. A crash after it leaves a version that never was current, with its key's label: the
// command finds it when it runs again, and else the sweep marks it and revokes its key.
func (v *Vault) Put(ctx context.Context, n NewValue) error {
	label := KeyLabel(n.KeyID)
	return v.put(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &n.SecretARN, ClientRequestToken: &n.VersionID, SecretString: aws.String(n.Value.Reveal()), VersionStages: []string{label},
	}, label, n.Value)
}

func (v *Vault) put(ctx context.Context, in *secretsmanager.PutSecretValueInput, label string, sent ...redact.Text) error {
	out, err := write(ctx, v.patience, func() (*secretsmanager.PutSecretValueOutput, error) { return v.api.PutSecretValue(ctx, in) })
	if err != nil {
		return newError("PutSecretValue", *in.SecretId, err, sent...)
	}
	if !NewVersion(*in.ClientRequestToken, out.VersionStages).Has(label) {
		return v.Attach(ctx, *in.SecretId, label, *in.ClientRequestToken)
	}
	return nil
}

// CheckLabel tells whether a key's id fits into a label; it must be asked before the value is stored.
func CheckLabel(keyID string) error {
	if keyID == "" { // would make a label that names no key, which stops the sweep
		return errors.New("the registry gave the key no id")
	}
	if n := len(KeyLabel(keyID)); n > MaxLabelLength {
		return fmt.Errorf("the registry gave the key an id that makes a staging label of %d characters; Secrets Manager takes %d", n, MaxLabelLength)
	}
	return nil
}

// Promote moves AWSCURRENT from one version to another: the cut-over. It is a compare-and-swap: the service refuses it when AWSCURRENT is
// no longer on from, so an edit or a twin that was faster wins.
//
// A crash before it leaves everything as it was; after it, the rotation is done and a repeated finishSecret sees so. A lost
// answer makes the SDK's own retry fail on the moved label: the caller describes the secret to learn what is true.
func (v *Vault) Promote(ctx context.Context, secretARN, to, from string) error {
	return v.move(ctx, secretARN, Current, to, from)
}

// Attach puts a label on a version that no other version has. The service refuses it when another version has the label.
//
// A crash before it leaves the version without the label: the next run sees that, and attaches it. After it, the label is there, and
// doing it again changes nothing. So a lost answer needs no look: the SDK's own retry, or the next run's, comes out the same.
func (v *Vault) Attach(ctx context.Context, secretARN, label, to string) error {
	return v.move(ctx, secretARN, label, to, "")
}

// Move takes a label from one version to another, in one call, so that at no instant none has it. It is a compare-and-swap, as [Vault.Promote].
//
// A crash before it leaves the label where it was, after it where it shall be: the next run finds one or the other, never both and
// never neither. A lost answer makes the SDK's own retry fail on the moved label: the caller describes the secret to learn what is true.
func (v *Vault) Move(ctx context.Context, secretARN, label, to, from string) error {
	return v.move(ctx, secretARN, label, to, from)
}

// Detach takes a label off a version. It is refused when the label is no longer there, so it cannot take it from another version.
//
// A crash before it leaves the label on, for the next run to take off; after it, the label is gone, and a version that has none is
// the service's to delete. A lost answer makes the SDK's own retry fail on the missing label: the caller describes the secret, and is
// content when it is gone.
func (v *Vault) Detach(ctx context.Context, secretARN, label, from string) error {
	return v.move(ctx, secretARN, label, "", from)
}

func (v *Vault) move(ctx context.Context, secretARN, label, to, from string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &secretARN, VersionStage: &label}
	if to != "" {
		in.MoveToVersionId = &to
	}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	_, err := write(ctx, v.patience, func() (*secretsmanager.UpdateSecretVersionStageOutput, error) {
		return v.api.UpdateSecretVersionStage(ctx, in)
	})
	if err != nil {
		return newError("UpdateSecretVersionStage", secretARN, err)
	}
	return nil
}

// write sends a change again, for longer than the SDK does, while the service refuses it for the number of changes: it takes 50 a second, over
// all secrets of an account (AWS Secrets Manager quotas), so that a thousand rotations in one second have to queue. A change that was refused
// for that was not carried out; and who gave up instead would leave a key behind that was just made.
func write[T any](ctx context.Context, patience time.Duration, send func() (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = time.Second, 5*time.Second
	var last error
	out, err := backoff.Retry(ctx, func() (T, error) {
		out, err := send()
		if last = err; err != nil && !throttled(err) {
			err = backoff.Permanent(err)
		}
		return out, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(patience))
	if err != nil && last != nil {
		err = last // and not that the time is over
	}
	return out, err
}
