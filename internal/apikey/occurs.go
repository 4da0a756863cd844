package apikey

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"quilt-rotate/internal/redact"
)

// maxLayers is how many times a text is decoded in the search for a key. For example, JSON inside a
// JSON string inside a URL has three layers.
const maxLayers = 4

// Occurrences lists where the text of a key occurs in a raw value.
type Occurrences struct {
	Replaceable int      // number of literal occurrences, which another key can replace
	Fixed       []string // places of all others, such as `the field "url" (escaped)`; never content
	spans       []span   // places of the replaceable ones, in order
}

// A span is a part of a text: from start to just before end.
type span struct{ start, end int }

// Any reports whether the key's text occurs at all.
func (o Occurrences) Any() bool { return o.Replaceable > 0 || len(o.Fixed) > 0 }

// Contains reports whether [Find] finds the key's text anywhere in a raw value. An occurrence
// inside a longer word counts too, because it is safer to keep a key that nobody needs than to
// revoke one that is in use.
func Contains(raw redact.Text, key Key) bool { return Find(raw, key).Any() }

// MayContain reports whether a raw value may contain the key that the registry shows with this
// fingerprint, because the start of the key occurs in a form that [Find] finds. It returns true for
// a fingerprint of an unknown form.
func MayContain(raw redact.Text, fingerprint string) bool {
	first, _, known := ends(fingerprint)
	found := !known
	layer{text: raw.Reveal()}.search(maxLayers, first, func(layer, int, int) { found = true })
	return found
}

// Find finds each occurrence of the key's text in a raw value: in plain text, in any field, in
// nested objects, in the name of a field, and inside a URL. It also finds text that is escaped as
// in JSON (`\u0071k_`, `\/`, surrogate pairs), percent-encoded as in a URL, or both, up to four
// layers deep. It does not search other encodings, such as Base64 or XML.
//
// Only a literal occurrence can be replaced: the text itself or, in a JSON object, the text as
// encoding/json writes it between quotes. An occurrence in a longer word is never replaced, because
// that word may be another key, such as qk_abcdef for qk_abc.
func Find(raw redact.Text, key Key) Occurrences {
	text := raw.Reveal()
	if key.IsZero() {
		return Occurrences{}
	}
	literal := literalIn(text, key)
	found, fixed := map[span]bool{}, map[span]string{}
	layer{text: text}.search(maxLayers, key.Reveal(), func(l layer, start, end int) {
		s := span{l.source(start), l.source(end)}
		switch {
		case text[s.start:s.end] != literal:
			fixed[s] = "escaped"
		case inLongerWord(l.text, start, end): // in any layer, because the text after a key may be escaped
			fixed[s] = "part of a longer word"
		default:
			found[s] = true
		}
	})
	var o Occurrences
	for s := range found {
		if fixed[s] == "" {
			o.spans = append(o.spans, s)
		}
	}
	slices.SortFunc(o.spans, func(a, b span) int { return a.start - b.start })
	o.Replaceable = len(o.spans)
	for s, why := range fixed {
		if found[span{s.start, s.start + len(literal)}] && why == "escaped" {
			continue // the escaped form of a key that ends with a backslash starts with that key
		}
		o.Fixed = append(o.Fixed, placeOf(text, s.start, key)+" ("+why+")")
	}
	slices.Sort(o.Fixed)
	o.Fixed = slices.Compact(o.Fixed)
	return o
}

// Words returns the words of a raw value that may be keys, decoded as in [Find]: `qk_` and the
// letters, digits, `_` and `-` after it.
func Words(raw redact.Text) []Key {
	var words []Key
	layer{text: raw.Reveal()}.search(maxLayers, prefix, func(l layer, start, end int) {
		rest := l.text[end:]
		if n := len(rest) - len(strings.TrimLeft(rest, wordCharacters)); n > 0 {
			words = append(words, Key{redact.New(l.text[start : end+n])})
		}
	})
	return words
}

// literalIn returns the text that represents a key in a value. In a JSON object, this is the text
// between the quotes of a JSON string.
func literalIn(text string, key Key) string {
	quoted := jsonString(key.Reveal())
	if quoted = quoted[1 : len(quoted)-1]; quoted != key.Reveal() && isObject(text) {
		return quoted
	}
	return key.Reveal()
}

func isObject(text string) bool {
	return strings.HasPrefix(strings.TrimSpace(text), "{") && json.Valid([]byte(text))
}

// wordCharacters are the characters of the known keys, which are `qk_` and URL-safe Base64.
const wordCharacters = digits + letters + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-"

