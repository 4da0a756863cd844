package managed

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// PutFirstKey stores the first key in a value that waits for it, and keeps every other byte. It
// returns the new value.
//
// The key is stored in the named field. If the object does not have the field, the field is added.
// Without a name, the key is stored in [apikey.DefaultField] of an empty object, or in the blank
// field that [apikey.ParseValue] finds. A blank text becomes the key alone, or an object if a field
// is named. PutFirstKey fails with an [*apikey.BadValueError] if the value already holds a key, or
// cannot hold one.
func PutFirstKey(raw redact.Text, field string, key apikey.Key) (redact.Text, error) {
	text := raw.Reveal()
	_, reason := apikey.ParseValue(raw, field)
	blank, isBlank := errors.AsType[*apikey.BlankValueError](reason)
	members, notObject := apikey.Members(text)
	lacksField := field != "" && !slices.ContainsFunc(members, func(m apikey.Member) bool { return m.Name == field })
	put := func(start, end int, parts ...string) (redact.Text, error) {
		filled := redact.New(text[:start] + strings.Join(parts, "") + text[end:])
		_, err := apikey.ParseValue(filled, field) // refuses what is too long
		return filled, err
	}
	start := strings.IndexByte(text, '{') + 1
	switch {
	case reason == nil:
		return redact.Text{}, &apikey.BadValueError{Problem: "the value already holds a key"}
	case strings.TrimSpace(text) == "" && field == "":
		return put(0, len(text), key.Reveal())
	case strings.TrimSpace(text) == "":
		return put(0, len(text), "{", quoted(field), ":", quoted(key.Reveal()), "}")
	case notObject != nil:
		return redact.Text{}, reason
	case len(members) == 0:
		return put(start, start, quoted(cmp.Or(field, apikey.DefaultField)), ":", quoted(key.Reveal()))
	case lacksField:
		end := members[len(members)-1].End
		return put(end, end, ",", quoted(field), ":", quoted(key.Reveal()))
	case isBlank:
		i := slices.IndexFunc(members, func(m apikey.Member) bool { return m.Name == blank.Field })
		return put(members[i].Start, members[i].End, quoted(key.Reveal()))
	}
	return redact.Text{}, reason // the field holds something else
}

// PutKeyAlone returns the key as the whole value. It fails with an [*apikey.BadValueError] if the
// value that waits for the key has any content.
func PutKeyAlone(raw redact.Text, key apikey.Key) (redact.Text, error) {
	members, notObject := apikey.Members(raw.Reveal())
	if strings.TrimSpace(raw.Reveal()) != "" && (notObject != nil || len(members) > 0) {
		return redact.Text{}, &apikey.BadValueError{
			Problem: "the value is not empty, so the key cannot be stored alone: empty it, or name a field for the key"}
	}
	return redact.New(key.Reveal()), nil
}

// quoted returns a text as a JSON string, without the escapes that only HTML needs.
func quoted(s string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

// DifferentFields names the top-level fields in which two values differ, in alphabetical order, and
// never shows what is in them. ok is false if one of the values is not a JSON object, so that there
// are no fields to name.
func DifferentFields(a, b redact.Text) (names []string, ok bool) {
	as, okA := fieldsOf(a)
	bs, okB := fieldsOf(b)
	if !okA || !okB {
		return nil, false
	}
	for name, raw := range as {
		if other, there := bs[name]; there && other == raw {
			delete(as, name)
			delete(bs, name)
		}
	}
	for _, fields := range []map[string]string{as, bs} {
		for name := range fields {
			names = append(names, redact.Clip(name, 80))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// fieldsOf returns an object's fields in a form that does not depend on the layout. If a field
// occurs twice, the last one counts, as for most readers.
func fieldsOf(raw redact.Text) (fields map[string]string, ok bool) {
	members, err := apikey.Members(raw.Reveal())
	fields = map[string]string{}
	for _, m := range members {
		var compact bytes.Buffer
		_ = json.Compact(&compact, m.Raw) // a member of a valid text is valid
		fields[m.Name] = compact.String()
	}
	return fields, err == nil
}
