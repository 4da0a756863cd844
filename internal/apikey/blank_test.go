package apikey_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

func TestAFirstKeyIsPutIn(t *testing.T) {
	// Protects a secret that waits for its first key: the key goes where the functions will look for it, and nothing else
	// changes.
	key, as := mustParse(t, newKey), `qk_5uPo0wEiUyHn1MkXjVzB6CgSqDfA\"<é>`
	for _, c := range []struct{ name, text, field, want string }{
		{"what every deployment leaves", `{}`, "", `{"QUILT_API_KEY":"` + as + `"}`},
		{"with a named field", `{}`, "mine", `{"mine":"` + as + `"}`},
		{"in white space", " {\n} \n", "", " {\"QUILT_API_KEY\":\"" + as + "\"\n} \n"},
		{"a blank default field", `{"a":1.0e2, "QUILT_API_KEY" : " " }`, "", `{"a":1.0e2, "QUILT_API_KEY" : "` + as + `" }`},
		{"a blank field of another name", `{"mine":"","QUILT_API_KEY":"qk_other"}`, "mine", `{"mine":"` + as + `","QUILT_API_KEY":"qk_other"}`},
		{"a field that is not there yet", "{\"a\": \"\\u00e9\"\n}", "mine", "{\"a\": \"\\u00e9\",\"mine\":\"" + as + "\"\n}"},
		{"a field whose name needs quotes", `{}`, `a"b`, `{"a\"b":"` + as + `"}`},
		{"a blank text", " \n", "", newKey},
		{"a blank text, with a field", "", "mine", `{"mine":"` + as + `"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			filled, err := apikey.Fill(redact.New(c.text), c.field, key)
			if err != nil || filled.Reveal() != c.want {
				t.Errorf("got %s, %v; want %s", filled.Reveal(), err, c.want)
			}
		})
	}
}

func TestAValueThatDoesNotWaitForAKeyIsLeftAlone(t *testing.T) {
	// Protects what is in a secret: a key that is there, or anything else, is never replaced by way of a first key.
	for _, c := range []struct{ name, text, field, why string }{
		{"a key", `{"QUILT_API_KEY":"` + oldKey + `"}`, "", "a key already"},
		{"the key alone", oldKey, "", "a key already"},
		{"another text", "hunter2", "", "neither a JSON object nor a key"},
		{"broken JSON", `{"a":`, "mine", "not valid JSON"},
		{"other fields, and none is named", `{"tenant":"x"}`, "", "no field of the value holds a key"},
		{"the field holds something else", `{"mine":"hunter2"}`, "mine", "not a Quilt API key"},
		{"the field is a number", `{"mine":7}`, "mine", "not a string"},
		{"the field is there twice", `{"mine":"","mine":""}`, "mine", "more than once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			filled, err := apikey.Fill(redact.New(c.text), c.field, mustParse(t, newKey))
			if _, bad := errors.AsType[*apikey.BadValueError](err); !bad || !filled.Empty() || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want one that says %q", err, c.why)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), oldKey) {
				t.Error("the error quotes the value")
			}
		})
	}
}

func TestAKeyAlone(t *testing.T) {
	// Protects consumers of a plain string, and a value that somebody filled meanwhile.
	key := mustParse(t, newKey)
	for _, text := range []string{"", " ", "{}", " { }\n"} {
		if got, err := apikey.Alone(redact.New(text), key); err != nil || got.Reveal() != newKey {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{`{"a":1}`, "hunter2", oldKey, "[]", "{"} {
		if got, err := apikey.Alone(redact.New(text), key); err == nil || !got.Empty() {
			t.Errorf("%q was replaced", text)
		}
	}
}

func TestAFirstKeyKeepsEveryOtherByte(t *testing.T) {
	// Protects promise and consumers: whatever a value looks like that waits for its first key, what was put in is the
	// key, in its field.
	rapid.Check(t, func(t *rapid.T) {
		d := drawValue(t)
		if d.keyText[0] != '"' {
			t.Skip("the key alone has no other bytes")
		}
		key, err := apikey.Parse(d.key)
		if err != nil {
			t.Fatal(err)
		}
		field := d.tag
		if rapid.Bool().Draw(t, "always named") {
			field = d.field
		}
		if field == "" && d.field != apikey.DefaultField {
			t.Skip("nothing tells the field")
		}
		filled, err := apikey.Fill(redact.New(d.before+quoted(t, blanks().Draw(t, "blank"))+d.after), field, key)
		if err != nil {
			t.Fatal(err)
		}
		inside, ok := strings.CutPrefix(filled.Reveal(), d.before)
		if ok {
			inside, ok = strings.CutSuffix(inside, d.after)
		}
		var held string
		if !ok || json.Unmarshal([]byte(inside), &held) != nil || held != d.key {
			t.Fatalf("more than the key was changed, or the key is not there: %q", filled.Reveal())
		}
		if v, err := apikey.ParseValue(filled, field); err != nil || !v.Key().Equal(key) || v.Field() != d.field {
			t.Fatalf("the filled value is read as %q, %v", v.Field(), err)
		}
	})
}

func TestAnAddedFieldIsAllThatIsAdded(t *testing.T) {
	// Protects other people's fields: taking the added text out again gives the value as it was.
	rapid.Check(t, func(t *rapid.T) {
		key, err := apikey.Parse(keys().Draw(t, "key"))
		if err != nil {
			t.Fatal(err)
		}
		sp := func() string { return blanks().Draw(t, "blank") }
		const field = "the key's own"
		var members []string
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			members = append(members, sp()+quoted(t, rapid.String().Draw(t, "name"))+sp()+":"+sp()+anyJSON(t, 2)+sp())
		}
		text := sp() + "{" + strings.Join(members, ",") + sp() + "}" + sp()
		filled, err := apikey.Fill(redact.New(text), field, key)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := json.Marshal(field)
		at := strings.LastIndex(filled.Reveal(), string(name)+":")
		v, err := apikey.ParseValue(filled, field)
		if err != nil || !v.Key().Equal(key) || at < 0 {
			t.Fatalf("the key is not found in %q: %v", filled.Reveal(), err)
		}
		rest := filled.Reveal()[at+len(name)+1:]
		var held string
		decoder := json.NewDecoder(strings.NewReader(rest))
		if err := decoder.Decode(&held); err != nil {
			t.Fatal(err)
		}
		before := strings.TrimSuffix(filled.Reveal()[:at], ",")
		if without := before + rest[decoder.InputOffset():]; without != text {
			t.Fatalf("%q became %q", text, filled.Reveal())
		}
	})
}

func TestFieldsThatDiffer(t *testing.T) {
	// Protects a person who is to confirm a rollback: the fields that change are named, their values never; layout is no
	// difference.
	differ := func(a, b string) []string {
		names, ok := apikey.DifferentFields(redact.New(a), redact.New(b))
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
