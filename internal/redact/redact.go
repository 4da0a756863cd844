// Package redact holds text that must never be printed: values of secrets, rotation tokens,
// passwords.
//
// A [Text] shows "[redacted]" to every way of printing that Go has: fmt with any verb, slog, JSON,
// text. The content is held by a function, because fmt does not call the methods of unexported
// fields and would print a plain string there, and because dumpers and differs (go-cmp is one) pass
// over the methods and follow pointers; none of them calls a function.
//
// It is no protection against code that asks for the content: [Text.Reveal] is the one way, and
// easy to search for.
package redact

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const shown = "[redacted]"

// Text is a string that cannot be printed. The zero Text is empty. Texts are compared with
// [Text.Equal].
type Text struct{ content func() string }

// New seals s.
func New(s string) Text { return Text{func() string { return s }} }

// Reveal returns the content: for a request to the service it belongs to, and for nothing else.
func (t Text) Reveal() string {
	if t.content == nil {
		return ""
	}
	return t.content()
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

// Compiled at first use, as are the regular expressions in the other packages of the functions: all
// of them at once were more than a third of what a cold start computes.
var (
	// The ARN of a secret is found before a key, so that what is in its name is left as it is: AWS
	// chose the ARN's form, and team/qk_pipeline is a good name.
	keyLike = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(
			`arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+|qk_[^\s"'<>\\]+`)
	})
	words = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\S*qk_\S*`) })

	// A fingerprint shows three characters of either end, and only of keys that have twelve or more
	// after their prefix. So a word that is nothing but this, in brackets at the most, is shorter
	// than any such key, whatever characters that is made of.
	fingerprint = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[(\["']{0,2}qk_[A-Za-z0-9_-]{3}\.\.\.[A-Za-z0-9_-]{3}[)\]"',;:.]{0,2}$`)
	})
)

// Scrub removes from a message everything that looks like a Quilt API key, and the given texts,
// plain or escaped as between quotes: messages of servers may quote what they were sent. A key's
// fingerprint that is a word of its own stays, and so does the ARN of a secret.
func Scrub(message string, texts ...Text) string {
	var forms []string
	for _, t := range texts {
		if !t.Empty() {
			forms = append(forms, t.Reveal(), escaped(t.Reveal()))
		}
	}
	// The longest first: a text that is part of another would leave the other's rest behind.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range forms {
		message = strings.ReplaceAll(message, form, shown)
	}
	if !strings.Contains(message, "qk_") {
		return message
	}
	return words().ReplaceAllStringFunc(message, func(word string) string {
		if fingerprint().MatchString(word) {
			return word
		}
		return keyLike().ReplaceAllStringFunc(word, func(found string) string {
			if strings.HasPrefix(found, "arn:") {
				return found
			}
			return shown
		})
	})
}

// Clip is the text's first bytes, scrubbed: for text from outside that goes into a log line.
func Clip(s string, most int) string {
	s = Scrub(s)
	if len(s) > most {
		s = s[:most]
	}
	return s
}

func escaped(s string) string {
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}
