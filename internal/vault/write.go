package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/retry"
)

// NewValue is a new value to store in a version of its own.
type NewValue struct {
	SecretARN     string
	VersionID     string      // a rotation's ClientRequestToken; an operator's command chooses one
	RotationToken redact.Text // empty outside a rotation, and with emulators
	Value         redact.Text
	KeyID         string // of the key in the value
}

// PutPending stores the value under AWSPENDING and the label of its key, in one call.
//
// A crash before it leaves a key at the registry that no version holds: an orphan, which the sweep
// finds by its name. A crash after it leaves value, stage and key label together, so the next
// createSecret finds them. If it fails, the value may be stored all the same, or be stored later.
// The version's value is then missing, this one, or a twin's, and it never changes: the caller
// reads it back. The same call again is safe. If a twin's value is stored, it fails.
func (v *Vault) PutPending(ctx context.Context, n NewValue) error { return v.put(ctx, n, Pending) }

// Put stores the value under the label of its key alone. No consumer reads it until
// [Vault.Promote]. That is a compare-and-swap, so no edit of the secret is overwritten.
//
// A crash before it leaves an orphan, and a failure says as little as with [Vault.PutPending]. A
// crash after it leaves a version that never was current, with its key's label: the command finds
// it if it runs again, else the sweep marks it and revokes its key.
func (v *Vault) Put(ctx context.Context, n NewValue) error { return v.put(ctx, n) }

// put stores a value and its labels. AWS documents the labels as part of the same write, but nobody
// has published a proof. So the answer's labels are checked, and a missing key label is attached at
// once.
func (v *Vault) put(ctx context.Context, n NewValue, stages ...string) error {
	label := KeyLabel(n.KeyID)
	in := &secretsmanager.PutSecretValueInput{
		SecretId: &n.SecretARN, ClientRequestToken: &n.VersionID, SecretString: aws.String(n.Value.Reveal()),
		VersionStages: append(stages, label),
	}
	if !n.RotationToken.Empty() {
		in.RotationToken = aws.String(n.RotationToken.Reveal())
	}
	out, err := write(ctx, v.patience, func() (*secretsmanager.PutSecretValueOutput,
		error) {
		return v.api.PutSecretValue(ctx, in)
	})
	if err != nil {
		return newError("PutSecretValue", n.SecretARN, err, n.Value, n.RotationToken)
	}
	if !slices.Contains(out.VersionStages, label) {
		return v.Attach(ctx, n.SecretARN, label, n.VersionID)
	}
	return nil
}

// CheckLabel checks that a key's id fits into a label. Call it before the value is stored.
func CheckLabel(keyID string) error {
	if keyID == "" { // its label would name no key, which stops the sweep
		return errors.New("the registry gave the key no id")
	}
	if n := len(KeyLabel(keyID)); n > MaxLabelLength {
		return fmt.Errorf("the registry gave the key an id that makes a staging label of %d characters; Secrets "+
			"Manager takes %d", n, MaxLabelLength)
	}
	return nil
}

// Move takes a label from one version to another, in one call, so that one of them has it at all
// times. It is a compare-and-swap: it fails if the label is no longer on from.
//
// Every move of a label is safe to repeat and safe for twins: it succeeds if the label is where it
// was asked to be, whoever moved it. A failed call may have been carried out (an answer was lost,
// and the SDK's own retry was refused). So the secret is described after a failure, and only what
// it says counts. If a move fails, with an [*Error], the label may still move later, when a request
// arrives late.
func (v *Vault) Move(ctx context.Context, secretARN, label, to, from string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &secretARN, VersionStage: &label}
	moved := func(s Secret) bool { return s.Versions[to].Has(label) }
	if to != "" {
		in.MoveToVersionId = &to
	} else {
		moved = func(s Secret) bool { return !s.Versions[from].Has(label) }
	}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	_, err := write(ctx, v.patience, func() (*secretsmanager.UpdateSecretVersionStageOutput, error) {
		return v.api.UpdateSecretVersionStage(ctx, in)
	})
	if err == nil {
		return nil
	}
	if now, lookErr := v.Await(ctx, secretARN, moved); lookErr == nil && moved(now) {
		return nil
	}
	return newError("UpdateSecretVersionStage", secretARN, err)
}

// Promote moves AWSCURRENT from one version to another: the cut-over. It fails if AWSCURRENT is no
// longer on from, so that an edit is not overwritten.
//
// A crash before it leaves everything as it was. After it the rotation is done, and a repeated
// finishSecret sees that.
func (v *Vault) Promote(ctx context.Context, secretARN, to, from string) error {
	return v.Move(ctx, secretARN, Current, to, from)
}

// Attach puts a label on a version. It fails if another version has the label.
//
// A crash before it leaves the version without the label, and the next run attaches it.
func (v *Vault) Attach(ctx context.Context, secretARN, label, to string) error {
	return v.Move(ctx, secretARN, label, to, "")
}

// Detach removes a label from a version. It never removes the label from another version.
//
// A crash before it leaves the label, and the next run removes it. After it, Secrets Manager may
// delete a version that has no label.
func (v *Vault) Detach(ctx context.Context, secretARN, label, from string) error {
	return v.Move(ctx, secretARN, label, "", from)
}

// write sends a change again, for longer than the SDK does, while the service throttles it. The
// service takes 50 changes a second, over all secrets of an account (AWS Secrets Manager quotas),
// so a thousand rotations in one second have to queue. A throttled change was not carried out. A
// run that gave up instead would leave behind the key that it just created.
func write[T any](ctx context.Context, patience time.Duration, send func() (T, error)) (T, error) {
	return retry.While(ctx, retry.Waits{First: time.Second, Longest: 5 * time.Second, AtMost: patience}, throttled,
		send)
}
