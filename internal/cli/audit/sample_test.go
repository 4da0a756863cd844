package audit_test

import (
	"fmt"
	"time"

	"quilt-rotate/internal/cli/audit"
	"quilt-rotate/internal/quilt"
)

var now = time.Date(2026, 11, 22, 18, 15, 0, 0, time.UTC)

func ago(days float64) time.Time { return now.Add(-time.Duration(days * 24 * float64(time.Hour))) }

func in(days float64) time.Time { return ago(-days) }

// key returns a key without findings, changed by the function.
func key(change func(*quilt.APIKey)) quilt.APIKey {
	used := ago(0.1)
	k := quilt.APIKey{
		ID: "key-1", Name: "ci-github-prod-2026q4", Fingerprint: "qk_abc...xyz", CreatedAt: ago(30), ExpiresAt: in(60),
		LastUsedAt: &used,
		Status:     quilt.Active, UserEmail: "ci@example.com", RegistryTime: now,
	}
	if change != nil {
		change(&k)
	}
	return k
}

func used(days float64) *time.Time {
	t := ago(days)
	return &t
}

// sample returns keys with every finding, names that attack each format, and a clock in another
// time zone than UTC.
func sample() ([]quilt.APIKey, audit.Options) {
	west := time.FixedZone("west", -8*3600)
	keys := []quilt.APIKey{
		{ID: "4c1d0b5e", Name: "ci-github-prod-2026q1", Fingerprint: "qk_a1b...9zf", CreatedAt: ago(200),
			ExpiresAt: in(165), LastUsedAt: used(0.01), Status: quilt.Active, UserEmail: "ci@example.com"},
		{ID: "7e2f9a10", Name: "prod-pipeline-20261120-0123456789abcdef", Fingerprint: "qk_Qw3...7Ty",
			CreatedAt: ago(2), ExpiresAt: in(88), LastUsedAt: used(0.2), Status: quilt.Active,
			UserEmail: "pipeline@example.com"},
		{ID: "91aa00c3", Name: "prod-pipeline-20260822-0123456789abcdef", Fingerprint: "qk_Lk8...m2N",
			CreatedAt: ago(92), ExpiresAt: ago(2), LastUsedAt: used(2.5), Status: quilt.Expired,
			UserEmail: "pipeline@example.com"},
		{ID: "b0b1b2b3", Name: "nightly-import-staging-2026-08", Fingerprint: "qk_77f...0aa",
			CreatedAt: ago(100).In(west), ExpiresAt: in(9.5).In(west), LastUsedAt: used(1), Status: quilt.Active,
			UserEmail: "import@example.com"},
		{ID: "c9", Name: "laptop", Fingerprint: "qk_zzz...111", CreatedAt: ago(300), ExpiresAt: in(65),
			LastUsedAt: used(120), Status: quilt.Active, UserEmail: "dana.long-name@research.example.com"},
		{ID: "d4", Name: `<script>alert("x")</script>`, Fingerprint: "qk_evl...evl", CreatedAt: ago(120),
			ExpiresAt: in(245), Status: quilt.Active, UserEmail: "dana.long-name@research.example.com"},
		{ID: "e5", Name: `=HYPERLINK("http://x.example","a,b")`, Fingerprint: "qk_frm...ula", CreatedAt: ago(5),
			ExpiresAt: in(3.2), Status: quilt.Active, UserEmail: "@mallory"},
		{ID: "f6", Name: "prod-\u202egnp.exe\u202c-\x1b[31m-\nשלום-2026", Fingerprint: "qk_rtl...rtl",
			CreatedAt: ago(10), ExpiresAt: in(30), LastUsedAt: used(3), Status: quilt.Active,
			UserEmail: "mallory@example.com"},
		{ID: "a7", Name: "etl-warehouse-prod-20260901", Fingerprint: "qk_sus...pnd", CreatedAt: ago(82),
			ExpiresAt: in(8), LastUsedAt: used(40), Status: "SUSPENDED", UserEmail: "etl@example.com"},
	}
	return keys, audit.Options{
		Now: now, Registry: "registry.example.com", AskedBy: "admin@example.com", Scope: "account 123456789012 " +
			"(acme-prod), region eu-central-1: 4 of 4 managed secrets read", Elsewhere: nowhere,
		Secret: held{"4c1d0b5e": "prod/ci", "7e2f9a10": "prod/pipeline", "b0b1b2b3": "staging/import",
			"a7": "prod/etl"}.by,
	}
}

// many returns n keys in every state, with hundreds of owners.
func many(n int) ([]quilt.APIKey, audit.Options) {
	purposes := []string{"ci-github", "nightly-import", "etl-warehouse", "quiltx", "notebook", "lims-sync"}
	environments := []string{"prod", "staging", "dev"}
	keys, names := make([]quilt.APIKey, n), held{}
	for i := range keys {
		k := quilt.APIKey{
			ID: fmt.Sprintf("%08x-5d1c-4e0f-9b3a-%012x", i*2654435761%(1<<32), i), Name: fmt.Sprintf("%s-%s-2026q%d",
				purposes[i%6], environments[i%3], 1+i%4),
			Fingerprint: fmt.Sprintf("qk_%03x...%03x", i%4096, i*7%4096),
			UserEmail:   fmt.Sprintf("service-%d@example.com", i*i%(n/25+2)),
			CreatedAt:   ago(float64(i%200) + 1), ExpiresAt: in(float64(i*13%300) - 20),
			LastUsedAt: used(float64(i * 29 % 140)), Status: quilt.Active,
		}
		switch {
		case !k.ExpiresAt.After(now):
			k.Status = quilt.Expired
		case i%17 == 0:
			k.LastUsedAt = nil
		case i%11 == 0:
			k.Name = fmt.Sprintf("test key %d", i)
		}
		if i%3 > 0 {
			names[k.ID] = "prod/" + k.UserEmail
		}
		keys[i] = k
	}
	return keys, audit.Options{Now: now, Registry: "registry.example.com", AskedBy: "admin@example.com",
		Secret: names.by, Elsewhere: nowhere}
}

// held maps the ids of keys to the names of the secrets that hold them.
type held map[string]string

func (h held) by(k quilt.APIKey) string { return h[k.ID] }

func nowhere(string) bool { return false }
