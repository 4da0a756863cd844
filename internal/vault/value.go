package vault

import (
	"context"
	"errors"
	"slices"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// Read reads the raw value of a version: [Vault.Read] waits for it, [Vault.ReadIfAny] does not.
type Read func(ctx context.Context, secretARN, versionID string) (redact.Text, error)

// ReadValue reads the value of a version and finds the key in it; field is the one that the
// secret's tag names. If the version holds no key, it fails with an error that [HoldsNoKey]
// recognizes, and the Value may still be asked what it contains. Every other error says that it is
// not known what the version holds.
func ReadValue(ctx context.Context, read Read, secretARN, versionID, field string) (apikey.Value, error) {
	raw, err := read(ctx, secretARN, versionID)
	if err != nil {
		return apikey.Value{}, err
	}
	return apikey.ParseValue(raw, field)
}

// HoldsNoKey reports whether an error of [ReadValue] says that the version has no value, or one
// that no key can be found in.
func HoldsNoKey(err error) bool {
	_, blank := errors.AsType[*apikey.BlankValueError](err)
	_, bad := errors.AsType[*apikey.BadValueError](err)
	return blank || bad || errors.Is(err, ErrNoValue) || errors.Is(err, ErrBinary)
}

// Unreadable reports whether an error of [ReadValue] says that Secrets Manager does not give out
// this version's value: its KMS key may be disabled, deleted or forbidden. Other versions may still
// be readable. Any other error, such as a throttled request, says nothing about the version.
func Unreadable(err error) bool {
	refusal, ok := errors.AsType[*Error](err)
	return ok && refusal.Operation == "GetSecretValue" && slices.Contains([]string{
		"AccessDeniedException", "DecryptionFailure", "InvalidRequestException", "InvalidParameterException",
	}, refusal.Code)
}
