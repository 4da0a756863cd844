package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/cli/audit"
	"quilt-rotate/internal/quilt"
)

// complete returns options with which every finding is judged.
func complete() audit.Options {
	return audit.Options{Now: now, Registry: "registry.example.com", AskedBy: "admin@example.com",
		Secret: held{"key-1": "prod/ci"}.by, Elsewhere: nowhere}
}

func TestFindingsOfAKey(t *testing.T) {
	// Each threshold is tested on both sides.
	// The use of this key shows that the registry records use.
	other := key(func(k *quilt.APIKey) { k.ID, k.Name = "key-2", "other-dev-2026" })
	second := time.Second.Hours() / 24
	for name, c := range map[string]struct {
		change func(*quilt.APIKey)
		want   string
	}{
		"no finding":            {nil, ""},
		"expired by its status": {func(k *quilt.APIKey) { k.Status = quilt.Expired }, "expired"},
		"expired by its date":   {func(k *quilt.APIKey) { k.ExpiresAt = now }, "expired"},
		"expired, without other findings": {func(k *quilt.APIKey) {
			k.ExpiresAt, k.LastUsedAt, k.Name, k.ID = ago(1),
				nil, "x", "y"
		}, "expired"},
		"expires this second":   {func(k *quilt.APIKey) { k.ExpiresAt = in(second) }, "expiring"},
		"expires in 14 days":    {func(k *quilt.APIKey) { k.ExpiresAt = in(14) }, "expiring"},
		"expires after 14 days": {func(k *quilt.APIKey) { k.ExpiresAt = in(14 + second) }, ""},
		"used 90 days ago": {func(k *quilt.APIKey) { k.CreatedAt, k.LastUsedAt = ago(200), used(90) },
			""},
		"used over 90 days ago": {func(k *quilt.APIKey) {
			k.CreatedAt, k.LastUsedAt = ago(200),
				used(90+second)
		}, "unused"},
		"used in the future": {func(k *quilt.APIKey) { k.LastUsedAt = used(-1) }, ""},
		"new, never used":    {func(k *quilt.APIKey) { k.CreatedAt, k.LastUsedAt = ago(0), nil }, ""},
		"a day old, never used": {func(k *quilt.APIKey) { k.CreatedAt, k.LastUsedAt = ago(1), nil },
			"never-used"},
		"90 days old, never used": {func(k *quilt.APIKey) { k.CreatedAt, k.LastUsedAt = ago(90), nil },
			"never-used"},
		"over 90 days old, never used": {func(k *quilt.APIKey) { k.CreatedAt, k.LastUsedAt = ago(90+second), nil },
			"unused never-used"},
		"in no secret":                  {func(k *quilt.APIKey) { k.ID = "key-9" }, "unmanaged"},
		"a name outside the convention": {func(k *quilt.APIKey) { k.Name = "laptop" }, "name"},
		"an unknown status":             {func(k *quilt.APIKey) { k.Status, k.Name = "SUSPENDED", "laptop" }, "name"},
		"everything": {func(k *quilt.APIKey) {
			k.ID, k.Name, k.CreatedAt, k.ExpiresAt, k.LastUsedAt = "key-9", "laptop", ago(91), in(1), nil
		}, "expiring unused never-used unmanaged name"},
	} {
		o := complete()
		o.Secret = held{"key-1": "prod/ci", "key-2": "dev/other"}.by
		r := audit.New([]quilt.APIKey{key(c.change), other}, o)
		for _, k := range r.Keys {
			if k.ID == "key-2" {
				continue
			}
			var got []string
			for _, f := range k.Findings {
				got = append(got, string(f))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: found %q, want %q", name, got, c.want)
			}
		}
	}
}

func TestTheOptionsSetTheThresholds(t *testing.T) {
	o := complete()
	o.UnusedDays, o.ExpiringDays = 2, 100
	r := audit.New([]quilt.APIKey{key(func(k *quilt.APIKey) { k.LastUsedAt = used(3) })}, o)
	if got := r.Fails(audit.Findings()); !slices.Equal(got, []audit.Finding{audit.Expiring, audit.Unused}) {
		t.Errorf("found %q, want expiring and unused", got)
	}
}

func TestNoKeyIsUnusedIfTheRegistryRecordsNoUse(t *testing.T) {
	// Every format must say that last use is unknown.
	old := key(func(k *quilt.APIKey) { k.CreatedAt, k.LastUsedAt = ago(300), nil })
	r := audit.New([]quilt.APIKey{old, old}, complete())
	if want := []audit.Finding{audit.Unused, audit.NeverUsed}; !slices.Equal(r.Unjudged, want) {
		t.Errorf("got %q as not judged, want %q", r.Unjudged, want)
	}
	if got := r.Fails(audit.Findings()); got != nil {
		t.Errorf("found %q, want nothing", got)
	}
	for _, f := range formats {
		if f.name == "csv" { // has rows only
			continue
		}
		if !strings.Contains(written(t, r, f.write), "no key has a date of last use") {
			t.Errorf("%s does not say that last use is unknown", f.name)
		}
	}
	if r := audit.New(nil, complete()); r.Unjudged != nil {
		t.Errorf("without keys: got %q as not judged, want none", r.Unjudged)
	}
}

