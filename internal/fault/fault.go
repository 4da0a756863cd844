// Package fault defines the errors that operators see. Lambda reports the name of the Go type as
// errorType, and alarms and runbook pages use these names. So the names are an API and never
// change.
//
// Each message is one sentence that says what is wrong, where, and what to do next. A message never
// contains a key, a value or a token.
package fault

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Fault is the base of every error type of this package: a message, and its cause, if there is one.
type Fault struct {
	message string
	cause   error
}

func (f Fault) Error() string { return f.message }

// Unwrap returns the cause.
func (f Fault) Unwrap() error { return f.cause }

// named marks the types of this package.
func (Fault) named() {}

// New returns an error of type T. It formats the message as [fmt.Errorf] does.
func New[T ~struct{ Fault }](format string, args ...any) *T {
	err := fmt.Errorf(format, args...)
	return &T{Fault{err.Error(), errors.Unwrap(err)}}
}

type (
	// BadEvent: the event does not have the form that the function expects.
	BadEvent struct{ Fault }
	// BadTags: a tag of the secret has an invalid value.
	BadTags struct{ Fault }
	// BadValue: no key can be found in the current or pending value.
	BadValue struct{ Fault }
	// KeyNotReplaceable: the current value also holds its key in a form that cannot be replaced.
	KeyNotReplaceable struct{ Fault }
	// SecretDeleted: the secret is marked for deletion.
	SecretDeleted struct{ Fault }
	// Replica: this copy of the secret is a replica of another region's, so it cannot be changed
	// here.
	Replica struct{ Fault }
	// WrongRegistry: the secret's keys belong to another registry than the one that this function
	// uses.
	WrongRegistry struct{ Fault }
	// UnknownVersion: the secret has no version with the event's token.
	UnknownVersion struct{ Fault }
	// NotPending: the event's version no longer has AWSPENDING.
	NotPending struct{ Fault }
	// RotationOff: rotation is not switched on.
	RotationOff struct{ Fault }
	// NotBootstrapped: the secret waits for its first key.
	NotBootstrapped struct{ Fault }
	// LabelQuota: too few staging labels are left to rotate safely.
	LabelQuota struct{ Fault }
	// NoCreator: neither the current key, nor the previous one, nor the issuing credential may
	// create a key.
	NoCreator struct{ Fault }
	// BadIssuer: the issuing credential's secret cannot be read or understood.
	BadIssuer struct{ Fault }
	// IssuerNotAllowed: the issuing credential does not list the secret among those that it serves.
	IssuerNotAllowed struct{ Fault }
	// OwnerUnknown: it is not known which registry user the key belongs to.
	OwnerUnknown struct{ Fault }
	// OwnerChanged: the new key would belong to another registry user.
	OwnerChanged struct{ Fault }
	// CreateAnswerLost: the registry may have created a key, but its text was never received.
	CreateAnswerLost struct{ Fault }
	// BadNewKey: the registry answered with a key that cannot be stored. If it was new, it was
	// revoked.
	BadNewKey struct{ Fault }
	// StoreFailed: the new key could not be stored, as far as is known.
	StoreFailed struct{ Fault }
	// PendingKeyDead: the pending key no longer exists or is expired; AWSPENDING was removed.
	PendingKeyDead struct{ Fault }
	// PendingKeyOld: the pending key has less than half of its lifetime left.
	PendingKeyOld struct{ Fault }
	// PendingKeyRefused: the registry refuses the pending key.
	PendingKeyRefused struct{ Fault }
	// PendingHoldsCurrent: the pending value holds the current key.
	PendingHoldsCurrent struct{ Fault }
	// Edited: somebody edited the secret during the rotation.
	Edited struct{ Fault }
	// CutOverFailed: AWSCURRENT could not be moved.
	CutOverFailed struct{ Fault }
	// Overwritten: the current value no longer holds a key, although keys of this secret are valid:
	// somebody overwrote it.
	Overwritten struct{ Fault }
	// CurrentKeyRefused: the registry refuses the key in AWSCURRENT. Consumers are failing now.
	CurrentKeyRefused struct{ Fault }
	// UnknownLabel: a newer release wrote a label that this release does not know, so nothing was
	// changed.
	UnknownLabel struct{ Fault }
	// StillLogsIn: a revoked key still logs in.
	StillLogsIn struct{ Fault }
	// SweepIncomplete: some actions of the sweep failed. All others were done.
	SweepIncomplete struct{ Fault }
	// RegistryUnavailable: the registry gives no usable answer.
	RegistryUnavailable struct{ Fault }
	// RegistryRefused: the registry refused what the step asked.
	RegistryRefused struct{ Fault }
	// SecretsManagerFailed: a call to Secrets Manager failed.
	SecretsManagerFailed struct{ Fault }
	// OutOfTime: the function's time ran out.
	OutOfTime struct{ Fault }
	// Unexpected: none of the above. Please report it as an issue.
	Unexpected struct{ Fault }
)

