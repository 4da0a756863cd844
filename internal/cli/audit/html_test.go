package audit_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"quilt-rotate/internal/cli/audit"
	"quilt-rotate/internal/quilt"
)

func TestThePageEscapesNames(t *testing.T) {
	// Protects the reader's browser: a name is text, wherever it stands, also in the places that only its author would think of.
	attack := `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}</style></title>` + "`${1}`"
	k := key(func(k *quilt.APIKey) {
		k.ID, k.Name, k.UserEmail, k.Fingerprint = attack, attack, attack, attack
		k.Status = quilt.Status(attack)
	})
	o := complete()
	o.Registry, o.AskedBy, o.Scope, o.Secret = attack, attack, attack, held{attack: attack}.by
	out := written(t, audit.New([]quilt.APIKey{k}, o), audit.Report.WriteHTML)
	for tag, want := range map[string]int{"<script": 1, "</script": 1, "<style": 1, "</style": 1, "<title>": 1, "</title": 3, "<svg": 2} { // each chart has a title
		if got := strings.Count(out, tag); got != want {
			t.Errorf("the page has %d %s, want %d", got, tag, want)
		}
	}
	if strings.Contains(out, "<img") || strings.Contains(out, "ZgotmplZ") {
		t.Error("a name became markup")
	}
}

func TestThePageReachesNothing(t *testing.T) {
	// Protects privacy and offline use: no address but the names of namespaces in its icon, and a policy that allows none.
	out := written(t, audit.New(many(20)), audit.Report.WriteHTML)
	for _, address := range regexp.MustCompile(`(?i)(https?:)?//[a-z0-9.]+[^\s'"<]*|url\([^)]*\)|@import|<(link|script|img|iframe)[^>]+(src|href)="[^d][^"]*"`).FindAllString(out, -1) {
		if address != "http://www.w3.org/2000/svg" && !strings.HasPrefix(address, "// ") {
			t.Errorf("the page has the address %q", address)
		}
	}
	if !strings.Contains(out, `http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-`) {
		t.Error("the page has no strict policy")
	}
	if strings.Contains(out, "style=") || regexp.MustCompile(`\son[a-z]+=`).MatchString(out) {
		t.Error("the page has inline style or handlers, which its policy refuses")
	}
}

func TestChartsCountWhatIsFound(t *testing.T) {
	// Protects the pictures from telling another story than the findings: every key is in them, at thresholds, too.
	r := audit.New(many(1000))
	out := written(t, r, audit.Report.WriteHTML)
	found := map[audit.Finding]int{}
	for _, total := range r.Totals {
		found[total.Finding] = total.Keys
	}
	expiry, use := bars(t, out, "expiry"), bars(t, out, "use")
	if got, want := expiry["expired"], found[audit.Expired]; got != want {
		t.Errorf("the chart has %d expired keys, the report %d", got, want)
	}
	if got, want := expiry["0–7 days"]+expiry["7–14 days"], found[audit.Expiring]; got != want {
		t.Errorf("the chart has %d expiring keys, the report %d", got, want)
	}
	if got, want := use["never"], found[audit.NeverUsed]; got != want {
		t.Errorf("the chart has %d keys that were never used, the report %d", got, want)
	}
	sum := func(bars map[string]int) (n int) {
		for _, keys := range bars {
			n += keys
		}
		return n
	}
	if sum(expiry) != 1000 || sum(use) != 1000-found[audit.Expired] {
		t.Errorf("the charts have %d keys and %d keys, want 1000 and %d", sum(expiry), sum(use), 1000-found[audit.Expired])
	}
}

// bars reads a chart's description, which says what it shows to who cannot see it.
func bars(t testing.TB, page, id string) map[string]int {
	t.Helper()
	desc := regexp.MustCompile(`<desc id="` + id + `-desc">(.*)</desc>`).FindStringSubmatch(page)
	if desc == nil {
		t.Fatalf("the chart %s has no description", id)
	}
	counts := map[string]int{}
	for part := range strings.SplitSeq(desc[1], "; ") {
		label, keys, _ := strings.Cut(part, ": ")
		number, err := strconv.Atoi(strings.ReplaceAll(strings.Fields(keys)[0], ",", ""))
		if err != nil {
			t.Fatal(err)
		}
		counts[label] = number
	}
	return counts
}
