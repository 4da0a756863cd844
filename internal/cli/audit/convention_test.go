package audit_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/audit"
	"quilt-rotate/internal/sandbox/hermetic"
)

func init() { hermetic.FixSeed() }

func TestNamesOfTheConvention(t *testing.T) {
	// A name has a purpose, an environment and a date, in the usual forms.
	for _, name := range []string{
		"ci-github-prod-2026q1", // from the guide
		"CI-GitHub-Prod-2026Q1",
		"ci-github-prod-2026-q1",
		"etl-dev-2026",
		"etl-dev-202611",
		"etl-dev-2026-11",
		"etl-staging-20261122",
		"etl-staging-2026-11-22",
		"etl-uat2-2026h2",
		"etl-qa-2026w47",
		"nightly_import.v2-production-2026-11",
		"prod-pipeline-2026q4",      // environment first, as in names from paths
		"pipeline-prod-eu-2026q4",   // a region after it
		"test-prod-pipeline-2026q1", // two environments and a purpose
		"prod-pipeline-20261122-0123456789abcdef",
		"pipeline-20261122-0123456789abcdef", // generated names need no environment
	} {
		if !audit.FollowsConvention(name) {
			t.Errorf("%q is reported as outside the convention", name)
		}
	}
}

func TestNamesOutsideTheConvention(t *testing.T) {
	// A name that lacks one of the three parts is a finding.
	for _, name := range []string{
		"", "-", "laptop", "my key", "2026q1", "prod", "-2026q1",
		"ci-github-prod",            // no date
		"ci-github-2026q1",          // no environment
		"prod-2026q1",               // no purpose
		"prod-staging-2026q1",       // no purpose
		"2026q1-ci-github-prod",     // the date is not the end
		"ci-github-prod-2026q5",     // no such quarter
		"ci-github-prod-20261322",   // no such month
		"ci-github-prod-20261132",   // no such day
		"ci-github-prod-1999",       // too early
		"ci-github-prod-2026q1-",    // something follows
		"ci-github-prod-2026q1\n",   // a newline follows
		"ci-github-prod2026q1",      // not a separate word
		"ci-product-2026q1",         // only begins with prod
		"ci--prod-2026q1",           // an empty word
		"ci github-prod-2026q1",     // a blank
		"ci-gith\u202eub-prod-2026", // a mark that changes the direction of text
		"сi-prod-2026q1",            // a Cyrillic letter that looks Latin
		"prod-pipeline-20261122-0123456789abcde",
	} {
		if audit.FollowsConvention(name) {
			t.Errorf("%q is not reported as outside the convention", name)
		}
	}
}

func TestGeneratedNamesFollowTheConvention(t *testing.T) {
	// A rotation must not create keys with findings.
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "second"), 0)
		name := apikey.Name(rapid.String().Draw(t, "label"), at, rapid.String().Draw(t, "ARN"))
		if !audit.FollowsConvention(name) {
			t.Fatalf("%q is reported as outside the convention", name)
		}
	})
}
