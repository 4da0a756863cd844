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

// quotedLimit bounds, in characters, what errors quote of one message of the registry.
const quotedLimit = 200

// opaque finds what may be a credential: API keys, and runs of characters that are too long for a
// word (tokens, codes, digests).
var opaque = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`qk_\S+|[A-Za-z0-9_\-+/=]{32,}`) })

// secrets are the credentials of one request. A server may quote what it was sent.
type secrets []redact.Text

// scrub makes the registry's text safe for an error: one short line without control or invisible
// characters, and without anything that looks like a credential. It looks before and after the
// cleaning, because cleaning changes characters.
func (s secrets) scrub(text string) string {
	forms := s.forms()
	text = redact.Scrub(clean(redact.Scrub(text, forms...)), forms...)
	text = opaque().ReplaceAllString(text, "[redacted]")
	if runes := []rune(text); len(runes) > quotedLimit {
		text = string(runes[:quotedLimit]) + "..."
	}
	return strings.TrimSpace(text)
}

// forms are all forms in which a request has a credential, and in which it may come back.
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
