package apikey_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

const plainKey = "qk_A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5"

// escapedAll writes every character as a \u escape.
func escapedAll(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, `\u%04x`, unit)
	}
	return b.String()
}

// inJSON writes s between the quotes of a JSON string.
func inJSON(s string) string {
	quoted, _ := json.Marshal(s)
	return string(quoted[1 : len(quoted)-1])
}

func TestAKeyIsFoundWhereverItOccurs(t *testing.T) {
	// Promise 2: a key is found in each place and form in which a consumer may read it. Only what
	// can be replaced counts as replaceable.
	const (
		odd   = `qk_a/"b\é😀%41+=`
		place = `the field "x" `
	)
	for _, c := range []struct {
		name, key, text string
		replaceable     int
		fixed           []string
	}{
		{"nowhere", oldKey, `{"x":"` + oldKey[:20] + `"}`, 0, nil},
		{"in an empty value", oldKey, "", 0, nil},
		{"alone", oldKey, " " + oldKey + "\n", 1, nil},
		{"in plain text", oldKey, "export QUILT_API_KEY=" + oldKey + "; # " + oldKey + ".", 2, nil},
		{"in two fields", oldKey, `{"a":"` + oldKey + `","x":"` + oldKey + `"}`, 2, nil},
		{"nested, in a list", oldKey, `{"a":{"b":[1,"` + oldKey + `"]}}`, 1, nil},
		{"as a name", oldKey, `{"` + oldKey + `":1}`, 1, nil},
		{"in a URL", oldKey, `{"x":"https://x:` + oldKey + `@host/` + oldKey + `?k=` + oldKey + `&z=1"}`, 3, nil},
		{"in nested JSON", oldKey, `{"x":"{\"k\":\"` + oldKey + `\"}"}`, 1, nil},
		{"after an escaped line break", oldKey, `{"x":"a\n` + oldKey + `\nb"}`, 1, nil},
		{"in a broken object", oldKey, `{"x":"` + oldKey, 1, nil},
		{"escaped in one character", oldKey, `{"x":"\u0071` + oldKey[1:] + `"}`, 0, []string{place + "(escaped)"}},
		{"escaped entirely", oldKey, `{"x":"` + escapedAll(oldKey) + `"}`, 0, []string{place + "(escaped)"}},
		{"escaped in upper case", oldKey, `{"x":"` + oldKey[:2] + `\u005F` + oldKey[3:] + `"}`, 0,
			[]string{place + "(escaped)"}},
		{"escaped twice", oldKey, `{"x":"` + inJSON(`{"k":"`+escapedAll(oldKey)+`"}`) + `"}`, 0,
			[]string{place + "(escaped)"}},
		{"escaped three times", oldKey, `{"x":"` + inJSON(inJSON(`{"k":"`+escapedAll(oldKey)+`"}`)) + `"}`, 0,
			[]string{place + "(escaped)"}},
		{"percent-encoded", oldKey, `{"x":"https://%71k_` + oldKey[3:] + `@host"}`, 0, []string{place + "(escaped)"}},
		{"percent-encoded in escapes", oldKey, `{"x":"\u002571` + oldKey[1:] + `"}`, 0, []string{place + "(escaped)"}},
		{"escapes that are percent-encoded", oldKey, "x=" + url.QueryEscape(`{"k":"`+escapedAll(oldKey)+`"}`), 0,
			[]string{"the value after 18 bytes (escaped)"}},
		{"escaped in plain text", oldKey, `k = "\u0071` + oldKey[1:] + `"`, 0,
			[]string{"the value after 5 bytes (escaped)"}},
		{"escaped and literal", oldKey, `{"a":"` + oldKey + `","x":"\u0071` + oldKey[1:] + `"}`, 1,
			[]string{place + "(escaped)"}},
		{"escaped in a name", oldKey, `{"a":{"\u0071` + oldKey[1:] + `":1}}`, 0,
			[]string{`the name of a field in the field "a" (escaped)`}},
		{"below an escaped name", oldKey, `{"\u0071` + oldKey[1:] + `":["\u0071` + oldKey[1:] + `"]}`, 0,
			[]string{`the field [redacted][0] (escaped)`, "the name of a field (escaped)"}},
		{"deep below", oldKey, `{"a":{"b.c":[0,{"d":"\u0071` + oldKey[1:] + `"}]}}`, 0,
			[]string{`the field "a"."b.c"[1]."d" (escaped)`}},
		{"in a longer key", "qk_abc", `{"x":"qk_abcdef"}`, 0, []string{place + "(part of a longer word)"}},
		{"in a longer key, at its end", "qk_abc", `{"x":"qk_qk_abc"}`, 0, []string{place + "(part of a longer word)"}},
		{"in a longer key whose rest is escaped", "qk_abc", `{"x":"qk_abc\u0064"}`, 0,
			[]string{place + "(part of a longer word)"}},
		{"after a word", "qk_abc", `{"x":"KEY_qk_abc"}`, 1, nil},
		{"of odd characters, alone", odd, odd, 1, nil},
		{"of odd characters, in an object", odd, `{"x":"` + inJSON(odd) + `"}`, 1, nil},
		{"of a backslash at its end, in an object", `qk_a\`, `{"x":"qk_a\\\n"}`, 1, nil},
		{"of odd characters, escaped", odd, `{"x":"` + strings.Replace(inJSON(odd), "/", `\/`, 1) + `"}`, 0,
			[]string{place + "(escaped)"}},
		{"of odd characters, in a surrogate pair", odd, `{"x":"` + strings.Replace(inJSON(odd), "😀", `\ud83d\ude00`,
			1) + `"}`, 0, []string{place + "(escaped)"}},
		{"of odd characters, in a URL", odd, `{"x":"https://` + url.QueryEscape(odd) + `@host"}`, 0,
			[]string{place + "(escaped)"}},
		{"of odd characters, in nested JSON", odd, `{"x":"` + inJSON(`{"k":"`+inJSON(odd)+`"}`) + `"}`, 0,
			[]string{place + "(escaped)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := apikey.Find(redact.New(c.text), mustParse(t, c.key))
			if got.Replaceable != c.replaceable || !slices.Equal(got.Fixed, c.fixed) {
				t.Errorf("found %d and %q, want %d and %q", got.Replaceable, got.Fixed, c.replaceable, c.fixed)
			}
			if any := c.replaceable > 0 || len(c.fixed) > 0; got.Any() != any || apikey.Contains(redact.New(c.text),
				mustParse(t, c.key)) != any {
				t.Errorf("contained: %v, want %v", got.Any(), any)
			}
		})
	}
}

