package managed_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/sandbox/hermetic"
)

func init() { hermetic.FixSeed() }

const oldKey, newKey = "qk_0ldK3yTh4tW1llB3R3pl4c3d", `qk_5uPo0wEiUyHn1MkXjVzB6CgSqDfA"<é>`

func TestPutFirstKey(t *testing.T) {
	// The key must be in the field where the functions look for it. Nothing else may change.
	key, as := mustParse(t, newKey), `qk_5uPo0wEiUyHn1MkXjVzB6CgSqDfA\"<é>`
	for _, c := range []struct{ name, text, field, want string }{
		{"the value of a new deployment", `{}`, "", `{"QUILT_API_KEY":"` + as + `"}`},
		{"with a named field", `{}`, "mine", `{"mine":"` + as + `"}`},
		{"white space around", " {\n} \n", "", " {\"QUILT_API_KEY\":\"" + as + "\"\n} \n"},
		{"a blank default field", `{"a":1.0e2, "QUILT_API_KEY" : " " }`, "", `{"a":1.0e2, "QUILT_API_KEY" : "` + as +
			`" }`},
		{"a blank field of another name", `{"mine":"","QUILT_API_KEY":"qk_other"}`, "mine", `{"mine":"` + as +
			`","QUILT_API_KEY":"qk_other"}`},
		{"a field that does not exist yet", "{\"a\": \"\\u00e9\"\n}", "mine", "{\"a\": \"\\u00e9\",\"mine\":\"" + as +
			"\"\n}"},
		{"a field whose name needs quotes", `{}`, `a"b`, `{"a\"b":"` + as + `"}`},
		{"a blank text", " \n", "", newKey},
		{"a blank text, with a field", "", "mine", `{"mine":"` + as + `"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			filled, err := managed.PutFirstKey(redact.New(c.text), c.field, key)
			if err != nil || filled.Reveal() != c.want {
				t.Errorf("got %s, %v; want %s", filled.Reveal(), err, c.want)
			}
		})
	}
}

func TestPutFirstKeyRefusesOtherValues(t *testing.T) {
	// A first key must not replace a key or other text.
	for _, c := range []struct{ name, text, field, why string }{
		{"a key", `{"QUILT_API_KEY":"` + oldKey + `"}`, "", "already holds a key"},
		{"only a key", oldKey, "", "already holds a key"},
		{"another text", "hunter2", "", "neither a JSON object nor a key"},
		{"broken JSON", `{"a":`, "mine", "not valid JSON"},
		{"other fields, but none is named", `{"tenant":"x"}`, "", "no field of the value holds a key"},
		{"the field holds something else", `{"mine":"hunter2"}`, "mine", "not a Quilt API key"},
		{"the field is a number", `{"mine":7}`, "mine", "not a string"},
		{"the field exists twice", `{"mine":"","mine":""}`, "mine", "more than once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			filled, err := managed.PutFirstKey(redact.New(c.text), c.field, mustParse(t, newKey))
			if _, bad := errors.AsType[*apikey.BadValueError](err); !bad || !filled.Empty() ||
				!strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want an error with %q", err, c.why)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), oldKey) {
				t.Error("the error contains the value")
			}
		})
	}
}

func TestPutKeyAsTheWholeValue(t *testing.T) {
	// A value that somebody has set in the meantime must not be replaced.
	key := mustParse(t, newKey)
	for _, text := range []string{"", " ", "{}", " { }\n"} {
		if got, err := managed.PutKeyAlone(redact.New(text), key); err != nil || got.Reveal() != newKey {
			t.Errorf("%q: got %v", text, err)
		}
	}
	for _, text := range []string{`{"a":1}`, "hunter2", oldKey, "[]", "{"} {
		if got, err := managed.PutKeyAlone(redact.New(text), key); err == nil || !got.Empty() {
			t.Errorf("%q was replaced", text)
		}
	}
}

func TestPutFirstKeyKeepsEveryOtherByte(t *testing.T) {
	// The other fields and their format must not change.
	const field, key = "the key's own", "qk_5uPo0wEiUyHn1MkXjVzB6C"
	rapid.Check(t, func(t *rapid.T) {
		space := func() string {
			return rapid.StringOfN(rapid.SampledFrom([]rune(" \t\r\n")), 0, 3, -1).Draw(t, "space")
		}
		member := func(name, value string) string { return space() + name + space() + ":" + space() + value }
		other := func() string {
			name, _ := json.Marshal(rapid.String().Draw(t, "name"))
			value := rapid.SampledFrom([]string{
				`null`, `-0.0`, `1e400`, `"a qk_b"`, `{"the key's own": "x"}`, `[1, "}"]`, `"\u0022\/"`}).Draw(t,
				"value")
			return member(string(name), value) + space()
		}
		before := rapid.SliceOfN(rapid.Custom(func(*rapid.T) string { return other() }), 0, 3).Draw(t, "before")
		start, end := space()+"{"+strings.Join(before, ","), space()+"}"+space()
		blank := rapid.Bool().Draw(t, "blank field")
		text := start + end
		switch {
		case blank && len(before) > 0:
			text = start + "," + member(`"`+field+`"`, `" "`) + end
		case blank:
			text = start + member(`"`+field+`"`, `""`) + end
		}
		members, err := apikey.Members(text)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		switch {
		case blank:
			last := members[len(members)-1]
			want = text[:last.Start] + `"` + key + `"` + text[last.End:]
		case len(members) == 0:
			at := strings.IndexByte(text, '{') + 1
			want = text[:at] + `"` + field + `":"` + key + `"` + text[at:]
		default:
			at := members[len(members)-1].End
			want = text[:at] + `,"` + field + `":"` + key + `"` + text[at:]
		}
		filled, err := managed.PutFirstKey(redact.New(text), field, mustParse(t, key))
		if err != nil || filled.Reveal() != want {
			t.Fatalf("%q became %q, %v", text, filled.Reveal(), err)
		}
	})
}

func mustParse(t interface{ Fatal(...any) }, text string) apikey.Key {
	key, err := apikey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPutFirstKeyRefusesAValueThatBecomesTooLong(t *testing.T) {
	text := `{"QUILT_API_KEY":"","x":"` + strings.Repeat("x", apikey.MaxValueBytes-40) + `"}`
	_, err := managed.PutFirstKey(redact.New(text), "", mustParse(t, newKey))
	if _, bad := errors.AsType[*apikey.BadValueError](err); !bad || !strings.Contains(err.Error(), "65536") {
		t.Errorf("got %v", err)
	}
}

func TestDifferentFields(t *testing.T) {
	// A rollback names the fields that change, but not their values. The format of the JSON does
	// not count.
	differ := func(a, b string) []string {
		names, ok := managed.DifferentFields(redact.New(a), redact.New(b))
		if !ok {
			return []string{"no fields"}
		}
		return names
	}
	for _, c := range []struct {
		a, b string
		want []string
	}{
		{`{"a":1,"b":[1, 2]}`, ` {"b" : [1,2], "a":1}`, nil},
		{`{"a":1,"b":"x"}`, `{"a":2,"c":"x"}`, []string{"a", "b", "c"}},
		{`{"` + oldKey + `":1}`, `{}`, []string{"[redacted]"}},
		{oldKey, newKey, []string{"no fields"}},
		{`{"a":1}`, oldKey, []string{"no fields"}},
		{`{"a":1}`, `{"a"`, []string{"no fields"}},
	} {
		if got := differ(c.a, c.b); !slices.Equal(got, c.want) {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
}
