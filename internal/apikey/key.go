// Package apikey has the types for Quilt API keys: a key that cannot be printed ([Key]), the names
// of keys at the registry ([Name]), and the value of a secret that contains a key ([Value]).
//
// It calls no service and keeps no state. None of its errors contains a key or a part of one.
package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"quilt-rotate/internal/redact"
)

const prefix = "qk_"

// ErrNotAKey means that a text is not a Quilt API key. It does not contain the text, because a part
// of a key is a secret too.
var ErrNotAKey = errors.New(`not a Quilt API key: it must start with "qk_" and have no white space inside`)

// InvisibleError means that a text would be a key if an invisible character were removed. It is an
// [ErrNotAKey].
type InvisibleError struct {
	Character string // as nameInvisible returns it
	Place     string
}

func (e *InvisibleError) Error() string {
	return "not a Quilt API key, because of " + e.Character + " " + e.Place + "; remove that character"
}

// Is reports whether the target is [ErrNotAKey].
func (e *InvisibleError) Is(target error) bool { return target == ErrNotAKey }

// Key is a Quilt API key. Each way of printing it shows only its fingerprint. The zero Key is no
// key. Compare keys with [Key.Equal].
type Key struct{ secret redact.Text }

// Parse removes the ASCII white space around a key and requires `^qk_\S+$` in valid UTF-8. No more
// of the form of a key is documented. Parse refuses invisible characters, because a person would
// not find them. The [*InvisibleError] names the first one.
func Parse(s string) (Key, error) {
	s = strings.Trim(s, asciiSpace)
	if i := strings.IndexFunc(s, invisible); i >= 0 {
		before, after := strings.Map(visibleOnly, s[:i]), strings.Map(visibleOnly, s[i:])
		if _, err := Parse(before + after); err != nil {
			return Key{}, ErrNotAKey
		}
		place := fmt.Sprintf("inside the key, after its first %d characters", utf8.RuneCountInString(before))
		if before == "" {
			place = "before the key"
		} else if after == "" {
			place = "after the key"
		}
		return Key{}, &InvisibleError{nameInvisible(s[i:]), place}
	}
	if !strings.HasPrefix(s, prefix) || len(s) == len(prefix) ||
		strings.ContainsFunc(s, unicode.IsSpace) || strings.ContainsRune(s, utf8.RuneError) {
		return Key{}, ErrNotAKey
	}
	return Key{redact.New(s)}, nil
}

// HasKey reports whether a text contains a word that is long enough to be a key: `qk_` and at least
// 20 characters that are not white space. A name such as qk_pipeline is too short. The keys of the
// registry are longer (quilt: docs/api-reference/authentication.md).
func HasKey(text string) bool {
	for field := range strings.FieldsSeq(text) {
		if i := strings.Index(field, prefix); i >= 0 && len(field)-i >= len(prefix)+20 {
			return true
		}
	}
	return false
}

// asciiSpace is the white space that is removed around a key.
const asciiSpace = " \t\r\n\v\f"

