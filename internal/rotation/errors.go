package rotation

import (
	"context"
	"errors"
	"fmt"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// The types of this file are an operations API: Lambda reports the type's name as errorType, and alarms and runbook pages are named for
// it. Each message is one sentence that says what is wrong, where, and what to do. None holds a key, a value or a token.

// fault is what all of them are made of.
type fault struct {
	message string
	cause   error
}

func (f fault) Error() string { return f.message }
func (f fault) Unwrap() error { return f.cause }

func faultf(format string, args ...any) fault {
	err := fmt.Errorf(format, args...)
	return fault{err.Error(), errors.Unwrap(err)}
}

type (
	// BadEvent: the event is none of Secrets Manager's.
	BadEvent struct{ fault }
	// BadTags: a tag of the secret is against its rule.
	BadTags struct{ fault }
	// BadValue: no key can be found in the current or pending value.
	BadValue struct{ fault }
	// SecretDeleted: the secret is marked for deletion.
	SecretDeleted struct{ fault }
	// UnknownVersion: the event's token is no version of the secret.
	UnknownVersion struct{ fault }
	// NotPending: the event's version holds AWSPENDING no more.
	NotPending struct{ fault }
	// RotationOff: rotation is not switched on.
	RotationOff struct{ fault }
	// NotBootstrapped: the secret waits for its first key.
	NotBootstrapped struct{ fault }
	// LabelQuota: too few staging labels are left to rotate safely.
	LabelQuota struct{ fault }
	// NoMaker: neither the current key, nor the previous one, nor the issuer may make a key.
	NoMaker struct{ fault }
	// BadIssuer: the issuer's secret cannot be read or understood.
	BadIssuer struct{ fault }
	// OwnerUnknown: nothing tells which registry user the key belongs to.
	OwnerUnknown struct{ fault }
	// OwnerChanged: the new key would belong to another registry user.
	OwnerChanged struct{ fault }
	// CreateAnswerLost: the registry may have made a key whose secret nobody saw.
	CreateAnswerLost struct{ fault }
	// BadNewKey: the registry made a key that cannot be stored; it is revoked again.
	BadNewKey struct{ fault }
	// StoreFailed: the new key could not be stored, as far as is known.
	StoreFailed struct{ fault }
	// PendingKeyDead: the pending key is gone or expired; AWSPENDING was taken off.
	PendingKeyDead struct{ fault }
	// PendingKeyOld: the pending key has less than half its life left.
	PendingKeyOld struct{ fault }
	// PendingKeyRefused: the registry refuses the pending key.
	PendingKeyRefused struct{ fault }
	// PendingMisplaced: the pending value holds its key in another field.
	PendingMisplaced struct{ fault }
	// Edited: somebody edited the secret during the rotation; AWSPENDING was taken off.
	Edited struct{ fault }
	// CutOverFailed: AWSCURRENT could not be moved.
	CutOverFailed struct{ fault }
	// RegistryUnavailable: the registry gives no usable answer.
	RegistryUnavailable struct{ fault }
	// RegistryRefused: the registry refused what the step asked.
	RegistryRefused struct{ fault }
	// SecretsManagerFailed: a call to Secrets Manager failed.
	SecretsManagerFailed struct{ fault }
	// OutOfTime: the function's time ran out.
	OutOfTime struct{ fault }
)

// Named gives an error the type by which operators know it. Errors of this package pass as they are.
func Named(err error) error {
	var (
		own         interface{ named() }
		tags        *settings.Invalid
		service     *vault.Error
		unavailable *quilt.UnavailableError
		protocol    *quilt.ProtocolError
		lost        *quilt.AnswerLostError
	)
	wrapped := fault{message: fmt.Sprint(err), cause: err}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.(error)
	case errors.As(err, &tags):
		return &BadTags{wrapped}
	case errors.As(err, &lost):
		wrapped.message += "; a key that was made is found and revoked by the sweep"
		return &CreateAnswerLost{wrapped}
	case errors.As(err, &unavailable), errors.As(err, &protocol):
		return &RegistryUnavailable{wrapped}
	case quilt.Refused(err):
		return &RegistryRefused{wrapped}
	case errors.As(err, &service), errors.Is(err, vault.ErrNoValue):
		return &SecretsManagerFailed{wrapped}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		wrapped.message = "the function's time ran out: " + wrapped.message
		return &OutOfTime{wrapped}
	}
	return err
}

// named marks the types of this file.
func (fault) named() {}

// inValue says which value an error of the codec is about, and gives it its type.
func inValue(stage string, secret vault.Secret, err error) error {
	var blank *apikey.BlankValueError
	var bad *apikey.BadValueError
	switch {
	case errors.As(err, &blank):
		return &NotBootstrapped{fault{fmt.Sprintf("the secret %s waits for its first key: %s; run: quilt-rotate bootstrap %s", secret.ARN, blank, secret.Name), err}}
	case errors.As(err, &bad), errors.Is(err, vault.ErrBinary):
		return &BadValue{fault{fmt.Sprintf("the %s value of %s cannot be used: %s", stage, secret.ARN, err), err}}
	case errors.Is(err, vault.ErrNoValue):
		return &BadValue{fault{fmt.Sprintf("the %s version of %s has no value", stage, secret.ARN), err}}
	}
	return err
}
