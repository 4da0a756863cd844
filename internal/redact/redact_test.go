package redact_test

import (
	"strings"
	"testing"

	"quilt-rotate/internal/redact"
)

func TestTextGivesItsContentWhenAsked(t *testing.T) {
	// Protects the one way out: what was sealed comes back to the byte, and the zero Text is the empty one.
	for _, content := range []string{"", "a", "white\n space ", "\x00\xff", strings.Repeat("x", 70_000)} {
		sealed := redact.New(content)
		if got := sealed.Reveal(); got != content {
			t.Errorf("sealed %q, got %q back", content, got)
		}
		if got, want := sealed.Empty(), content == ""; got != want {
			t.Errorf("Empty of %q is %v", content, got)
		}
	}
	var zero redact.Text
	if zero.Reveal() != "" || !zero.Empty() || !zero.Equal(redact.New("")) {
		t.Error("the zero Text is not the empty text")
	}
}

func TestTextsAreEqualByContent(t *testing.T) {
	// Protects decisions made on values: two reads of one value are equal, and a changed byte makes a difference.
	same := strings.Clone("a value")
	if !redact.New("a value").Equal(redact.New(same)) {
		t.Error("equal contents do not compare equal")
	}
	for _, other := range []string{"", "A value", "a value ", "a valu"} {
		if redact.New("a value").Equal(redact.New(other)) {
			t.Errorf("%q compares equal to another text", other)
		}
	}
}

func TestScrubTakesOutKeysAndGivenTexts(t *testing.T) {
	// Protects error messages: a server may quote what it was sent, whole or escaped, and one text may be part of another.
	value := redact.New(`{"QUILT_API_KEY":"qk_W7hQx3ZtLmN9","db_password":"hunter2\n"}`)
	for _, c := range []struct {
		name, message, want string
		texts               []redact.Text
	}{
		{"nothing to take out", "the name is too long", "the name is too long", nil},
		{"a key alone", "qk_W7hQx3ZtLmN9", "[redacted]", nil},
		{"a key in quotes", `no such key "qk_W7hQx3ZtLmN9"; try again`, `no such key "[redacted]"; try again`, nil},
		{"a key at the end of a URL", "GET /?k=qk_W7hQx3ZtLmN9 failed", "GET /?k=[redacted] failed", nil},
		{"two keys", "qk_W7hQx3ZtLmN9 is not qk_8bGcJ4aTe", "[redacted] is not [redacted]", nil},
		{"a given text, twice", "hunter2 and hunter2", "[redacted] and [redacted]", []redact.Text{redact.New("hunter2")}},
		{"an empty text", "hunter2", "hunter2", []redact.Text{redact.New(""), {}}},
		{"a value", "Value '" + value.Reveal() + "' is bad", "Value '[redacted]' is bad", []redact.Text{value}},
		{"a value, escaped", `Value "{\"QUILT_API_KEY\":\"qk_W7hQx3ZtLmN9\",\"db_password\":\"hunter2\\n\"}" is bad`, `Value "[redacted]" is bad`, []redact.Text{value}},
		{"a text that begins another", "hunter2-and-more", "[redacted]", []redact.Text{redact.New("hunter2"), redact.New("hunter2-and-more")}},
	} {
		if got := redact.Scrub(c.message, c.texts...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