// inLongerWord reports whether text[start:end], a key, is part of a longer word that may be a key
// itself.
func inLongerWord(text string, start, end int) bool {
	before := text[len(strings.TrimRight(text[:start], wordCharacters)):start]
	return end < len(text) && strings.IndexByte(wordCharacters, text[end]) >= 0 || strings.Contains(before, prefix)
}

// A layer is the raw text, or a text that was decoded from it.
type layer struct {
	text string
	from []int // offset in the raw text of each byte and of the end; nil for the raw text
}

func (l layer) source(i int) int {
	if l.from == nil {
		return i
	}
	return l.from[i]
}

// search calls visit for each occurrence of the needle in this layer and in the layers that are
// decoded from it. Escapes and percent-encoding are decoded separately, because a key itself may
// contain a percent sign or a backslash.
func (l layer) search(depth int, needle string, visit func(l layer, start, end int)) {
	for from := 0; ; from++ {
		i := strings.Index(l.text[from:], needle)
		if i < 0 {
			break
		}
		from += i
		visit(l, from, from+len(needle))
	}
	if depth == 0 {
		return
	}
	for mark, decode := range map[byte]func(string) (string, int){'\\': unescape, '%': unpercent} {
		if next, changed := l.decode(mark, decode); changed {
			next.search(depth-1, needle, visit)
		}
	}
}

// decode decodes each sequence that starts with the mark.
func (l layer) decode(mark byte, one func(string) (string, int)) (next layer, changed bool) {
	if strings.IndexByte(l.text, mark) < 0 {
		return layer{}, false
	}
	text := make([]byte, 0, len(l.text))
	from := make([]int, 0, len(l.text)+1)
	for i := 0; i < len(l.text); {
		plain, n := l.text[i:i+1], 1
		if l.text[i] == mark {
			if decoded, length := one(l.text[i:]); length > 0 {
				plain, n, changed = decoded, length, true
			}
		}
		for range len(plain) {
			from = append(from, l.source(i))
		}
		text = append(text, plain...)
		i += n
	}
	return layer{string(text), append(from, l.source(len(l.text)))}, changed
}

// unescape decodes the JSON escape sequence at the start of a text (RFC 8259, section 7). It
// returns the length of the sequence, or 0 if there is none.
func unescape(s string) (decoded string, length int) {
	for _, n := range []int{len(`\n`), len(`\ud83d\ude00`), len(`\u0041`)} {
		if len(s) >= n && json.Unmarshal([]byte(`"`+s[:n]+`"`), &decoded) == nil &&
			utf8.RuneCountInString(decoded) == 1 {
			return decoded, n
		}
	}
	return "", 0
}

// unpercent decodes the percent-encoded byte at the start of a text (RFC 3986, section 2.1). It
// returns the length of its encoding, or 0 if there is none.
func unpercent(s string) (string, int) {
	if len(s) < 3 {
		return "", 0
	}
	decoded, err := url.PathUnescape(s[:3])
	if err != nil {
		return "", 0
	}
	return decoded, 3
}

// placeOf describes the place of a byte in a value: the path of its field or, outside a JSON
// object, the number of bytes before it.
func placeOf(text string, at int, key Key) string {
	if !isObject(text) {
		return fmt.Sprintf("the value after %d bytes", at)
	}
	place, _ := locate(json.NewDecoder(strings.NewReader(text)), at, "", key)
	return place
}

// locate reads one JSON value and describes the place of a byte in it. found is false if the byte
// is after the value.
func locate(d *json.Decoder, at int, path string, key Key) (place string, found bool) {
	token, err := d.Token()
	if delim, ok := token.(json.Delim); err == nil && ok {
		for i := 0; d.More(); i++ {
			child := fmt.Sprintf("%s[%d]", path, i)
			if delim == '{' {
				name, _ := d.Token() // valid JSON has a name here
				if at < int(d.InputOffset()) {
					return strings.TrimSuffix("the name of a field in the field "+path, " in the field "), true
				}
				child = strings.TrimPrefix(path+"."+fieldName(name.(string), key), ".")
			}
			if place, found := locate(d, at, child, key); found {
				return place, true
			}
		}
		_, err = d.Token()
	}
	return "the field " + path, err != nil || at < int(d.InputOffset())
}

// fieldName quotes the name of a field. It hides a name that contains the key.
func fieldName(name string, key Key) string {
	if Contains(redact.New(name), key) {
		return "[redacted]"
	}
	return strconv.Quote(redact.Clip(name, 80))
}