// invisible reports whether a character is not shown, or is shown as a gap. It is false for ASCII
// white space.
func invisible(r rune) bool {
	if strings.ContainsRune(asciiSpace, r) {
		return false
	}
	return !unicode.IsPrint(r) || r == '\u2800' || // BRAILLE PATTERN BLANK, which Unicode calls a symbol
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func visibleOnly(r rune) rune {
	if invisible(r) {
		return -1
	}
	return r
}

// The Unicode names of the invisible characters that copied text often contains.
var invisibleNames = map[rune]string{
	0x00a0: "NO-BREAK SPACE",
	0x00ad: "SOFT HYPHEN",
	0x200b: "ZERO WIDTH SPACE",
	0x200c: "ZERO WIDTH NON-JOINER",
	0x200d: "ZERO WIDTH JOINER",
	0x200e: "LEFT-TO-RIGHT MARK",
	0x200f: "RIGHT-TO-LEFT MARK",
	0x2028: "LINE SEPARATOR",
	0x202a: "LEFT-TO-RIGHT EMBEDDING",
	0x202b: "RIGHT-TO-LEFT EMBEDDING",
	0x202c: "POP DIRECTIONAL FORMATTING",
	0x202d: "LEFT-TO-RIGHT OVERRIDE",
	0x202e: "RIGHT-TO-LEFT OVERRIDE",
	0x202f: "NARROW NO-BREAK SPACE",
	0x2060: "WORD JOINER",
	0x2066: "LEFT-TO-RIGHT ISOLATE",
	0x2067: "RIGHT-TO-LEFT ISOLATE",
	0x2068: "FIRST STRONG ISOLATE",
	0x2069: "POP DIRECTIONAL ISOLATE",
	0xfeff: "BYTE ORDER MARK",
}

// FindInvisible returns the name and the place of the first invisible character in a text, or "" if
// there is none.
func FindInvisible(text string) string {
	i := strings.IndexFunc(text, invisible)
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("%s after %d bytes", nameInvisible(text[i:]), i)
}

// nameInvisible returns the name of the first character of a text.
func nameInvisible(s string) string {
	r, _ := utf8.DecodeRuneInString(s)
	return strings.TrimSpace(fmt.Sprintf("the invisible character U+%04X %s", r, invisibleNames[r]))
}

// Reveal returns the text of the key. Use it only for an Authorization header or a secret's value.
func (k Key) Reveal() string { return k.secret.Reveal() }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.secret.Empty() }

// Equal reports whether both keys have the same bytes.
func (k Key) Equal(other Key) bool { return k.secret.Equal(other.secret) }

// Fingerprint returns the form in which the registry shows a key: `qk_abc...xyz`, with the prefix,
// three characters, and the last three characters (quilt: docs/advanced-features/good-practice.md).
// It is for people: it is not unique, and its form may change. The fingerprint of a very short key
// shows none of its characters.
func (k Key) Fingerprint() string {
	s := []rune(strings.TrimPrefix(k.Reveal(), prefix)) // characters, as the registry counts them
	if len(s) < 12 {
		return prefix + "..."
	}
	return prefix + string(s[:3]) + "..." + string(s[len(s)-3:])
}

// Fits reports whether the key may be the one that the registry shows with this fingerprint. The
// fingerprint is a prefix, dots and a suffix, each of any length, because the lengths are not
// documented. If a fingerprint neither fits nor contradicts a key, its form is unknown and it says
// nothing about the key.
func (k Key) Fits(fingerprint string) bool {
	first, last, ok := ends(fingerprint)
	return ok && k.has(first, last)
}

// Contradicts reports whether the key cannot be the one that the registry shows with this
// fingerprint, because it starts or ends differently.
func (k Key) Contradicts(fingerprint string) bool {
	first, last, ok := ends(fingerprint)
	return ok && !k.has(first, last)
}

func (k Key) has(first, last string) bool {
	s := k.Reveal()
	return len(first)+len(last) <= len(s) && strings.HasPrefix(s, first) && strings.HasSuffix(s, last)
}

// ends returns the two parts of a fingerprint. ok is false for a fingerprint of another form, such
// as a hash, a masked key, or only the end of a key.
func ends(fingerprint string) (first, last string, ok bool) {
	first, last, ok = strings.Cut(strings.Replace(fingerprint, "…", "...", 1), "...")
	known := len(first) > len(prefix) && strings.HasPrefix(first, prefix) && last != "" &&
		only(first+last, wordCharacters)
	return first, last, ok && known
}

func (k Key) String() string               { return k.Fingerprint() }
func (k Key) GoString() string             { return k.Fingerprint() }
func (k Key) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(k.Fingerprint())) }
func (k Key) LogValue() slog.Value         { return slog.StringValue(k.Fingerprint()) }
func (k Key) MarshalText() ([]byte, error) { return []byte(k.Fingerprint()), nil }
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.Fingerprint()) }
