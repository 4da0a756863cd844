// Package redact has a type for text that must never be printed, such as the value of a secret, a
// rotation token or a password, and removes such text from messages.
//
// A [Text] is printed as "[redacted]" by fmt with any verb, by slog, and by the JSON and text
// encoders. The content is in a function, because fmt does not call the methods of unexported
// fields and would print a string there. Packages such as go-cmp ignore the methods and follow
// pointers. None of them calls a function.
//
// The package does not protect against code that calls [Text.Reveal], which is the only way to get
// the content and is easy to search for.
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

// Text is a string that cannot be printed. The zero Text is empty. Compare Texts with [Text.Equal].
type Text struct{ content func() string }

// New returns a Text with the content s.
func New(s string) Text { return Text{func() string { return s }} }

// Reveal returns the content. Use it only for a request to the service that the content belongs to.
func (t Text) Reveal() string {
	if t.content == nil {
		return ""
	}
	return t.content()
}

// Empty reports whether the content is empty.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Equal reports whether both have the same content.
func (t Text) Equal(other Text) bool { return t.Reveal() == other.Reveal() }

func (t Text) String() string               { return shown }
func (t Text) GoString() string             { return shown }
func (t Text) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(shown)) }
func (t Text) LogValue() slog.Value         { return slog.StringValue(shown) }
func (t Text) MarshalText() ([]byte, error) { return []byte(shown), nil }
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + shown + `"`), nil }

// The regular expressions of the functions' packages are compiled when they are first used.
// Together they took more than a third of the CPU time of a cold start.
var (
	// The ARN of a secret is matched before a key, so that its name is kept: an ARN contains no
	// key, and team/qk_pipeline is a valid name.
	keyLike = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(
			`arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+|qk_[^\s"'<>\\]+`)
	})
	words = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\S*qk_\S*`) })

	// A fingerprint shows three characters of each end of a key that has at least twelve characters
	// after its prefix. So a word that consists of a fingerprint, with or without brackets, is
	// shorter than any such key.
	fingerprint = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[(\["']{0,2}qk_[A-Za-z0-9_-]{3}\.\.\.[A-Za-z0-9_-]{3}[)\]"',;:.]{0,2}$`)
	})
)

// Scrub replaces everything in a message that looks like a Quilt API key, and each of the given
// texts, plain or escaped as in a quoted string, because a server's message may quote the request.
// It keeps the ARN of a secret, and a fingerprint that is a separate word.
func Scrub(message string, texts ...Text) string {
	var forms []string
	for _, t := range texts {
		if !t.Empty() {
			forms = append(forms, t.Reveal(), escaped(t.Reveal()))
		}
	}
	// The longest text is replaced first, because a shorter text may be part of it.
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

// Clip scrubs a text and cuts it to at most that many bytes. Use it for input in a log line.
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
