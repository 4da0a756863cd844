package apikey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"quilt-rotate/internal/redact"
)

const (
	// DefaultField holds the key in a JSON value, where no tag names another: the name that Quilt's documentation uses.
	DefaultField = "QUILT_API_KEY"
	// FieldTag is the tag of a secret that names the field of its key.
	FieldTag = "quilt-rotate:field"
	// MaxValueBytes is the size limit of a secret's value (AWS Secrets Manager quotas).
	MaxValueBytes = 65536
)

// Value is a secret's value taken apart: the key, and every other byte before and after it. It cannot be printed: beside the
// key it may hold other people's secrets.
type Value struct {
	key           Key
	inObject      bool   // the key is a JSON string in an object; else it is the value alone
	field         string // in the object
	before, after redact.Text
}

// BlankValueError says that a value has room for a key, and none in it: a secret that waits for its first key.
type BlankValueError struct{ Field string }

func (e *BlankValueError) Error() string {
	if e.Field == "" {
		return "the value holds no key yet"
	}
	return redact.Scrub(fmt.Sprintf("the value's field %q holds no key yet", e.Field))
}

// BadValueError says why no key can be found in a value, and what to do; of the value it quotes a field's name at most, and that
// scrubbed, as people paste keys into the wrong place.
type BadValueError struct{ Problem string }

func (e *BadValueError) Error() string { return e.Problem }

func badValue(format string, args ...any) error {
	return &BadValueError{redact.Scrub(fmt.Sprintf(format, args...))}
}

// ParseValue finds the key in a secret's value: the value itself, or a field of a JSON object. The field is the given one (from
// the tag [FieldTag]), else [DefaultField] if there, else the only top-level string that starts with `qk_`.
// It fails with a [*BlankValueError] or a [*BadValueError].
func ParseValue(raw redact.Text, field string) (Value, error) {
	text := raw.Reveal()
	trimmed := strings.TrimSpace(text)
	switch {
	case len(text) > MaxValueBytes:
		return Value{}, badValue("the value has %d bytes; Secrets Manager takes %d at most", len(text), MaxValueBytes)
	case strings.HasPrefix(trimmed, "{"):
		return parseObject(text, field)
	case trimmed == "":
		return Value{}, &BlankValueError{}
	case field != "":
		return Value{}, badValue("the tag %s names the field %q, but the value is not a JSON object; store one, or remove the tag", FieldTag, field)
	}
	key, err := Parse(trimmed)
	if err != nil {
		return Value{}, badValue("the value is neither a JSON object nor a key that starts with \"qk_\"; store one of the two")
	}
	start := strings.Index(text, trimmed)
	return Value{key: key, before: redact.New(text[:start]), after: redact.New(text[start+len(trimmed):])}, nil
}

// A member is one top-level member of a JSON object; raw stands at text[start:end].
type member struct {
	name       string
	raw        json.RawMessage
	start, end int
}

func (m member) text() (s string, isString bool) {
	if len(m.raw) == 0 || m.raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(m.raw, &s) == nil
}

func parseObject(text, field string) (Value, error) {
	members, err := objectMembers(text)
	if err != nil {
		return Value{}, badValue("the value starts like a JSON object but is not valid JSON; mend it, or store the key alone")
	}
	if len(members) == 0 {
		return Value{}, &BlankValueError{Field: field}
	}
	m, err := keyMember(members, field)
	if err != nil {
		return Value{}, err
	}
	s, isString := m.text()
	if !isString {
		return Value{}, badValue("the value's field %q is not a string; store the key there, or name another field in the tag %s", m.name, FieldTag)
	}
	if strings.TrimSpace(s) == "" {
		return Value{}, &BlankValueError{Field: m.name}
	}
	key, err := Parse(s)
	if err != nil {
		return Value{}, badValue("the value's field %q holds something that is %s", m.name, ErrNotAKey)
	}
	return Value{key: key, inObject: true, field: m.name, before: redact.New(text[:m.start]), after: redact.New(text[m.end:])}, nil
}

// objectMembers keeps the members' places in the text, so that a replacement leaves every other byte as it was.
func objectMembers(text string) ([]member, error) {
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("not valid JSON")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	var members []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, err
		}
		end := int(decoder.InputOffset())
		members = append(members, member{name: name.(string), raw: raw, start: end - len(raw), end: end})
	}
	return members, nil
}

func keyMember(members []member, field string) (member, error) {
	switch {
	case field != "":
		return onlyNamed(members, field)
	case slices.ContainsFunc(members, func(m member) bool { return m.name == DefaultField }):
		return onlyNamed(members, DefaultField)
	default:
		return onlyKeyLike(members)
	}
}

func onlyNamed(members []member, name string) (member, error) {
	var found []member
	for _, m := range members {
		if m.name == name {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		return member{}, badValue("the value has no field %q, which the tag %s names; add it, or correct the tag", name, FieldTag)
	case 1:
		return found[0], nil
	default: // readers disagree on which of the two counts
		return member{}, badValue("the value has the field %q %d times; keep one", name, len(found))
	}
}

func onlyKeyLike(members []member) (member, error) {
	var found []member
	for _, m := range members {
		if s, isString := m.text(); isString && strings.HasPrefix(strings.TrimSpace(s), prefix) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		return member{}, badValue("no field of the value holds a key; name its field in the tag %s", FieldTag)
	case 1:
		return onlyNamed(members, found[0].name) // refuses it, if the name is there twice
	default:
		return member{}, badValue("%d fields of the value hold a key; name the one to rotate in the tag %s", len(found), FieldTag)
	}
}

// Key is the key in the value.
func (v Value) Key() Key { return v.key }

// Field names the field that holds the key; it is empty where the value is the key alone (or where the field has no name).
func (v Value) Field() string { return v.field }

// WithKey is the value with another key in the place of its own, and every other byte kept.
// It fails where the result would pass [MaxValueBytes].
func (v Value) WithKey(key Key) (redact.Text, error) {
	inner := key.Reveal()
	if v.inObject {
		inner = jsonString(inner)
	}
	text := v.before.Reveal() + inner + v.after.Reveal()
	if len(text) > MaxValueBytes {
		return redact.Text{}, badValue("the value would have %d bytes with the new key; Secrets Manager takes %d at most", len(text), MaxValueBytes)
	}
	return redact.New(text), nil
}

// SameButKey tells whether two values differ in nothing, or in their key alone. (The field's name stands before its key.)
func (v Value) SameButKey(other Value) bool {
	return v.before.Equal(other.before) && v.after.Equal(other.after)
}

func jsonString(s string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
