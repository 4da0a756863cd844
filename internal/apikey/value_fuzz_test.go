package apikey_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

func FuzzParseValue(f *testing.F) {
	// Values are written by people. ParseValue must not panic, no error may show a part of a key,
	// and every replaced value must be readable.
	for _, text := range []string{
		oldKey, " " + oldKey + "\n", `{}`, ``, `{"QUILT_API_KEY":""}`, `{"QUILT_API_KEY":"` + oldKey +
			`","a":[1e400,{"b":null}],"a":"é\ud83d"}`,
		`{"a":"` + oldKey + `","b":"qk_1111111111"}`, `{"` + oldKey + `":"` + oldKey + ` x"}`, `{"QUILT_API_KEY":"` +
			oldKey + `"`, `["` + oldKey + `"]`,
		`{"QUILT_API_KEY":"` + oldKey + `","QUILT_API_KEY":"` + oldKey + `"}`, `{"\u0051":"\u0071k_12345678"}`,
		"\ufeff{}", "{\"a\":\"qk_\xff\"}", `"` + oldKey + `"`,
	} {
		f.Add(text, "")
		f.Add(text, "a")
	}
	f.Fuzz(func(t *testing.T, text, field string) {
		v, err := apikey.ParseValue(redact.New(text), field)
		if err != nil {
			checkRefusal(t, text, field, err)
			return
		}
		next := mustParse(t, plainKey)
		changed, err := v.WithKey(next)
		if err != nil {
			_, fixed := errors.AsType[*apikey.NotReplaceableError](err)
			if occurrences := apikey.Find(redact.New(text), v.Key()).Replaceable; !fixed && len(text)+
				occurrences*len(plainKey) <= apikey.MaxValueBytes {
				t.Fatalf("%q takes no new key: %v", text, err)
			}
			checkPieces(t, text, err.Error())
			return
		}
		again, err := apikey.ParseValue(changed, field)
		if err != nil || !again.Key().Equal(next) || !again.SameButKey(v) || !v.SameButKey(again) {
			t.Fatalf("%q became %q, which is read as %q, %v", text, changed.Reveal(), again.Key().Reveal(), err)
		}
		if strings.Contains(changed.Reveal(), v.Key().Reveal()) {
			t.Fatalf("%q became %q, which still holds the key", text, changed.Reveal())
		}
	})
}

func checkRefusal(t *testing.T, text, field string, err error) {
	t.Helper()
	var blank *apikey.BlankValueError
	var bad *apikey.BadValueError
	if !errors.As(err, &blank) && !errors.As(err, &bad) {
		t.Fatalf("%q is refused with %T", text, err)
	}
	message := err.Error()
	for _, name := range append(fieldNames(text), field) { // they may be quoted
		quoted := fmt.Sprintf("%q", name)
		message = strings.ReplaceAll(strings.ReplaceAll(message, quoted, ""), redact.Scrub(quoted), "")
	}
	checkPieces(t, text, message)
}

func checkPieces(t *testing.T, text, message string) {
	t.Helper()
	for _, piece := range keyPieces(text) {
		if strings.Contains(message, piece) {
			t.Fatalf("the error for %q shows %q of a key: %v", text, piece, message)
		}
	}
}

func fieldNames(text string) []string {
	var object map[string]json.RawMessage
	_ = json.Unmarshal([]byte(text), &object)
	var names []string
	for name := range object {
		names = append(names, name)
	}
	return names
}

var keyInText = regexp.MustCompile(`qk_[^\s"]+`)

// keyPieces are the pieces of six bytes of all keys in a text. Those without a digit are left out:
// they may be words of the message.
func keyPieces(text string) []string {
	var pieces []string
	for _, key := range keyInText.FindAllString(text, -1) {
		for body := key[len("qk_"):]; len(body) >= 6; body = body[1:] {
			if strings.ContainsFunc(body[:6], unicode.IsDigit) {
				pieces = append(pieces, body[:6])
			}
		}
	}
	return pieces
}
