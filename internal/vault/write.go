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

// NewValue is a value to store as a new version of a secret.
type NewValue struct {
	SecretARN     string
	VersionID     string      // the ClientRequestToken of a rotation; random for a command
	RotationToken redact.Text // empty outside a rotation, and with emulators
	Value         redact.Text
	KeyID         string // of the key in the value
}

// PutPending stores the value with the labels AWSPENDING and quilt-key, in one call.
//
// A crash before the call leaves a key that no version holds: an orphan, which the sweep finds by
// its name. A crash after the call leaves the value with both labels, so the next createSecret
// finds them. If the call fails, the value may still be stored, now or later, so the caller must
// read the version back. It has no value, this value, or the value of a concurrent run. A stored
// value never changes. The call may be repeated. It fails if the value of a concurrent run is
// stored.
func (v *Vault) PutPending(ctx context.Context, n NewValue) error { return v.put(ctx, n, Pending) }

// Put stores the value with the label quilt-key only, so no consumer reads it before
// [Vault.Promote], which is a compare-and-swap and overwrites no edit of the secret.
//
// A crash before the call leaves an orphan. A crash after the call leaves a version that was never
// current, with its key's label. The command finds it when it runs again. Otherwise, the sweep
// marks the version and later revokes its key. If the call fails, the value may still be stored, as
// with [Vault.PutPending].
func (v *Vault) Put(ctx context.Context, n NewValue) error { return v.put(ctx, n) }

// put stores a value and its labels. The AWS documentation says that one write stores both, but
// this was not verified on AWS. So put checks the labels in the response, and attaches the key
// label if it is missing.
func (v *Vault) put(ctx context.Context, n NewValue, stages ...string) error {
	label := KeyLabel(n.KeyID)
	in := &secretsmanager.PutSecretValueInput{
		SecretId: &n.SecretARN, ClientRequestToken: &n.VersionID, SecretString: aws.String(n.Value.Reveal()),
		VersionStages: append(stages, label),
	}
	if !n.RotationToken.Empty() {
		in.RotationToken = aws.String(n.RotationToken.Reveal())
	}
	out, err := write(ctx, v.patience, func() (*secretsmanager.PutSecretValueOutput, error) {
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

// CheckLabel checks that a key's id fits into a label. Call it before you store the value.
func CheckLabel(keyID string) error {
	if keyID == "" { // a label without an id is unknown to the sweep, which then stops
		return errors.New("the registry returned a key without an id")
	}
	if n := len(KeyLabel(keyID)); n > MaxLabelLength {
		return fmt.Errorf("the registry returned a key whose id needs a staging label of %d characters; Secrets "+
			"Manager allows %d", n, MaxLabelLength)
	}
	return nil
}

// Move moves a label from one version to another in one call, so that one of them has it at all
// times. It is a compare-and-swap: it fails if the label is no longer on from.
//
// A move may be repeated, and concurrent runs may make the same move: Move succeeds if the label is
// on the wanted version, whoever moved it. A call that failed may have been carried out: its
// response was lost and the SDK's retry was refused. So after a failure, Move describes the secret
// and decides by the labels that it finds. If Move returns an [*Error], the label may still move
// later, when a delayed request arrives.
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
// longer on from, so that no edit of the secret is overwritten.
//
// A crash before the call leaves everything unchanged. After the call the rotation is done, and a
// repeated finishSecret finds that out.
func (v *Vault) Promote(ctx context.Context, secretARN, to, from string) error {
	return v.Move(ctx, secretARN, Current, to, from)
}

// Attach puts a label on a version. It fails if another version has the label.
//
// A crash before the call leaves the version without the label, and the next run attaches it.
func (v *Vault) Attach(ctx context.Context, secretARN, label, to string) error {
	return v.Move(ctx, secretARN, label, to, "")
}

// Detach removes a label from a version. It never removes the label from another version.
//
// A crash before the call leaves the label, and the next run removes it. After the call, Secrets
// Manager may delete the version if it has no other label.
func (v *Vault) Detach(ctx context.Context, secretARN, label, from string) error {
	return v.Move(ctx, secretARN, label, "", from)
}

// write sends a change, and repeats it while Secrets Manager throttles it, for longer than the SDK
// does. Secrets Manager allows 50 changes a second for all secrets of an account (AWS Secrets
// Manager quotas), so a thousand rotations in one second have to wait for each other. A throttled
// change was not carried out. A run that gave up would leave an orphan.
func write[T any](ctx context.Context, patience time.Duration, send func() (T, error)) (T, error) {
	waits := retry.Waits{First: time.Second, Longest: 5 * time.Second, AtMost: patience}
	return retry.While(ctx, waits, throttled, send)
}
