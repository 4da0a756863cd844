// Package apikey is about Quilt API keys as things to hold: the key that cannot be printed, the names that keys get at the
// registry, and the value of a secret that has a key in it.
//
// It talks to no service and keeps no state.
package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"quilt-rotate/internal/redact"
)

const prefix = "qk_"

// ErrNotAKey says that a text is no Quilt API key. It never quotes the text: half a key is a secret, too.
var ErrNotAKey = errors.New(`not a Quilt API key: it must start with "qk_" and have no white space inside`)

// Key is a Quilt API key, which every way of printing shows as its fingerprint only. The zero Key is no key.
//
// Keys are compared with [Key.Equal].
type Key struct{ secret redact.Text }

// Parse takes the white space around a key off and demands `^qk_\S+$`: more of its form is not public.
func Parse(s string) (Key, error) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, prefix) || len(s) == len(prefix) || strings.ContainsFunc(s, unicode.IsSpace) {
		return Key{}, ErrNotAKey
	}
	return Key{redact.New(s)}, nil
}

// Reveal returns the key itself: for an Authorization header or a secret's value, and for nothing else.
func (k Key) Reveal() string { return k.secret.Reveal() }

// IsZero tells whether k is no key.
func (k Key) IsZero() bool { return k.secret.Empty() }

// Equal tells whether both are the same key, byte for byte.
func (k Key) Equal(other Key) bool { return k.secret.Equal(other.secret) }

// Fingerprint is the form in which the registry shows a key (`qk_abc...xyz`: prefix, three characters, the last three; Quilt docs,
// good-practice.md). It is for reading: neither unique nor contract. A key too short to be abridged shows nothing of itself.
func (k Key) Fingerprint() string {
	s := []rune(strings.TrimPrefix(k.Reveal(), prefix)) // characters, as the registry counts them
	if len(s) < 12 {
		return prefix + "..."
	}
	return prefix + string(s[:3]) + "..." + string(s[len(s)-3:])
}

// Fits tells whether the key can be the one that the registry shows by this fingerprint: prefix, dots, suffix, each of any length, since
// their lengths are no contract. A fingerprint of another form fits no key.
func (k Key) Fits(fingerprint string) bool {
	first, last, ok := strings.Cut(fingerprint, "...")
	if !ok {
		first, last, ok = strings.Cut(fingerprint, "…")
	}
	s := k.Reveal()
	return ok && len(first) > len(prefix) && last != "" && len(first)+len(last) <= len(s) &&
		strings.HasPrefix(s, first) && strings.HasSuffix(s, last)
}

func (k Key) String() string               { return k.Fingerprint() }
func (k Key) GoString() string             { return k.Fingerprint() }
func (k Key) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(k.Fingerprint())) }
func (k Key) LogValue() slog.Value         { return slog.StringValue(k.Fingerprint()) }
func (k Key) MarshalText() ([]byte, error) { return []byte(k.Fingerprint()), nil }
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.Fingerprint()) }
