package apikey

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"quilt-rotate/internal/redact"
)

const (
	// DefaultField is the field of the key in a JSON value if no tag names another field. Quilt's
	// documentation uses this name.
	DefaultField = "QUILT_API_KEY"
	// FieldTag is the tag of a secret that names the field of its key.
	FieldTag = "quilt-rotate:field"
	// MaxValueBytes is the largest size of a secret's value (AWS Secrets Manager quotas).
	MaxValueBytes = 65536
)

// Value is a secret's value and the key in it. It cannot be printed, because the value may also
// contain other secrets.
type Value struct {
	key   Key
	field string
	raw   redact.Text
}

// BlankValueError means that a value is empty, or that the field of the key is empty or missing in
// an empty object: the secret does not have its first key yet.
type BlankValueError struct{ Field string }

func (e *BlankValueError) Error() string {
	if e.Field == "" {
		return "the value holds no key yet"
	}
	return redact.Scrub(fmt.Sprintf("the value's field %q holds no key yet", e.Field))
}

// BadValueError says why no key was found in a value, or why a new key cannot be stored in it, and
// what to do. It contains nothing of the value except names of fields, without keys.
type BadValueError struct{ Problem string }

func (e *BadValueError) Error() string { return e.Problem }

func badValue(format string, args ...any) error {
	return &BadValueError{redact.Scrub(fmt.Sprintf(format, args...))}
}

// NotReplaceableError means that a value also contains its key in a form that cannot be replaced.
type NotReplaceableError struct{ Places []string }

func (e *NotReplaceableError) Error() string {
	return "the key also occurs in a form that cannot be replaced: in " + strings.Join(e.Places, ", in ") +
		"; store it there as plain text, or remove it from there"
}

// ParseValue finds the key in a secret's value: the whole value, or a field of a JSON object. The
// field is the given one, from the tag [FieldTag]. If none is given, it is [DefaultField]. If the
// object does not have that field, it is the only top-level string that starts with `qk_`. The
// field only says which text is the key: see [Value.WithKey].
//
// ParseValue fails with a [*BlankValueError] or a [*BadValueError]. [Value.Contains] works on the
// returned Value also after an error.
func ParseValue(raw redact.Text, field string) (Value, error) {
	key, field, err := parse(raw.Reveal(), field)
	return Value{key, field, raw}, err
}

func parse(text, field string) (key Key, in string, err error) {
	trimmed := strings.TrimSpace(text)
	visible := strings.TrimLeftFunc(trimmed, invisible)
	switch {
	case len(text) > MaxValueBytes:
		return Key{}, "", badValue("the value has %d bytes; Secrets Manager allows at most %d",
			len(text), MaxValueBytes)
	case strings.HasPrefix(visible, "{") && visible != trimmed:
		return Key{}, "", badValue("the value starts with %s; remove that character", nameInvisible(trimmed))
	case strings.HasPrefix(trimmed, "{"):
		return parseObject(text, field)
	case trimmed == "":
		return Key{}, "", &BlankValueError{}
	case field != "":
		return Key{}, "", badValue("the tag %s names the field %q, but the value is not a JSON object; "+
			"store one, or remove the tag", FieldTag, field)
	}
	key, err = Parse(text)
	if _, hidden := errors.AsType[*InvisibleError](err); hidden {
		return Key{}, "", badValue("the value is %s", err)
	}
	if err != nil {
		return Key{}, "", badValue(`the value is neither a JSON object nor a key that starts with "qk_"; ` +
			"store one of the two")
	}
	return key, "", nil
}

// A Member is one top-level member of a JSON object; its value is text[Start:End].
type Member struct {
	Name       string
	Raw        json.RawMessage
	Start, End int
}

func (m Member) text() (s string, isString bool) {
	return s, m.Raw[0] == '"' && json.Unmarshal(m.Raw, &s) == nil
}

func parseObject(text, field string) (Key, string, error) {
	members, err := Members(text)
	if err != nil {
		return Key{}, "", err
	}
	if len(members) == 0 {
		return Key{}, "", &BlankValueError{Field: field}
	}
	m, err := keyMember(members, field)
	if err != nil {
		return Key{}, "", err
	}
	s, isString := m.text()
	if !isString {
		return Key{}, "", badValue("the value's field %q is not a string; store the key there, "+
			"or name another field in the tag %s", m.Name, FieldTag)
	}
	if strings.TrimSpace(s) == "" {
		return Key{}, "", &BlankValueError{Field: m.Name}
	}
	key, err := Parse(s)
	if err != nil {
		return Key{}, "", badValue("the text in the value's field %q is %s", m.Name, err)
	}
	return key, m.Name, nil
}

