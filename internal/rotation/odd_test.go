package rotation_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/vault"
)

// Values and answers that look right and are not.

// utf16Text is a text as UTF-16 in little-endian order, read byte by byte, as some editors and
// shells store it.
func utf16Text(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		b.WriteString(string([]rune{rune(unit & 0xff), rune(unit >> 8)}))
	}
	return b.String()
}

func TestValuesWithHiddenContent(t *testing.T) {
	// A value can look right although it has invisible characters. The error names them, and no key
	// is created.
	t.Parallel()
	r := sandboxtest.New(t)
	key := r.Secret("quilt/other").CurrentKey().Reveal()
	object := func(field, value string) string { return `{"` + field + `":"` + value + `"}` }
	for i, c := range []struct {
		name, value, says string
	}{
		{"the key in UTF-16", utf16Text(key), "U+0000"},
		{"an object in UTF-16", utf16Text(object("QUILT_API_KEY", key)), "U+0000"},
		{"an object in UTF-16 with a byte order mark", "\ufeff" + utf16Text(object("QUILT_API_KEY", key)), "U+FEFF"},
		{"a byte order mark before the key", "\ufeff" + key, "U+FEFF BYTE ORDER MARK before the key"},
		{"a zero-width character before the key", object("QUILT_API_KEY", "\u200b"+key),
			"U+200B ZERO WIDTH SPACE before the key"},
		{"one inside the key", object("QUILT_API_KEY", key[:9]+"\u200d"+key[9:]),
			"U+200D ZERO WIDTH JOINER inside the key, after its first 9 characters"},
		{"one after the key", object("QUILT_API_KEY", key+"\u2060"), "U+2060 WORD JOINER after the key"},
		{"an escaped one", object("QUILT_API_KEY", key+`\u200b`), "U+200B ZERO WIDTH SPACE after the key"},
		{"a no-break space after the key", key + "\u00a0", "U+00A0 NO-BREAK SPACE after the key"},
		{"a no-break space before the object", "\u00a0" + object("QUILT_API_KEY", key), "U+00A0 NO-BREAK SPACE"},
		{"a blank Braille pattern after the key", key + "\u2800", "U+2800"},
		{"a Hangul filler after the key", key + "\u3164", "U+3164"},
		{"one in the name of the field", object("QUILT_API_KEY\u200b", "other"),
			"the name of the value's field \"QUILT_API_KEY\" has the invisible character U+200B"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := r.BareSecret(fmt.Sprintf("quilt/hidden-%d", i), c.value)
			before := stateOf(s)
			event := s.Begin(sandboxtest.Token(1))
			wantFault(t, s.Step(event, rotation.Create), "BadValue", c.says, s.ARN)
			before.unchanged(t)
			before.noKeyCreated(t)
		})
	}
}

func TestOnlyTheKeyOfAValueChanges(t *testing.T) {
	// Consumers may depend on the layout and the line endings of the value.
	t.Parallel()
	for name, form := range map[string]string{
		"the key with CRLF":      "$\r\n",
		"CRLF in an object":      "{\r\n\t\"QUILT_API_KEY\" : \"$\",\r\n\"x\":\"a\\r\\nb\"\r\n}\r\n",
		"CRLF in the string":     `{"QUILT_API_KEY":"$\r\n"}`,
		"nested twice":           `{"QUILT_API_KEY":"$","x":"{\"y\":\"{\\\"z\\\":\\\"$\\\"}\"}"}`,
		"as the name of a field": `{"QUILT_API_KEY":"$","$":{"a $ b":["$"]}}`,
		"before an escape":       `{"QUILT_API_KEY":"$","x":"$\n$\t$\\"}`,
		"beside another key":     `{"QUILT_API_KEY":"$","x":"qk_other0000000000000000000"}`,
		"a lone surrogate":       `{"QUILT_API_KEY":"$","x":"\ud800"}`,
		"HTML":                   `{"QUILT_API_KEY":"$","x":"<a href='https://h/?k=$&amp;'>\u003c"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			former := s.CurrentKey().Reveal()
			s.Put(strings.ReplaceAll(form, "$", former))
			s.MustRotate()
			now := s.Holder(vault.Current)
			next := s.KeyIn(now).Reveal()
			if next == former || now.Value != strings.ReplaceAll(form, "$", next) {
				t.Errorf("%q", strings.ReplaceAll(now.Value, next, "$"))
			}
		})
	}
}

func TestAnswersToApiKeyCreate(t *testing.T) {
	// If the registry changes what was requested, the key is used, and each relevant difference is
	// reported.
	t.Parallel()
	const days = "days instead of the requested 90"
	for _, c := range []struct{ name, field, value, reported string }{
		{"a longer lifetime", "expiresAt", `"2099-01-01T00:00:00Z"`, days},
		{"a lifetime beyond every duration", "expiresAt", `"9999-12-31T23:59:59Z"`, days},
		{"a name without the mark", "name", `"quilt"`, "changed the end of the key's name"},
		{"no name", "name", `null`, "changed the end of the key's name"},
		{"the owner in other letters", "userEmail", `"` + strings.ToUpper(sandbox.UserEmail) + `"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			r.Intercept(sandboxtest.On(func(call *wire.Call, next func()) {
				next()
				before, after, _ := strings.Cut(string(call.Answer), `"`+c.field+`":"`)
				_, after, _ = strings.Cut(after, `"`)
				call.Answer = []byte(before + `"` + c.field + `":` + c.value + after)
			}, "apiKeyCreate"))
			s.MustRotate()
			line := strings.Join(r.Output.Lines("createSecret"), "")
			if got := metric(r, rotation.MetricNewKeyDiffers); got != (c.reported != "") ||
				!strings.Contains(line, c.reported) {
				t.Errorf("reported %v, want %q\n%s", got, c.reported, line)
			}
			keepsPromises(t, s)
		})
	}
}

func TestDatesInAnotherTimeZone(t *testing.T) {
	// A registry may write each date with another offset.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	zones := []*time.Location{time.FixedZone("", 14*3600), time.FixedZone("", -11*3600-1800)}
	r.Intercept(sandboxtest.OnService("registry", func(c *wire.Call, next func()) {
		next()
		n := 0
		c.Answer = dates.ReplaceAllFunc(c.Answer, func(text []byte) []byte {
			moment, err := time.Parse(`"`+time.RFC3339+`"`, string(text))
			if err != nil {
				return text
			}
			n++
			return []byte(moment.In(zones[n%2]).Format(`"` + time.RFC3339 + `"`))
		})
	}))
	former := s.CurrentKey()
	s.MustRotate()
	if s.CurrentKey().Equal(former) || metric(r, rotation.MetricNewKeyDiffers) {
		t.Errorf("the key must be rotated, and nothing of it differs\n%s", r.Output)
	}
}

var dates = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]+"`)
