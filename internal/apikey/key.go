// Package apikey holds Quilt API keys: the key that cannot be printed, the names that keys get at
// the registry, and the value of a secret that has a key in it.
//
// It calls no service and keeps no state.
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

// ErrNotAKey says that a text is not a Quilt API key. It never quotes the text: half a key is a
// secret too.
var ErrNotAKey = errors.New(`not a Quilt API key: it must start with "qk_" and have no white space inside`)

// InvisibleError says that a text would be a key without a character that cannot be seen. It is an
// [ErrNotAKey].
type InvisibleError struct {
	Character string // as nameInvisible has it
	Place     string
}

func (e *InvisibleError) Error() string {
	return "not a Quilt API key, because of " + e.Character + " " + e.Place + "; remove that character"
}

// Is makes it an [ErrNotAKey].
func (e *InvisibleError) Is(target error) bool { return target == ErrNotAKey }

// Key is a Quilt API key, which every way of printing shows as its fingerprint only. The zero Key
// is no key.
//
// Keys are compared with [Key.Equal].
type Key struct{ secret redact.Text }

// Parse removes the ASCII white space around a key and demands `^qk_\S+$` in valid UTF-8: more of
// its form is not public. It refuses characters that cannot be seen, because a person could not
// find the difference: with an [*InvisibleError], which names the first one.
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

// HasKey reports whether a text holds what is long enough for a whole key: `qk_` and at least 20
// characters that are not white space. So a name such as qk_pipeline is not taken for a key. (The
// registry's own are longer: quilt, docs/api-reference/authentication.md.)
func HasKey(text string) bool {
	for field := range strings.FieldsSeq(text) {
		if i := strings.Index(field, prefix); i >= 0 && len(field)-i >= len(prefix)+20 {
			return true
		}
	}
	return false
}

// asciiSpace is white space that is removed around a key, and that people expect.
const asciiSpace = " \t\r\n\v\f"

// invisible reports whether a person cannot see a character, or sees only a gap. ASCII white space
// does not count.
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

// The Unicode names of the invisible characters that come with copied text.
var invisibleNames = map[rune]string{
	0x00a0: "NO-BREAK SPACE", 0x00ad: "SOFT HYPHEN", 0x200b: "ZERO WIDTH SPACE", 0x200c: "ZERO WIDTH NON-JOINER",
	0x200d: "ZERO WIDTH JOINER",
	0x200e: "LEFT-TO-RIGHT MARK", 0x200f: "RIGHT-TO-LEFT MARK", 0x2028: "LINE SEPARATOR",
	0x202a: "LEFT-TO-RIGHT EMBEDDING",
	0x202b: "RIGHT-TO-LEFT EMBEDDING", 0x202c: "POP DIRECTIONAL FORMATTING", 0x202d: "LEFT-TO-RIGHT OVERRIDE",
	0x202e: "RIGHT-TO-LEFT OVERRIDE",
	0x202f: "NARROW NO-BREAK SPACE", 0x2060: "WORD JOINER", 0x2066: "LEFT-TO-RIGHT ISOLATE",
	0x2067: "RIGHT-TO-LEFT ISOLATE",
	0x2068: "FIRST STRONG ISOLATE", 0x2069: "POP DIRECTIONAL ISOLATE", 0xfeff: "BYTE ORDER MARK",
}

// FindInvisible names the first character in a text that cannot be seen, and its place; "" if there
// is none.
func FindInvisible(text string) string {
	i := strings.IndexFunc(text, invisible)
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("%s after %d bytes", nameInvisible(text[i:]), i)
}

// nameInvisible names the character that a text starts with.
func nameInvisible(s string) string {
	r, _ := utf8.DecodeRuneInString(s)
	return strings.TrimSpace(fmt.Sprintf("the invisible character U+%04X %s", r, invisibleNames[r]))
}

// Reveal returns the key itself: for an Authorization header or a secret's value, and for nothing
// else.
func (k Key) Reveal() string { return k.secret.Reveal() }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.secret.Empty() }

// Equal reports whether both are the same key, byte for byte.
func (k Key) Equal(other Key) bool { return k.secret.Equal(other.secret) }

// Fingerprint is the form in which the registry shows a key (`qk_abc...xyz`: prefix, three
// characters, the last three; Quilt docs, good-practice.md). It is for reading: neither unique nor
// contract. A key too short to be abridged shows nothing of itself.
func (k Key) Fingerprint() string {
	s := []rune(strings.TrimPrefix(k.Reveal(), prefix)) // characters, as the registry counts them
	if len(s) < 12 {
		return prefix + "..."
	}
	return prefix + string(s[:3]) + "..." + string(s[len(s)-3:])
}

// Fits reports whether the key can be the one that the registry shows with this fingerprint:
// prefix, dots, suffix, each of any length, because their lengths are not documented. A fingerprint
// that neither fits a key nor contradicts it says nothing: its form is not known.
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

// ends takes a fingerprint apart. ok is false for one of another form: a hash, a masked key, or one
// that shows a single end.
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