func TestReplaceableRefusesKeysInOtherForms(t *testing.T) {
	// The key is replaced everywhere or nowhere, and the error names the place of the other form.
	for name, c := range map[string]struct{ text, says string }{
		"in the field itself": {`{"QUILT_API_KEY":"\u0071` + oldKey[1:] + `"}`, `the field "QUILT_API_KEY" (escaped)`},
		"in another field": {`{"QUILT_API_KEY":"` + oldKey + `","u":{"v":"\u0071` + oldKey[1:] + `"}}`,
			`the field "u"."v" (escaped)`},
		"in a longer word": {`{"QUILT_API_KEY":"` + oldKey + `","u":"` + oldKey + `0"}`,
			`the field "u" (part of a longer word)`},
	} {
		v := parseValue(t, c.text, "")
		changed, err := v.WithKey(mustParse(t, plainKey))
		if _, fixed := errors.AsType[*apikey.NotReplaceableError](err); !fixed || !changed.Empty() ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want one that says %q", name, err, c.says)
		}
		if err == nil || strings.Contains(err.Error(), oldKey[3:9]) || v.Replaceable() == nil {
			t.Errorf("%s: got %v, then %v", name, err, v.Replaceable())
		}
	}
}

func TestWithKeyRefusesSpecialCharactersInALongerText(t *testing.T) {
	// Such characters would break a URL or nested JSON.
	for text, want := range map[string]bool{
		`{"QUILT_API_KEY":"` + oldKey + `","u":["` + oldKey + `"]}`:           true,
		`{"QUILT_API_KEY":"` + oldKey + `","u":"https://x:` + oldKey + `@h"}`: false,
		`{"QUILT_API_KEY":"` + oldKey + `","u":"{\"k\":\"` + oldKey + `\"}"}`: false,
	} {
		v := parseValue(t, text, "")
		if _, err := v.WithKey(mustParse(t, newKey)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := v.WithKey(mustParse(t, plainKey)); err != nil {
			t.Errorf("%s: a key of ordinary characters is refused: %v", text, err)
		}
	}
}

func TestEveryOccurrenceCountsForTheLimit(t *testing.T) {
	// A new key that is one byte longer makes the value longer by one byte for each occurrence.
	text := `{"QUILT_API_KEY":"qk_aaaaaaaaaaaa","x":"qk_aaaaaaaaaaaa","fill":""}`
	text = strings.Replace(text, `""`, `"`+strings.Repeat("x", apikey.MaxValueBytes-1-len(text))+`"`, 1)
	v := parseValue(t, text, "")
	if _, err := v.WithKey(mustParse(t, "qk_aaaaaaaaaaaab")); err == nil || !strings.Contains(err.Error(),
		"would have 65537 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestEveryLiteralOccurrenceIsReplacedAndNoOtherByte(t *testing.T) {
	// After a rotation, the former key occurs nowhere, and all other bytes are unchanged.
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringMatching(`[A-Za-z0-9_-]{12,40}`)
		old, next := "qk_"+body.Draw(t, "old"), "qk_"+body.Draw(t, "new")
		if strings.Contains(next, old) || strings.Contains(old, next) {
			t.Skip("not two keys")
		}
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{old, old, " ", "/", "@", ":", "é", "\n", "\t", `\`, `"`,
			"x=", "%20", "{}", "qk_other."}), 0, 6)
		text := func(label string) string {
			var b strings.Builder
			for _, piece := range pieces.Draw(t, label) {
				if piece == old {
					piece = " " + old + " "
				}
				b.WriteString(inJSON(piece))
			}
			return b.String()
		}
		var members []string
		for range rapid.IntRange(0, 5).Draw(t, "members") {
			members = append(members, `"a`+text("name")+`":["`+text("value")+`",{"`+text("inner")+`":"`+text("deep")+
				`"}]`)
		}
		members = append(members, `"QUILT_API_KEY":"`+old+`"`)
		members = rapid.Permutation(members).Draw(t, "order")
		value := "{" + strings.Join(members, ", ") + "}"

		v, err := apikey.ParseValue(redact.New(value), "")
		if err != nil {
			t.Fatal(err)
		}
		key, err := apikey.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := v.WithKey(key)
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if want := strings.ReplaceAll(value, old, next); changed.Reveal() != want {
			t.Fatalf("%s\nbecame\n%s\nwant\n%s", value, changed.Reveal(), want)
		}
		if apikey.Contains(changed, v.Key()) || !apikey.Contains(changed, key) {
			t.Fatalf("%s became %s", value, changed.Reveal())
		}
		if n := apikey.Find(redact.New(value), v.Key()).Replaceable; n != strings.Count(value, old) {
			t.Fatalf("%d of %d occurrences are replaceable in %s", n, strings.Count(value, old), value)
		}
	})
}

