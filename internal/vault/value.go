package vault

import (
	"context"
	"errors"
	"slices"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// Read reads the raw value of a version. It is [Vault.Read], which waits for a value, or
// [Vault.ReadIfAny], which does not.
type Read func(ctx context.Context, secretARN, versionID string) (redact.Text, error)

// ReadValue reads the value of a version and finds the key in it. field is the name of the field
// from the secret's tag. If the version holds no key, ReadValue returns an error for which
// [HoldsNoKey] is true, and the returned Value can still be searched. After any other error, it is
// unknown what the version holds.
func ReadValue(ctx context.Context, read Read, secretARN, versionID, field string) (apikey.Value, error) {
	raw, err := read(ctx, secretARN, versionID)
	if err != nil {
		return apikey.Value{}, err
	}
	return apikey.ParseValue(raw, field)
}

// HoldsNoKey reports whether an error of [ReadValue] means that the version has no value, or a
// value without a key.
func HoldsNoKey(err error) bool {
	_, blank := errors.AsType[*apikey.BlankValueError](err)
	_, bad := errors.AsType[*apikey.BadValueError](err)
	return blank || bad || errors.Is(err, ErrNoValue) || errors.Is(err, ErrBinary)
}

// Unreadable reports whether an error of [ReadValue] means that Secrets Manager refuses to return
// the value of this version, for example because its KMS key is disabled or deleted, or because its
// use is not allowed. Other versions may still be readable. Other errors, such as a throttled
// request, say nothing about the version.
func Unreadable(err error) bool {
	refusal, ok := errors.AsType[*Error](err)
	return ok && refusal.Operation == "GetSecretValue" && slices.Contains([]string{
		"AccessDeniedException", "DecryptionFailure", "InvalidRequestException", "InvalidParameterException",
	}, refusal.Code)
}