// Members returns the top-level members of an object, with their places in the text. It fails with
// a [*BadValueError] if the text is not a valid JSON object.
func Members(text string) ([]Member, error) {
	if !isObject(text) {
		reason := "is not valid JSON"
		if hidden := FindInvisible(text); hidden != "" {
			reason += ": it has " + hidden
		}
		return nil, badValue("the value starts like a JSON object but %s; correct it, or store the key alone", reason)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	_, _ = decoder.Token() // valid JSON, so neither Token nor Decode fails
	var members []Member
	for decoder.More() {
		name, _ := decoder.Token()
		var raw json.RawMessage
		_ = decoder.Decode(&raw)
		end := int(decoder.InputOffset())
		members = append(members, Member{Name: name.(string), Raw: raw, Start: end - len(raw), End: end})
	}
	return members, nil
}

// keyMember returns the member that holds the key. Two members with the same name must have the
// same text, because JSON parsers disagree on which of the two counts. So must two members that
// look like keys if no field is named.
func keyMember(members []Member, field string) (Member, error) {
	name := cmp.Or(field, DefaultField)
	found := membersNamed(members, name)
	if len(found) == 0 && field == "" {
		for _, m := range members {
			if s, isString := m.text(); isString && strings.HasPrefix(strings.TrimSpace(s), prefix) {
				found = append(found, m)
			}
		}
		if len(found) > 0 {
			found = append(found, membersNamed(members, found[0].Name)...)
		}
	}
	for _, m := range members {
		if len(found) == 0 && m.Name != name && strings.Map(visibleOnly, m.Name) == name {
			return Member{}, badValue("the name of the value's field %q has %s; remove that character",
				name, nameInvisible(m.Name[strings.IndexFunc(m.Name, invisible):]))
		}
	}
	switch {
	case len(found) == 0 && field != "":
		return Member{}, badValue("the value has no field %q, which the tag %s names; "+
			"add it, or correct the tag", field, FieldTag)
	case len(found) == 0:
		return Member{}, badValue("no field of the value holds a key; name its field in the tag %s", FieldTag)
	}
	for _, m := range found[1:] {
		switch {
		case m.sameText(found[0]):
		case m.Name == found[0].Name:
			return Member{}, badValue("the value has the field %q more than once, with different contents; "+
				"keep one", m.Name)
		default:
			return Member{}, badValue("two or more fields of the value hold different keys; "+
				"name the one to rotate in the tag %s", FieldTag)
		}
	}
	return found[0], nil
}

func membersNamed(members []Member, name string) (named []Member) {
	for _, m := range members {
		if m.Name == name {
			named = append(named, m)
		}
	}
	return named
}

// sameText reports whether both members are the same string, without the white space around it. It
// returns false for two blank strings, because only one of them would get the first key.
func (m Member) sameText(other Member) bool {
	a, okA := m.text()
	b, okB := other.text()
	return okA && okB && strings.TrimSpace(a) == strings.TrimSpace(b) && strings.TrimSpace(a) != ""
}

// Key returns the key in the value.
func (v Value) Key() Key { return v.key }

// Field returns the name of the field that holds the key. It is empty if the value is the key
// alone, or if the name of the field is empty.
func (v Value) Field() string { return v.field }

// Contains reports whether a key's text occurs anywhere in the value: see [Contains].
func (v Value) Contains(key Key) bool { return Contains(v.raw, key) }

// MayContain reports whether the value may contain the key with this fingerprint: see [MayContain].
func (v Value) MayContain(fingerprint string) bool { return MayContain(v.raw, fingerprint) }

// Replaceable fails with a [*NotReplaceableError] if the value also contains its key in a form that
// [Value.WithKey] cannot replace.
func (v Value) Replaceable() error {
	if o := Find(v.raw, v.key); len(o.Fixed) > 0 {
		return &NotReplaceableError{o.Fixed}
	}
	return nil
}

// WithKey returns the value with another key in each place of its key. All other bytes are kept.
// The result does not contain the former key.
//
// It fails with a [*NotReplaceableError] as [Value.Replaceable] does. It fails with a
// [*BadValueError] if the result has more than [MaxValueBytes], or if the new key has characters
// that must be encoded in a URL or in nested JSON and one of its places is inside a longer text.
func (v Value) WithKey(key Key) (redact.Text, error) {
	if err := v.Replaceable(); err != nil {
		return redact.Text{}, err
	}
	text, embedded := v.replaced(key)
	if special := strings.Trim(key.Reveal(), wordCharacters+".~"); special != "" && embedded {
		return redact.Text{}, badValue("the value also contains its key inside a longer text, and the new key has " +
			"characters that must be encoded there; store the key only as a separate string")
	}
	if len(text) > MaxValueBytes {
		return redact.Text{}, badValue("the value would have %d bytes with the new key; "+
			"Secrets Manager allows at most %d", len(text), MaxValueBytes)
	}
	return redact.New(text), nil
}

// replaced returns the value with another key in each place where its key can be replaced. embedded
// reports whether one of these places is inside a longer text.
func (v Value) replaced(key Key) (result string, embedded bool) {
	text := v.raw.Reveal()
	literal, object := literalIn(text, key), isObject(text)
	var b strings.Builder
	end := 0
	for _, s := range Find(v.raw, v.key).spans {
		b.WriteString(text[end:s.start] + literal)
		end = s.end
		before, after := strings.TrimRight(text[:s.start], " "), strings.TrimLeft(text[end:], " ")
		embedded = embedded || object && !(strings.HasSuffix(before, `"`) && strings.HasPrefix(after, `"`))
	}
	return b.String() + text[end:], embedded
}

// SameButKey reports whether two values are equal, or differ only in their keys, which are in the
// same places.
func (v Value) SameButKey(other Value) bool {
	there, _ := v.replaced(other.key)
	back, _ := other.replaced(v.key)
	return v.field == other.field && there == other.raw.Reveal() && back == v.raw.Reveal()
}

func jsonString(s string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
