package apikey_test

import (
	"errors"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/sandbox/hermetic"
)

func init() { hermetic.FixSeed() }

func mustParse(t testing.TB, s string) apikey.Key {
	t.Helper()
	key, err := apikey.Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return key
}

func TestParseAcceptsOnlyKeys(t *testing.T) {
	// White space around a key is removed. White space inside makes it invalid.
	for _, c := range []struct {
		text string
		want string // "": refused
	}{
		{"qk_x", "qk_x"},
		{"qk_W7hQx3ZtLmN9", "qk_W7hQx3ZtLmN9"},
		{" \t\r\nqk_W7hQx3ZtLmN9\n", "qk_W7hQx3ZtLmN9"},
		{"\u00a0qk_W7hQx3ZtLmN9", ""},
		{"qk_W7hQx3ZtLmN9\u2003", ""},
		{"qk_W7hQx3ZtLmN9\u200b", ""},
		{"qk_W7hQ\x00x3ZtLmN9", ""},
		{"qk_W7hQ\u115fx3ZtLmN9", ""},
		{"qk_W7hQ\ufe0fx3ZtLmN9", ""},
		{"\u200b", ""},
		{"qk_-._~+/=:\"\\", "qk_-._~+/=:\"\\"},
		{"qk_qk_", "qk_qk_"},
		{"qk_é", "qk_é"},
		{"", ""},
		{" ", ""},
		{"qk_", ""},
		{"qk_ ", ""},
		{"qk", ""},
		{"QK_W7hQx3ZtLmN9", ""},
		{"W7hQx3ZtLmN9", ""},
		{"Bearer qk_W7hQx3ZtLmN9", ""},
		{"\"qk_W7hQx3ZtLmN9\"", ""},
		{"\ufeffqk_W7hQx3ZtLmN9", ""},
		{"qk_W7hQ x3ZtLmN9", ""},
		{"qk_W7hQ\nx3ZtLmN9", ""},
		{"qk_W7hQ\u2028x3ZtLmN9", ""},
		{"qk_W7hQx3ZtLmN9 qk_8bGcJ4aTe", ""},
	} {
		key, err := apikey.Parse(c.text)
		if (err == nil) != (c.want != "") || key.Reveal() != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.text, key.Reveal(), err, c.want)
		}
		if err != nil && !errors.Is(err, apikey.ErrNotAKey) {
			t.Errorf("%q: refused with %v", c.text, err)
		}
		if key.IsZero() != (c.want == "") {
			t.Errorf("%q: IsZero is %v", c.text, key.IsZero())
		}
	}
}

