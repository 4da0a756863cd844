package redact_test

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/sandbox/hermetic"
)

func init() { hermetic.FixSeed() }

func TestRevealReturnsTheContent(t *testing.T) {
	// The content does not change, and the zero Text is empty.
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

func TestScrubRemovesKeysAndGivenTexts(t *testing.T) {
	// A server may quote the request, in full or escaped, and one text may be part of another.
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
		{"a given text, twice", "hunter2 and hunter2", "[redacted] and [redacted]",
			[]redact.Text{redact.New("hunter2")}},
		{"a secret's ARN", `of "arn:aws:secretsmanager:us-east-1:111122223333:secret:team/qk_pipeline-a1b2c3": no`,
			`of "arn:aws:secretsmanager:us-east-1:111122223333:secret:team/qk_pipeline-a1b2c3": no`, nil},
		{"a key beside a secret's ARN",
			"arn:aws:secretsmanager:us-east-1:111122223333:secret:qk_a-a1b2c3:qk_W7hQx3ZtLmN9",
			"arn:aws:secretsmanager:us-east-1:111122223333:secret:qk_a-a1b2c3:[redacted]", nil},
		{"a key in another ARN", "arn:aws:ssm:us-east-1:111122223333:parameter/qk_W7hQx3ZtLmN9",
			"arn:aws:ssm:us-east-1:111122223333:parameter/[redacted]", nil},
		{"an empty text", "hunter2", "hunter2", []redact.Text{redact.New(""), {}}},
		{"a value", "Value '" + value.Reveal() + "' is bad", "Value '[redacted]' is bad", []redact.Text{value}},
		{"a value, escaped", `Value "{\"QUILT_API_KEY\":\"qk_W7hQx3ZtLmN9\",\"db_password\":\"hunter2\\n\"}" is bad`,
			`Value "[redacted]" is bad`, []redact.Text{value}},
		{"a text that begins another", "hunter2-and-more", "[redacted]", []redact.Text{redact.New("hunter2"),
			redact.New("hunter2-and-more")}},
	} {
		if got := redact.Scrub(c.message, c.texts...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestScrubKeepsFingerprints(t *testing.T) {
	// A fingerprint stays readable if it is a separate word, also in brackets. Otherwise it is
	// removed.
	for message, want := range map[string]string{
		"the key 42 (qk_Y23...LS5) still lives (superseded): sweep again": "the key 42 (qk_Y23...LS5) still lives " +
			"(superseded): sweep again",
		"the key (qk_Y23...LS5), of (qk_Y23...LS5): dead": "the key (qk_Y23...LS5), of " +
			"(qk_Y23...LS5): dead",
		`no such key "qk_Y23...LS5".`: `no such key "qk_Y23...LS5".`,
		"qk_Y23...LS5":                "qk_Y23...LS5",
		"qk_Y23...LS5x is longer":     "[redacted] is longer",
		"qk_Y23...LS5),;x":            "[redacted]",
		"qk_Y23....LS5":               "[redacted]",
		"k=qk_Y23...LS5":              "k=[redacted]",
		`qk_W7hQx"qk_Y23...LS5`:       `[redacted]"[redacted]`,
		"qk_Y23W7hQx3ZtLmN9LS5":       "[redacted]",
	} {
		if got := redact.Scrub(message); got != want {
			t.Errorf("%q became %q, want %q", message, got, want)
		}
	}
}

func TestScrubRemovesKeysThatLookLikeFingerprints(t *testing.T) {
	// The similarity may be at the beginning, at the end or in the middle.
	sign := rapid.OneOf(rapid.SampledFrom([]rune(`abcXYZ019_-...()[]{},;:/+=&`)),
		rapid.Rune()).Filter(func(r rune) bool {
		// which end what looks like a key, as they end it where it is quoted
		return !unicode.IsSpace(r) && !strings.ContainsRune(`"'<>\`, r)
	})
	part := rapid.OneOf(rapid.StringOfN(sign, 0, 30, -1),
		rapid.SampledFrom([]string{"abc...xyz", "...", "qk_", "qk_abc...xyz", "),", "("}))
	around := rapid.SampledFrom([]string{"", " ", "(", ")", `"`, "'", "),", ": ", "\n", "k="})
	rapid.Check(t, func(t *rapid.T) {
		key := "qk_" + strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), "")
		if len([]rune(key)) < len("qk_")+12 {
			t.Skip("too short to have a fingerprint")
		}
		got := redact.Scrub("sent " + around.Draw(t, "before") + key + around.Draw(t, "after") + " here")
		if strings.Contains(got, key) || strings.Contains(got, "qk_") {
			t.Fatalf("of %q is left %q", key, got)
		}
	})
}