// Named returns err as an error of a type in this package. If it is one already, Named returns it
// unchanged. Named returns nil if err is nil.
func Named(err error) error {
	var (
		own         interface{ named() }
		tags        *settings.Invalid
		service     *vault.Error
		unavailable *quilt.UnavailableError
		protocol    *quilt.ProtocolError
		lost        *quilt.AnswerLostError
	)
	wrapped := Fault{message: fmt.Sprint(err), cause: err}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.(error)
	case errors.As(err, &tags):
		return &BadTags{wrapped}
	case errors.As(err, &lost):
		wrapped.message += "; if a key was created, a sweep revokes it"
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
	return &Unexpected{wrapped}
}

// InValue returns an error of the value's codec with the type for operators, and with the version
// that it is about.
func InValue(stage string, secret vault.Secret, err error) error {
	var blank *apikey.BlankValueError
	var bad *apikey.BadValueError
	switch {
	case errors.As(err, &blank):
		return &NotBootstrapped{
			Fault{fmt.Sprintf("the secret %s waits for its first key: %s; run: quilt-rotate bootstrap %s", secret.ARN,
				blank, secret.Name), err}}
	case errors.As(err, &bad), errors.Is(err, vault.ErrBinary):
		return &BadValue{Fault{fmt.Sprintf("the %s value of %s cannot be used: %s", stage, secret.ARN, err), err}}
	case errors.Is(err, vault.ErrNoValue):
		return &BadValue{Fault{fmt.Sprintf("the %s version of %s has no value", stage, secret.ARN), err}}
	}
	return err
}

// InPlace fails if the secret cannot be served here: it is a replica, or its keys belong to another
// registry. tagged is the registry that the secret's tag names, or "", and ours is the function's.
// Both have the form of [settings.RegistryURL]. It must be called before a key is sent anywhere,
// because another registry refuses the key, and this looks like a revoked key.
func InPlace(secret vault.Secret, tagged, ours string) error {
	if err := NoReplica(secret); err != nil {
		return err
	}
	return SameRegistry(secret, tagged, ours)
}

// NoReplica fails if the secret is a replica.
func NoReplica(secret vault.Secret) error {
	if primary := secret.ReplicaOf(); primary != "" {
		return New[Replica]("the secret %s is a replica, so it can only be read here; nothing was changed; "+
			"use its primary in the region %s", secret.ARN, primary)
	}
	return nil
}

// SameRegistry fails if the secret's keys belong to another registry.
func SameRegistry(secret vault.Secret, tagged, ours string) error {
	if tagged != "" && tagged != ours {
		return New[WrongRegistry]("the keys of %s belong to the registry %s (tag %s), "+
			"but the deployed function uses %s; nothing was sent to either; "+
			"rotate the secret with the stack of its registry, or correct the tag if the registry was renamed",
			secret.ARN, tagged, settings.TagRegistry, ours)
	}
	return nil
}

// TypeName returns the name that Lambda reports as errorType.
func TypeName(err error) string {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}
