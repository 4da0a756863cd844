package apikey_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quilt-rotate/internal/apikey"
)

const arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/pipeline-a1b2c3"

var day = time.Date(2026, 11, 22, 18, 15, 0, 0, time.UTC)

func TestNameReducesItsLabel(t *testing.T) {
	// Letters and digits are kept, all else becomes one hyphen, and the label has at most 32
	// characters.
	mark := apikey.SecretMark(arn)
	for label, want := range map[string]string{
		"prod-pipeline":                 "prod-pipeline",
		"Prod/Pipeline":                 "prod-pipeline",
		"  prod__pipeline!! ":           "prod-pipeline",
		"a.b@c+d=e":                     "a-b-c-d-e",
		"--x--":                         "x",
		"quilt/müller":                  "quilt-m-ller",
		"":                              "key",
		"///":                           "key",
		"日本":                            "key",
		strings.Repeat("a", 32):         strings.Repeat("a", 32),
		strings.Repeat("a", 33):         strings.Repeat("a", 32),
		strings.Repeat("a", 31) + "/bc": strings.Repeat("a", 31), // a cut leaves no hyphen at the end
	} {
		if got, want := apikey.Name(label, day, arn), want+"-20261122-"+mark; got != want {
			t.Errorf("label %q makes the name %q, want %q", label, got, want)
		}
	}
}

func TestNameHasDayInUTC(t *testing.T) {
	// The same instant gives the same name on each host.
	west := time.FixedZone("west", -8*3600)
	lateInTheWest := time.Date(2026, 11, 21, 23, 0, 0, 0, west)
	if got := apikey.Name("x", lateInTheWest, arn); !strings.HasPrefix(got, "x-20261122-") {
		t.Errorf("the name %q does not have the day in UTC", got)
	}
}

func TestSecretMarkIsTheHashOfTheARN(t *testing.T) {
	// The mark is a storage format: marks of older releases must be recognized.
	const want = "72e4a2926f52a510" // printf %s "$arn" | sha256sum | cut -c1-16
	if got := apikey.SecretMark(arn); got != want {
		t.Errorf("the mark is %q, want %q", got, want)
	}
}

func TestMarkOfRecognizesOurNames(t *testing.T) {
	// A name that a person chose has no mark, so its key is not revoked.
	for name, want := range map[string]string{
		"prod-pipeline-20261122-0123456789abcdef":              "0123456789abcdef",
		"a-20261122-0123456789abcdef":                          "0123456789abcdef",
		strings.Repeat("a", 32) + "-20261122-0123456789abcdef": "0123456789abcdef",
		strings.Repeat("a", 33) + "-20261122-0123456789abcdef": "",
		"":                                         "",
		"prod-pipeline":                            "",
		"prod-pipeline-20261122":                   "",
		"-20261122-0123456789abcdef":               "",
		"20261122-0123456789abcdef":                "",
		"prod-20261122-0123456789abcde":            "",
		"prod-20261122-0123456789abcdef0":          "",
		"prod-20261122-0123456789abcdeg":           "",
		"prod-20261122-0123456789ABCDEF":           "",
		"Prod-20261122-0123456789abcdef":           "",
		"prod/x-20261122-0123456789abcdef":         "",
		"prod-2026112-0123456789abcdef":            "",
		"prod-20261122-0123456789abcdef\n":         "",
		"x\nprod-20261122-0123456789abcdef":        "",
		"prod-20261122-0123456789abcdef-copy":      "",
		" prod-20261122-0123456789abcdef":          "",
		"prod-20261122_0123456789abcdef":           "",
		"prod-20261122-0123456789abcdef-20261123-": "",
	} {
		if mark, ok := apikey.MarkOf(name); mark != want || ok != (want != "") {
			t.Errorf("%q has the mark %q, %v; want %q", name, mark, ok, want)
		}
	}
}

// nameForm is the documented form of our names.
var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,32}-[0-9]{8}-([0-9a-f]{16})$`)

func TestMarkOfReadsOnlyNamesOfOurForm(t *testing.T) {
	// A name has a mark exactly if it has our form.
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9-]{0,34}-[0-9]{7,9}-[0-9a-f]{15,17}`).Draw(t, "name")
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			at := rapid.IntRange(0, len(name)).Draw(t, "at")
			name = name[:at] + rapid.SampledFrom([]string{"", "-", "a", "g", "G", "0", "é", "\n", "/"}).Draw(t, "put") +
				name[min(at+rapid.IntRange(0, 1).Draw(t, "cut"), len(name)):]
		}
		want := ""
		if m := nameForm.FindStringSubmatch(name); m != nil {
			want = m[1]
		}
		if mark, ok := apikey.MarkOf(name); mark != want || ok != (want != "") {
			t.Fatalf("%q has the mark %q, %v; want %q", name, mark, ok, want)
		}
	})
}

func TestMarkOfFindsTheSecretOfEveryName(t *testing.T) {
	// The search for orphans relies on the form, the length and the mark of each name.
	form := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?-[0-9]{8}-[0-9a-f]{16}$`)
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9/_+=.@-]{0,80}`)).Draw(t, "label")
		secret := rapid.OneOf(rapid.String(),
			rapid.StringMatching(`arn:aws:secretsmanager:[a-z0-9-]{9}:[0-9]{12}:secret:[A-Za-z0-9/-]{1,40}`)).Draw(t,
			"ARN")
		at := time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "second"), 0) // until the end of the year 9999
		name := apikey.Name(label, at, secret)
		if !form.MatchString(name) || len(name) > 32+1+8+1+16 {
			t.Fatalf("the name %q is not of the form", name)
		}
		if mark, ok := apikey.MarkOf(name); !ok || mark != apikey.SecretMark(secret) {
			t.Fatalf("the name %q has the mark %q, %v", name, mark, ok)
		}
		if mark, _ := apikey.MarkOf(name); mark == apikey.SecretMark(secret+"x") {
			t.Fatalf("the name %q carries another secret's mark", name)
		}
	})
}