func TestAKeyIsFoundInEveryMixOfEncodings(t *testing.T) {
	// Promise 2: the key is found in each combination of JSON and URL encoding. A form that is not
	// literal blocks the rotation.
	rapid.Check(t, func(t *rapid.T) {
		text := keys().Draw(t, "key")
		key, err := apikey.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 4).Draw(t, "layers") {
			if rapid.Bool().Draw(t, "as JSON") {
				text = quoted(t, text)
			} else {
				text = "k=" + url.QueryEscape(text) + "&z"
			}
		}
		if !apikey.Contains(redact.New(text), key) {
			t.Fatalf("%q is not found in %q", key.Reveal(), text)
		}
	})
}

func FuzzFind(f *testing.F) {
	// Values are written by people. Find must not panic, must report no place that shows a part of
	// a key, and must find every literal text.
	for _, text := range []string{oldKey, `{"a":"\u0071k_` + oldKey[3:] + `"}`, `{"` + oldKey + `":["\ud83d"]}`, `\u00`,
		`%7`, `{"a":"` + oldKey + `x"}`, `\ud83d\u0041`, "{\"\\\\u0071" + oldKey[1:] + "\":{\"a\":\"%71" + oldKey[1:] +
			"\"}}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key := mustParse(t, oldKey)
		o := apikey.Find(redact.New(text), key)
		if strings.Contains(text, oldKey) && !o.Any() || o.Replaceable > strings.Count(text, oldKey) {
			t.Fatalf("the key is not found in %q: %+v", text, o)
		}
		for _, place := range o.Fixed {
			if strings.Contains(place, oldKey[3:]) {
				t.Fatalf("the place shows the key: %s", place)
			}
		}
	})
}