func TestNoKeyIsUnmanagedIfASecretWasNotRead(t *testing.T) {
	// The secret that could not be read may hold the key.
	o := complete()
	o.Unread = "not every managed secret could be read"
	r := audit.New([]quilt.APIKey{key(func(k *quilt.APIKey) { k.ID = "key-9" }), key(nil)}, o)
	if !slices.Equal(r.Unjudged, []audit.Finding{audit.Unmanaged}) || r.Fails(audit.Findings()) != nil {
		t.Errorf("got %q as not judged and %q as findings, want unmanaged and none", r.Unjudged,
			r.Fails(audit.Findings()))
	}
	if !slices.ContainsFunc(r.Keys, func(k audit.Key) bool { return k.Secret != nil && *k.Secret == "prod/ci" }) {
		t.Error("the report lacks a secret that is known to hold a key")
	}
	if !strings.Contains(written(t, r, audit.Report.WriteJSON), `"unmanaged": null`) {
		t.Error("the JSON does not show unmanaged as null")
	}
}

func TestFailsReturnsTheFindingsOfFailOn(t *testing.T) {
	// It returns only findings that exist and that --fail-on names, in a fixed order.
	r := audit.New(sample())
	for _, c := range []struct{ on, want []audit.Finding }{
		{nil, nil},
		{[]audit.Finding{audit.Name, audit.Expired}, []audit.Finding{audit.Expired, audit.Name}},
		{audit.Findings(), []audit.Finding{audit.Expired, audit.Expiring, audit.Unused, audit.NeverUsed,
			audit.Unmanaged, audit.Name}},
	} {
		if got := r.Fails(c.on); !slices.Equal(got, c.want) {
			t.Errorf("--fail-on %q: got %q, want %q", c.on, got, c.want)
		}
	}
	if got := audit.New([]quilt.APIKey{key(nil)}, complete()).Fails(audit.Findings()); got != nil {
		t.Errorf("a key without findings: got %q", got)
	}
}

func TestTotalsAddUp(t *testing.T) {
	// Each total must be the number of rows with the finding.
	r := audit.New(many(997))
	sum := map[string]int{}
	for _, k := range r.Keys {
		sum["status "+string(k.Status)]++
		sum["owner "+k.Owner]++
		for _, f := range k.Findings {
			sum["finding "+string(f)]++
		}
	}
	got := map[string]int{}
	for _, s := range r.Statuses {
		got["status "+string(s.Status)] = s.Keys
	}
	for _, o := range r.Owners {
		got["owner "+o.Owner] = o.Keys
	}
	for _, f := range r.Totals {
		if f.Keys > 0 {
			got["finding "+string(f.Finding)] = f.Keys
		}
	}
	for what, n := range sum {
		if got[what] != n {
			t.Errorf("%s: got the total %d, want %d", what, got[what], n)
		}
	}
	if len(got) != len(sum) {
		t.Errorf("got %d totals, want %d", len(got), len(sum))
	}
}

func TestNewDoesNotChangeItsInput(t *testing.T) {
	keys, o := sample()
	before := slices.Clone(keys)
	audit.New(keys, o)
	if !slices.Equal(keys, before) {
		t.Error("the list of keys was changed")
	}
}

func TestAKeyOfASecretElsewhereIsNotUnmanaged(t *testing.T) {
	// A secret of another account or region may hold the key, so it must not be reported as a key
	// to revoke.
	o := complete()
	o.Elsewhere = func(name string) bool { return name == "pipeline-20261122-0123456789abcdef" }
	k := key(func(k *quilt.APIKey) { k.ID, k.Name = "key-9", "pipeline-20261122-0123456789abcdef" })
	r := audit.New([]quilt.APIKey{k}, o)
	if got := r.Fails(audit.Findings()); !slices.Equal(got, []audit.Finding{audit.Elsewhere}) {
		t.Errorf("found %q, want elsewhere", got)
	}
}

func TestAFingerprintOfUnknownFormatIsNoEvidence(t *testing.T) {
	// A fingerprint of another format cannot be compared, so no key is reported as unmanaged.
	masked := key(func(k *quilt.APIKey) { k.ID, k.Fingerprint = "key-9", "sha256:0123456789" })
	r := audit.New([]quilt.APIKey{masked, key(nil)}, complete())
	if !slices.Equal(r.Unjudged, []audit.Finding{audit.Unmanaged}) || r.Fails(audit.Findings()) != nil {
		t.Errorf("got %q as not judged and %q as findings", r.Unjudged, r.Fails(audit.Findings()))
	}
	masked.ID = "key-1" // its label names the secret
	if r := audit.New([]quilt.APIKey{masked}, complete()); r.Unjudged != nil {
		t.Errorf("got %q as not judged, want none", r.Unjudged)
	}
}

func TestNothingAboutSecretsIsJudgedWithoutAWS(t *testing.T) {
	// Without AWS access, neither unmanaged nor elsewhere is judged.
	o := complete()
	o.Secret, o.Elsewhere = nil, nil
	if r := audit.New([]quilt.APIKey{key(nil)}, o); !slices.Equal(r.Unjudged, []audit.Finding{audit.Unmanaged,
		audit.Elsewhere}) {
		t.Errorf("got %q as not judged, want unmanaged and elsewhere", r.Unjudged)
	}
}