func TestHasKeyIgnoresNames(t *testing.T) {
	// Names of secrets, fields and labels may look like keys. A key in the place of a name must be
	// found.
	for text, want := range map[string]bool{
		"": false, "qk_": false, "qk_pipeline": false, "team/qk_pipeline-a1b2c3": false,
		"qk_a qk_b qk_c qk_d qk_e qk_f": false,
		"qk_W7hQx3ZtLmN9pRvK2sYd":       true, "x qk_W7hQx3ZtLmN9pRvK2sYd": true, "team/qk_W7hQx3ZtLmN9pRvK2sYd": true,
		"qk_W7hQx3ZtLmN9pRvK2sY": false,
	} {
		if got := apikey.HasKey(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestKeysAreEqualByteForByte(t *testing.T) {
	// Revocation relies on the comparison of keys.
	key := mustParse(t, "qk_W7hQx3ZtLmN9")
	if !key.Equal(mustParse(t, " qk_W7hQx3ZtLmN9\n")) {
		t.Error("the same key, read twice, is not equal")
	}
	for _, other := range []apikey.Key{{}, mustParse(t, "qk_W7hQx3ZtLmN8"), mustParse(t, "qk_w7hQx3ZtLmN9"),
		mustParse(t, "qk_W7hQx3ZtLmN99")} {
		if key.Equal(other) || other.Equal(key) {
			t.Errorf("%q equals %q", key.Reveal(), other.Reveal())
		}
	}
}

func TestFingerprintHasTheRegistrysForm(t *testing.T) {
	// The registry's list shows the prefix, three characters and the last three. A short key shows
	// none.
	for key, want := range map[string]string{
		"qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe": "qk_W7h...aTe",
		"qk_abcdefghijkl":                   "qk_abc...jkl",
		"qk_abcdefghijk":                    "qk_...",
		"qk_a":                              "qk_...",
		"qk_ééééééééééééé":                  "qk_ééé...ééé",
		"qk_éééééé":                         "qk_...",
	} {
		if got := mustParse(t, key).Fingerprint(); got != want {
			t.Errorf("%s has the fingerprint %q, want %q", key, got, want)
		}
	}
	if got := (apikey.Key{}).Fingerprint(); got != "qk_..." {
		t.Errorf("no key has the fingerprint %q", got)
	}
}

// keys are keys of every form that the rule lets through.
func keys() *rapid.Generator[string] {
	sign := rapid.OneOf(rapid.RuneFrom([]rune(`abcXYZ0189_-."\/<>&'+=`)), rapid.Rune()).Filter(func(r rune) bool {
		return unicode.IsPrint(r) && r != ' ' && r != unicode.ReplacementChar && r != '\u2800' &&
			!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	})
	return rapid.Custom(func(t *rapid.T) string {
		return "qk_" + rapid.StringOfN(sign, 1, 60, -1).Draw(t, "body")
	})
}

func TestParseKeepsEveryKeyAsItIs(t *testing.T) {
	// The bytes of an accepted key do not change, whatever its form.
	rapid.Check(t, func(t *rapid.T) {
		text := keys().Draw(t, "key")
		around := rapid.StringOf(rapid.SampledFrom([]rune(" \t\r\n"))).Draw(t, "white space")
		key, err := apikey.Parse(around + text + around)
		if err != nil || key.Reveal() != text {
			t.Fatalf("%q became %q, %v", text, key.Reveal(), err)
		}
		if shown := len([]rune(key.Fingerprint())); shown > len("qk_abc...xyz") {
			t.Fatalf("the fingerprint %q shows too much", key.Fingerprint())
		}
	})
}

// A fingerprint's lengths are no contract: any prefix and suffix of the key fits, and nothing else
// does.
func TestFits(t *testing.T) {
	key, err := apikey.Parse("qk_abcdefghijklmnopqrstuvwxyz")
	if err != nil {
		t.Fatal(err)
	}
	for fingerprint, want := range map[string]bool{
		"qk_abc...xyz": true, "qk_abcde...vwxyz": true, "qk_a...z": true, "qk_abc…xyz": true,
		"qk_abd...xyz": false, "qk_abc...xya": false, "qk_...xyz": false, "qk_abc...": false, "": false,
		"abc...xyz":                           false,
		"qk_abcdefghijklmnopqrstuvwxyz...xyz": false, "sha256:abcxyz": false,
	} {
		if got := key.Fits(fingerprint); got != want {
			t.Errorf("Fits(%q) = %v, want %v", fingerprint, got, want)
		}
	}
	if !key.Fits(key.Fingerprint()) {
		t.Error("a key must fit its own fingerprint")
	}
}

// TestContradicts shows that only a fingerprint of the known form proves that a key is another one.
// Other forms prove nothing.
func TestContradicts(t *testing.T) {
	key, err := apikey.Parse("qk_abcdefghijklmnopqrstuvwxyz")
	if err != nil {
		t.Fatal(err)
	}
	for fingerprint, want := range map[string]bool{
		"qk_abd...xyz": true, "qk_abc...xya": true, "qk_abd…xyz": true, "qk_b...z": true,
		"qk_abc...xyz": false, "qk_a…z": false, // fits
		"qk_abd…": false, "qk_abd...": false, "qk_...xya": false, "qk_***...***": false, "qk_•••...•••": false,
		"abd...xya": false, "": false,
		"sha256:abc...xyz": false, "9f86d081884c7d65": false, "qk_abd": false, "qk_abd--xya": false,
	} {
		if got := key.Contradicts(fingerprint); got != want {
			t.Errorf("Contradicts(%q) = %v, want %v", fingerprint, got, want)
		}
		if key.Fits(fingerprint) && want {
			t.Errorf("%q both fits the key and contradicts it", fingerprint)
		}
	}
}

// TestMayContain finds a key of which only the fingerprint is known. A fingerprint of an unknown
// form may belong to any key.
func TestMayContain(t *testing.T) {
	for text, want := range map[string]bool{
		"x qk_abcdef": true, `{"a":"https://x:qk_abc@y"}`: true, `{"a":"\u0071k_abc"}`: true, "%71k_abc": true,
		"qk_abd": false, "abc": false, "": false,
	} {
		if got := apikey.MayContain(redact.New(text), "qk_abc...xyz"); got != want {
			t.Errorf("MayContain(%q) = %v, want %v", text, got, want)
		}
	}
	if !apikey.MayContain(redact.New(""), "sha256:1234") {
		t.Error("a fingerprint of an unknown form was compared")
	}
}
