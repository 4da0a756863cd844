package quilt

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"quilt-rotate/internal/redact"
)

// quotedLimit is the largest number of characters that errors quote of one message of the registry.
const quotedLimit = 200

// opaque matches text that may be a credential: API keys, and sequences of characters that are too
// long for a word, such as tokens, codes and digests.
var opaque = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`qk_\S+|[A-Za-z0-9_\-+/=]{32,}`) })

// secrets are the credentials of one request. The registry may quote them in its messages.
type secrets []redact.Text

// scrub returns the registry's text in a form that is safe in an error: one short line without
// control or invisible characters, and without text that looks like a credential. It searches for
// credentials before and after it removes characters, because the removal can change them.
func (s secrets) scrub(text string) string {
	forms := s.forms()
	text = redact.Scrub(clean(redact.Scrub(text, forms...)), forms...)
	text = opaque().ReplaceAllString(text, "[redacted]")
	if runes := []rune(text); len(runes) > quotedLimit {
		text = string(runes[:quotedLimit]) + "..."
	}
	return strings.TrimSpace(text)
}

// forms returns the encodings of the credentials in a request. A message may contain each of them.
func (s secrets) forms() []redact.Text {
	var forms []redact.Text
	for _, credential := range s {
		raw := credential.Reveal()
		quoted, _ := json.Marshal(raw) // a string always encodes
		for _, form := range []string{raw, url.QueryEscape(raw), string(quoted[1 : len(quoted)-1])} {
			forms = append(forms, redact.New(form), redact.New(clean(form)))
		}
	}
	return forms
}

func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r) && r != unicode.ReplacementChar:
			return r
		}
		return -1
	}, text)
}
