package apikey

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"quilt-rotate/internal/redact"
)

// Fill is a value that waits for its first key, with the key put in, and every other byte kept. The key goes into the
// named field, which is added to an object that has none. Without a name it goes into [DefaultField] of an empty
// object, or into the blank field that [ParseValue] finds. A blank text becomes the key alone, or an object if a field
// is named. It fails with a [*BadValueError], also if the value holds a key already.
func Fill(raw redact.Text, field string, key Key) (redact.Text, error) {
	text := raw.Reveal()
	_, err := ParseValue(raw, field)
	_, blank := errors.AsType[*BlankValueError](err)
	switch trimmed := strings.TrimSpace(text); {
	case err == nil:
		return redact.Text{}, badValue("the value holds a key already")
	case trimmed == "" && field == "":
		return bounded(key.Reveal())
	case trimmed == "":
		return bounded("{" + jsonString(field) + ":" + jsonString(key.Reveal()) + "}")
	case blank || field != "" && strings.HasPrefix(trimmed, "{"):
		return fillObject(text, field, key, err)
	}
	return redact.Text{}, err
}

// fillObject puts the key into an object, in which [ParseValue] found no key for that reason.
func fillObject(text, field string, key Key, reason error) (redact.Text, error) {
	members, err := objectMembers(text)
	if err != nil {
		return redact.Text{}, reason
	}
	secret := jsonString(key.Reveal())
	if len(members) == 0 {
		if field == "" {
			field = DefaultField
		}
		at := strings.IndexByte(text, '{') + 1
		return bounded(text[:at] + jsonString(field) + ":" + secret + text[at:])
	}
	if field != "" && !slices.ContainsFunc(members, func(m member) bool { return m.name == field }) {
		at := members[len(members)-1].end
		return bounded(text[:at] + "," + jsonString(field) + ":" + secret + text[at:])
	}
	if _, blank := errors.AsType[*BlankValueError](reason); !blank {
		return redact.Text{}, reason // the field holds something else
	}
	m, err := keyMember(members, field)
	if err != nil {
		return redact.Text{}, err
	}
	return bounded(text[:m.start] + secret + text[m.end:])
}

// Alone is the key as the whole value. It fails with a [*BadValueError] if the value that waits for it has any content.
func Alone(raw redact.Text, key Key) (redact.Text, error) {
	text := strings.TrimSpace(raw.Reveal())
	if members, err := objectMembers(text); text != "" && (err != nil || len(members) > 0 || text[0] != '{') {
		return redact.Text{}, badValue("the value is not empty, so the key cannot be stored alone: empty it, or name a field for the key")
	}
	return bounded(key.Reveal())
}

func bounded(text string) (redact.Text, error) {
	if len(text) > MaxValueBytes {
		return redact.Text{}, badValue("the value would have %d bytes with the key; Secrets Manager takes %d at most", len(text), MaxValueBytes)
	}
	return redact.New(text), nil
}

// DifferentFields names the top-level fields in which two values differ, in alphabetical order; never what is in them.
// ok is false if one of them is not a JSON object, so that there are no fields to name.
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

// fieldsOf are an object's fields, in a form that does not depend on the layout. If a field occurs twice, the last one
// counts, as for most readers.
func fieldsOf(raw redact.Text) (fields map[string]string, ok bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(raw.Reveal()), &members) != nil || members == nil {
		return nil, false
	}
	fields = map[string]string{}
	for name, value := range members {
		var compact bytes.Buffer
		_ = json.Compact(&compact, value) // a member of a valid text is valid
		fields[name] = compact.String()
	}
	return fields, true
}
