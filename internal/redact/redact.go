// Package redact holds text that must never be printed: values of secrets, rotation tokens, passwords.
//
// A [Text] shows "[redacted]" to every way of printing that Go has: fmt with any verb, slog, JSON, text. The content sits behind a
// pointer, because fmt does not call the methods of unexported fields and would print a plain string there.
//
// It is no protection against code that asks for the content: [Text.Reveal] is the one way, and easy to search for.
package redact

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

const shown = "[redacted]"

// Text is a string that cannot be printed. The zero Text is empty.
type Text struct {
	_       [0]func() // not comparable with ==, which would compare pointers
	content *string
}

// New seals s.
func New(s string) Text { return Text{content: &s} }

// Reveal returns the content: for a request to the service it belongs to, and for nothing else.
func (t Text) Reveal() string {
	if t.content == nil {
		return ""
	}
	return *t.content
}

// Empty tells whether there is no content.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Equal compares the contents.
func (t Text) Equal(other Text) bool { return t.Reveal() == other.Reveal() }

func (t Text) String() string               { return shown }
func (t Text) GoString() string             { return shown }
func (t Text) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(shown)) }
func (t Text) LogValue() slog.Value         { return slog.StringValue(shown) }
func (t Text) MarshalText() ([]byte, error) { return []byte(shown), nil }
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + shown + `"`), nil }

var keyLike = regexp.MustCompile(`qk_[^\s"'<>\\]+`)

// Scrub removes from a message everything that looks like a Quilt API key, and the given texts: messages of servers may quote
// what they were sent.
func Scrub(message string, texts ...Text) string {
	for _, t := range texts {
		if !t.Empty() {
			message = strings.ReplaceAll(message, t.Reveal(), shown)
		}
	}
	return keyLike.ReplaceAllString(message, shown)
}
