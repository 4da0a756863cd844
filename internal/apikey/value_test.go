package apikey_test

import (
	"errors"
	"strings"
	"testing"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

const (
	oldKey = "qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe"
	newKey = "qk_5uPo0wEiUyHn1MkXjVzB6CgSqDfA\"<é>"
)

func parseValue(t testing.TB, text, field string) apikey.Value {
	t.Helper()
	v, err := apikey.ParseValue(redact.New(text), field)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func withKey(t testing.TB, v apikey.Value, key string) string {
	t.Helper()
	changed, err := v.WithKey(mustParse(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return changed.Reveal()
}

func TestKeyIsFoundAndReplaced(t *testing.T) {
	// The key is found by the rules, in this order. All bytes except the key are kept.
	const replaced = `qk_5uPo0wEiUyHn1MkXjVzB6CgSqDfA\"<é>` // newKey as in a JSON string
	for _, c := range []struct {
		name, text, tag string
		field           string
		changed         string
	}{
		{"the key alone", oldKey, "", "", newKey},
		{"the key alone, in white space", "\n\t " + oldKey + " \r\n", "", "", "\n\t " + newKey + " \r\n"},
		{"the default field", `{"QUILT_API_KEY":"` + oldKey + `"}`, "", "QUILT_API_KEY", `{"QUILT_API_KEY":"` +
			replaced + `"}`},
		{"the default field before others that look like keys", `{"a":"qk_other","QUILT_API_KEY":"` + oldKey +
			`","b":"qk_another"}`, "", "QUILT_API_KEY", `{"a":"qk_other","QUILT_API_KEY":"` + replaced +
			`","b":"qk_another"}`},
		{"the only one that starts with qk_", `{"a":"b","token":"` + oldKey + `","n":1}`, "", "token",
			`{"a":"b","token":"` + replaced + `","n":1}`},
		{"the only one, by another letter case", `{"quilt_api_key":"` + oldKey + `"}`, "", "quilt_api_key",
			`{"quilt_api_key":"` + replaced + `"}`},
		{"the tag's field before the default one", `{"QUILT_API_KEY":"qk_other","mine":"` + oldKey + `"}`, "mine",
			"mine", `{"QUILT_API_KEY":"qk_other","mine":"` + replaced + `"}`},
		{"the tag's field with dots and stars in its name", `{"a":{"b*":"qk_other"},"a.b*":"` + oldKey + `"}`, "a.b*",
			"a.b*", `{"a":{"b*":"qk_other"},"a.b*":"` + replaced + `"}`},
		{"a field without a name", `{"":"` + oldKey + `"}`, "", "", `{"":"` + replaced + `"}`},
		{"white space everywhere", " {\n\t\"QUILT_API_KEY\" :\r\n \"" + oldKey + "\" }\n\n", "", "QUILT_API_KEY",
			" {\n\t\"QUILT_API_KEY\" :\r\n \"" + replaced + "\" }\n\n"},
		{"white space around the key, inside its quotes", `{"QUILT_API_KEY":"  ` + oldKey + ` "}`, "", "QUILT_API_KEY",
			`{"QUILT_API_KEY":"  ` + replaced + ` "}`},
		{"escapes in the field's name", `{"QUILT\u005fAPI_\u004bEY":"` + oldKey + `"}`, "", "QUILT_API_KEY",
			`{"QUILT\u005fAPI_\u004bEY":"` + replaced + `"}`},
		{"a second field", `{"QUILT_API_KEY":"` + oldKey + `","quilt_api_key":"` + oldKey + `"}`, "", "QUILT_API_KEY",
			`{"QUILT_API_KEY":"` + replaced + `","quilt_api_key":"` + replaced + `"}`},
		{"two fields that hold the same key", `{"a":"` + oldKey + `","b":" ` + oldKey + `"}`, "", "a",
			`{"a":"` + replaced + `","b":" ` + replaced + `"}`},
		{"the default field twice, with the same key", `{"QUILT_API_KEY":"` + oldKey + `","QUILT\u005fAPI_KEY":"` +
			oldKey + `"}`, "", "QUILT_API_KEY", `{"QUILT_API_KEY":"` + replaced + `","QUILT\u005fAPI_KEY":"` +
			replaced + `"}`},
		{"a nested field, a list, a name", `{"QUILT_API_KEY":"` + oldKey + `","a":{"b":["` + oldKey + `"],"` + oldKey +
			`":1}}`, "", "QUILT_API_KEY", `{"QUILT_API_KEY":"` + replaced + `","a":{"b":["` + replaced + `"],"` +
			replaced + `":1}}`},
		{"other fields twice", `{"a":1,"QUILT_API_KEY":"` + oldKey + `","a":2}`, "", "QUILT_API_KEY",
			`{"a":1,"QUILT_API_KEY":"` + replaced + `","a":2}`},
		{"the same name deeper down", `{"a":{"QUILT_API_KEY":"qk_inner"},"QUILT_API_KEY":"` + oldKey + `"}`, "",
			"QUILT_API_KEY", `{"a":{"QUILT_API_KEY":"qk_inner"},"QUILT_API_KEY":"` + replaced + `"}`},
		{"numbers that no float holds", `{"n":1e400,"m":0.10000000000000000000001,"QUILT_API_KEY":"` + oldKey +
			`","z":-0.0}`, "", "QUILT_API_KEY", `{"n":1e400,"m":0.10000000000000000000001,"QUILT_API_KEY":"` +
			replaced + `","z":-0.0}`},
		{"escapes that need not be", `{"\/":"\/<\u003c\ud83d\ude00","QUILT_API_KEY":"` + oldKey + `","l":"\ud800"}`, "",
			"QUILT_API_KEY", `{"\/":"\/<\u003c\ud83d\ude00","QUILT_API_KEY":"` + replaced + `","l":"\ud800"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := parseValue(t, c.text, c.tag)
			if v.Key().Reveal() != oldKey || v.Field() != c.field {
				t.Errorf("found %q in the field %q", v.Key().Reveal(), v.Field())
			}
			if got := withKey(t, v, newKey); got != c.changed {
				t.Errorf("changed to\n%s\nwant\n%s", got, c.changed)
			}
		})
	}
}

func TestParseValueReportsBlankValues(t *testing.T) {
	// `{}` and a blank key field are normal before bootstrap, so a new deployment must not raise an
	// alarm.
	for _, c := range []struct{ name, text, tag, field string }{
		{"nothing", "", "", ""},
		{"white space", " \n", "", ""},
		{"nothing, with a tag", "", "mine", ""},
		{"an empty object", "{}", "", ""},
		{"an empty object in white space", " {\n} ", "", ""},
		{"an empty object, with a tag", "{}", "mine", "mine"},
		{"a blank default field", `{"QUILT_API_KEY":"","a":1}`, "", "QUILT_API_KEY"},
		{"a default field of white space", `{"QUILT_API_KEY":" \n\u00a0"}`, "", "QUILT_API_KEY"},
		{"a blank field of the tag", `{"QUILT_API_KEY":"` + oldKey + `","mine":""}`, "mine", "mine"},
		{"a blank default field beside another key", `{"QUILT_API_KEY":"","a":"` + oldKey + `"}`, "", "QUILT_API_KEY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := apikey.ParseValue(redact.New(c.text), c.tag)
			var blank *apikey.BlankValueError
			if !errors.As(err, &blank) || blank.Field != c.field {
				t.Fatalf("got %#v (%v), want a blank value with the field %q", err, err, c.field)
			}
			if !strings.Contains(err.Error(), "holds no key yet") || !strings.Contains(err.Error(), c.field) {
				t.Errorf("the error does not say what is missing where: %v", err)
			}
		})
	}
}

func TestParseValueRefusesBadValues(t *testing.T) {
	// Each fault has its own message with a next step, and contains nothing of the value.
	const tag = "quilt-rotate:field"
	for _, c := range []struct{ name, text, field, says string }{
		{"some text", "hunter2", "", "neither a JSON object nor a key"},
		{"a key without its prefix", oldKey[3:], "", "neither a JSON object nor a key"},
		{"two keys", oldKey + "\n" + newKey, "", "neither a JSON object nor a key"},
		{"a key after a byte order mark", "\ufeff" + oldKey, "", "the invisible character U+FEFF BYTE ORDER MARK " +
			"before the key; remove"},
		{"a key before a zero width space", oldKey + "\u200b\n", "", "the invisible character U+200B ZERO WIDTH " +
			"SPACE after the key; remove"},
		{"a key with a no-break space inside", oldKey[:9] + "\u00a0" + oldKey[9:], "",
			"U+00A0 NO-BREAK SPACE inside the key, after its first 9 characters; remove"},
		{"an object after a byte order mark", "\ufeff" + `{"QUILT_API_KEY":"` + oldKey + `"}`, "",
			"starts with the invisible character U+FEFF BYTE ORDER MARK; remove"},
		{"an invisible character in the layout", `{"QUILT_API_KEY":` + "\u00a0" + `"` + oldKey + `"}`, "",
			"not valid JSON: it has the invisible character U+00A0 NO-BREAK SPACE after 17 bytes"},
		{"an invisible character after the key in its field", `{"QUILT_API_KEY":"` + oldKey + "\u202c" + `"}`, "",
			`"QUILT_API_KEY" is not a Quilt API key, because of the invisible character U+202C POP DIRECTIONAL FORMATTING after the key`},
		{"an escaped one", `{"QUILT_API_KEY":"\u2060` + oldKey + `"}`, "", `U+2060 WORD JOINER before the key`},
		{"one in the field's name", `{"mi` + "\u00ad" + `ne":"` + oldKey + `"}`, "mine",
			`the name of the value's field "mine" has the invisible character U+00AD SOFT HYPHEN`},
		{"a JSON string", `"` + oldKey + `"`, "", "neither a JSON object nor a key"},
		{"an array", `["` + oldKey + `"]`, "", "neither a JSON object nor a key"},
		{"null", `null`, "", "neither a JSON object nor a key"},
		{"a number", `42`, "", "neither a JSON object nor a key"},
		{"a shell's assignment", "QUILT_API_KEY=" + oldKey, "", "neither a JSON object nor a key"},
		{"the key alone where the tag names a field", oldKey, "mine", tag},
		{"an array where the tag names a field", `["` + oldKey + `"]`, "mine", "not a JSON object"},
		{"an object that is cut off", `{"QUILT_API_KEY":"` + oldKey, "", "not valid JSON"},
		{"single quotes", `{'QUILT_API_KEY':'` + oldKey + `'}`, "", "not valid JSON"},
		{"a comma too many", `{"QUILT_API_KEY":"` + oldKey + `",}`, "", "not valid JSON"},
		{"a comment", `{"QUILT_API_KEY":"` + oldKey + `"} // new`, "", "not valid JSON"},
		{"two objects", `{"QUILT_API_KEY":"` + oldKey + `"}{}`, "", "not valid JSON"},
		{"an object after white space that JSON has not", "\u00a0" + `{"QUILT_API_KEY":"` + oldKey + `"}`, "",
			"not valid JSON"},
		{"a control character in a string", "{\"QUILT_API_KEY\":\"" + oldKey + "\n\"}", "", "not valid JSON"},
		{"no field that looks like a key", `{"a":"b","n":1}`, "", "no field of the value holds a key"},
		{"the key deeper down only", `{"a":{"QUILT_API_KEY":"` + oldKey + `"}}`, "",
			"no field of the value holds a key"},
		{"the key in an array only", `{"QUILT_API_KEYS":["` + oldKey + `"]}`, "", "no field of the value holds a key"},
		{"the tag's field missing", `{"QUILT_API_KEY":"` + oldKey + `"}`, "mine", `no field "mine", which the tag ` +
			tag},
		{"the tag's field by another letter case", `{"Mine":"` + oldKey + `"}`, "mine", `no field "mine"`},
		{"the tag's field deeper down", `{"a":{"mine":"` + oldKey + `"}}`, "a.mine", `no field "a.mine"`},
		{"the field a number", `{"QUILT_API_KEY":42}`, "", `"QUILT_API_KEY" is not a string`},
		{"the field null", `{"QUILT_API_KEY":null}`, "", `"QUILT_API_KEY" is not a string`},
		{"the field true", `{"QUILT_API_KEY":true}`, "", `"QUILT_API_KEY" is not a string`},
		{"the field an object", `{"QUILT_API_KEY":{"key":"` + oldKey + `"}}`, "", `"QUILT_API_KEY" is not a string`},
		{"the field an array", `{"QUILT_API_KEY":["` + oldKey + `"]}`, "", `"QUILT_API_KEY" is not a string`},
		{"the tag's field a number", `{"mine":1}`, "mine", `"mine" is not a string`},
		{"the field's text no key", `{"QUILT_API_KEY":"hunter2"}`, "",
			`"QUILT_API_KEY" is not a Quilt API key`},
		{"the field's key without its prefix", `{"QUILT_API_KEY":"` + oldKey[3:] + `"}`, "",
			`" is not a Quilt API key`},
		{"the field's key with white space inside", `{"QUILT_API_KEY":"qk_W7hQx3Zt LmN9pRvK"}`, "",
			`" is not a Quilt API key`},
		{"the field's key with a byte that is no text", `{"QUILT_API_KEY":"` + oldKey[:9] + "\xff" + oldKey[9:] + `"}`,
			"", `" is not a Quilt API key`},
		{"the field's key quoted once more", `{"QUILT_API_KEY":"\"` + oldKey + `\""}`, "",
			`" is not a Quilt API key`},
		{"the only one no key after all", `{"token":"qk_W7hQx3Zt LmN9pRvK"}`, "",
			`"token" is not a Quilt API key`},
		{"two candidates", `{"a":"` + oldKey + `","b":"qk_other"}`, "", "two or more fields of the value hold " +
			"different keys; name the one to rotate in the tag " + tag},
		{"the default field twice", `{"QUILT_API_KEY":"` + oldKey + `","QUILT_API_KEY":"qk_other"}`, "",
			`the field "QUILT_API_KEY" more than once, with different contents`},
		{"the default field twice, once escaped", `{"QUILT_API_KEY":"` + oldKey + `","QUILT\u005FAPI_KEY":""}`, "",
			`the field "QUILT_API_KEY" more than once, with different contents`},
		{"the tag's field three times", `{"m":1,"m":2,"m":"` + oldKey + `"}`, "m",
			`the field "m" more than once, with different contents`},
		{"the only one's name twice", `{"token":"` + oldKey + `","token":1}`, "",
			`the field "token" more than once, with different contents`},
		{"a key as a field's name", `{"` + oldKey + `":"qk_W7hQx3Zt LmN9pRvK"}`, "",
			`" is not a Quilt API key`},
		{"a key as the tag's field", `{"QUILT_API_KEY":"x"}`, oldKey, `has no field "[redacted]"`},
		{"too long a text", oldKey + strings.Repeat(" ", 65_536), "", "allows at most 65536"},
		{"too long an object", `{"QUILT_API_KEY":"` + oldKey + `"` + strings.Repeat(" ", 65_536) + "}", "",
			"allows at most 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := apikey.ParseValue(redact.New(c.text), c.field)
			var bad *apikey.BadValueError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a bad value", err)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error says %q, want it to say %q", err, c.says)
			}
			for _, secret := range []string{oldKey[3:], newKey[3:], "hunter2", "W7hQx3Zt", "LmN9pRvK"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error quotes the value: %v", err)
				}
			}
		})
	}
}

func TestValuesUpToTheServicesLimit(t *testing.T) {
	// A value of the largest size is accepted. A new key that makes it too large is refused before
	// it is sent.
	key := mustParse(t, "qk_aaaaaaaaaaaa")
	longer := mustParse(t, "qk_aaaaaaaaaaaaa")
	object := `{"QUILT_API_KEY":"qk_aaaaaaaaaaaa","fill":""}`
	object = strings.Replace(object, `""`, `"`+strings.Repeat("x", apikey.MaxValueBytes-len(object))+`"`, 1)
	alone := key.Reveal() + strings.Repeat(" ", apikey.MaxValueBytes-len(key.Reveal()))
	for _, text := range []string{object, alone} {
		if len(text) != 65_536 {
			t.Fatalf("the test's value has %d bytes", len(text))
		}
		v := parseValue(t, text, "")
		if same, err := v.WithKey(key); err != nil || same.Reveal() != text {
			t.Errorf("a value of the full length does not take a key of the same length: %v", err)
		}
		var bad *apikey.BadValueError
		if _, err := v.WithKey(longer); !errors.As(err, &bad) || !strings.Contains(err.Error(),
			"would have 65537 bytes") {
			t.Errorf("a value one byte too long gives %v", err)
		}
	}
}

func TestSameButKey(t *testing.T) {
	// A person may edit the value during a rotation. Values that differ in more than the key are
	// not the same.
	const object = `{"QUILT_API_KEY":"` + oldKey + `","a":1}`
	v, alone := parseValue(t, object, ""), parseValue(t, oldKey, "")
	for text, want := range map[string]bool{
		object:                               true,
		`{"QUILT_API_KEY":"qk_other","a":1}`: true,
		`{"QUILT_API_KEY":"\u0071k_other","a":1}`:                            false,
		`{"QUILT_API_KEY":"qk_other","a":2}`:                                 false,
		`{"QUILT_API_KEY":"qk_other","a":1} `:                                false,
		`{ "QUILT_API_KEY":"qk_other","a":1}`:                                false,
		`{"QUILT_API_KEY": "qk_other","a":1}`:                                false,
		`{"a":1,"QUILT_API_KEY":"qk_other"}`:                                 false,
		`{"QUILT_API_KEY":"qk_other"}`:                                       false,
		`{"QUILT_API_KE\u0059":"` + oldKey + `","a":1}`:                      false,
		`{"QUILT_API_KE\u0059":"` + oldKey + `","QUILT_API_TOKEN":"","a":1}`: false,
		oldKey: false,
	} {
		other := parseValue(t, text, "")
		if got := v.SameButKey(other); got != want {
			t.Errorf("compared with %s: %v", text, got)
		}
		if v.SameButKey(other) != other.SameButKey(v) {
			t.Errorf("compared with %s: not the same both ways", text)
		}
	}
	for text, want := range map[string]bool{oldKey: true, "qk_other": true, "qk_other\n": false, " qk_other": false} {
		if got := alone.SameButKey(parseValue(t, text, "")); got != want {
			t.Errorf("the key alone, compared with %q: %v", text, got)
		}
	}
}
